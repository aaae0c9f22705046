//! Dead letters on the bus: the stream holds what the table holds, whatever happens to either.

use async_nats::jetstream::{self, stream::Stream};
use serde_json::{Value, json};

use super::{CURED, POISON, SOON, emit, ended, run, waiting, world};
use crate::world::World;

async fn stream(world: &World) -> Option<Stream> {
    jetstream::new(world.nats.client().await).get_stream("DEAD_LETTERS").await.ok()
}

/// What the stream says of a letter.
async fn told(world: &World, subject: &str) -> Option<Value> {
    let message = stream(world).await?.get_last_raw_message_by_subject(subject).await.ok()?;
    serde_json::from_slice(&message.payload).ok()
}

async fn count(world: &World) -> Option<u64> {
    Some(stream(world).await?.cached_info().state.messages)
}

#[tokio::test]
async fn dead_letters_are_heard_on_the_bus() {
    let mut world = world().await;
    let receiver = testkit::Sink::start().await;
    let endpoint = json!({"url": receiver.url("/hook"), "events": ["custom.*"]});
    world.api.post("/webhooks/endpoints", endpoint).await.expect(200);
    testkit::eventually(SOON, || async { count(&world).await == Some(0) }).await;
    run(&world, POISON).await;
    let poison = emit(&world.api, "custom.poison").await;
    let id = poison["id"].as_str().unwrap().to_owned();
    let subject = |consumer: &str| format!("dlq.{consumer}.custom.poison.{id}");
    testkit::eventually(SOON, || async { count(&world).await == Some(2) }).await;
    for consumer in ["webhooks", "analytics"] {
        let letter = waiting(&world.api, consumer).await.remove(0);
        assert_eq!(told(&world, &subject(consumer)).await.unwrap(), letter);
        let message = stream(&world).await.unwrap();
        let message = message.get_last_raw_message_by_subject(&subject(consumer)).await.unwrap();
        assert_eq!(message.headers.get("ce-type").unwrap().as_str(), format!("dlq.{consumer}"));
    }

    // Given up again: the newest word replaces the one before.
    let wish = json!({"consumer": "webhooks", "ids": [id]});
    let requeued = world.api.post("/utils/dead-letters/requeue", wish.clone()).await.expect(200).data();
    assert_eq!(ended(&world.api, &requeued).await["buried"], 1);
    testkit::eventually(SOON, || async {
        told(&world, &subject("webhooks")).await.is_some_and(|letter| letter["attempts"] == 6)
    })
    .await;
    assert_eq!(count(&world).await, Some(2));

    // The bus forgets everything, and is told again.
    world.nats.stop().await;
    world.nats.wipe_store();
    world.nats.restart().await;
    testkit::eventually(SOON, || async { count(&world).await == Some(2) }).await;
    assert_eq!(told(&world, &subject("webhooks")).await.unwrap()["attempts"], 6);

    // What waits no more is no longer there, and what somebody else took out comes back.
    run(&world, CURED).await;
    let requeued = world.api.post("/utils/dead-letters/requeue", wish).await.expect(200).data();
    assert_eq!(ended(&world.api, &requeued).await["applied"], 1);
    testkit::eventually(SOON, || async { count(&world).await == Some(1) }).await;
    assert!(told(&world, &subject("webhooks")).await.is_none());
    stream(&world).await.unwrap().purge().await.unwrap();
    testkit::eventually(SOON, || async { told(&world, &subject("analytics")).await.is_some() }).await;
    let all = json!({"consumer": "analytics", "all": true});
    world.api.post("/utils/dead-letters/drop", all).await.expect(200);
    testkit::eventually(SOON, || async { count(&world).await == Some(0) }).await;
}

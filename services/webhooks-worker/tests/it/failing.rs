//! Receivers that fail, hang, vanish or are none of our business.

use std::time::{Duration, Instant};

use proto::webhooks::v1::{EndpointRequest, UpdateEndpointRequest};
use standardwebhooks::Webhook;
use testkit::{Answer, PATIENCE, Sink, eventually};

use crate::world::{World, config};

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_tried_again_under_the_same_id() {
    let world = World::start().await;
    let worker = world.worker(config()).await;
    let sink = Sink::start().await;
    sink.answer(|_, number| Answer::status([500, 404, 200][number.min(2)]));
    let endpoint = worker.endpoint(&sink.url("/"), &["*"]).await;
    world.append("items.create", 1..2).await;
    let delivery = worker.until(&endpoint, "succeeded", 1).await.remove(0);
    let received = sink.requests();
    assert_eq!(received.len(), 3);
    let webhook = Webhook::new(&endpoint.secret).unwrap();
    for request in &received {
        assert_eq!(request.header("webhook-id"), delivery.id);
        assert_eq!(request.body, received[0].body);
        webhook.verify(&request.body, &request.headers).unwrap();
    }
    // Never earlier than four fifths of the delay.
    for pair in received.windows(2) {
        assert!(pair[1].time - pair[0].time >= Duration::from_millis(80));
    }
    let attempts: Vec<_> = delivery
        .attempts
        .iter()
        .map(|attempt| (attempt.number, attempt.status, attempt.error.as_str()))
        .collect();
    assert_eq!(attempts, [(1, 500, "status"), (2, 404, "status"), (3, 200, "")]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_last_attempt_it_is_given_up() {
    let world = World::start().await;
    let worker = world.worker(config()).await;
    let sink = Sink::start().await;
    // A redirect is no success.
    let elsewhere = Sink::start().await;
    let target = elsewhere.url("/");
    sink.answer(move |_, _| Answer::status(307).header("location", &target));
    let endpoint = worker.endpoint(&sink.url("/"), &["*"]).await;
    world.append("items.create", 1..2).await;
    let delivery = worker.until(&endpoint, "failed", 1).await.remove(0);
    assert_eq!(delivery.attempts.len(), 5);
    assert!(delivery.attempts.iter().all(|attempt| attempt.status == 307 && attempt.error == "status"));
    assert_eq!((sink.requests().len(), elsewhere.requests().len()), (5, 0));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_was_away_gets_everything() {
    let world = World::start().await;
    let worker = world.worker(config()).await;
    let mut sink = Sink::start().await;
    let endpoint = worker.endpoint(&sink.url("/"), &["*"]).await;
    sink.pause().await;
    world.append("items.create", 0..50).await;
    world
        .until("SELECT count(DISTINCT delivery) FROM eventus.webhook_attempts WHERE error = 'refused'", 50)
        .await;
    sink.resume().await;
    let deliveries = worker.until(&endpoint, "succeeded", 50).await;
    assert!(deliveries.iter().all(|delivery| delivery.attempts.len() > 1));
    assert_eq!(sink.requests().len(), 50);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_hang_do_not_slow_another() {
    let world = World::start().await;
    let worker = world.worker(config()).await;
    let (alive, dead) = (Sink::start().await, Sink::start().await);
    dead.answer(|_, _| Answer::status(200).after(Duration::from_secs(60)));
    for number in 0..6 {
        worker.endpoint(&dead.url(&format!("/{number}")), &["*"]).await;
    }
    // First they alone: more than enough to fill every place.
    world.append("items.create", 0..100).await;
    world
        .until("SELECT count(*) FROM eventus.webhook_attempts WHERE error = 'timeout' AND number = 1", 64)
        .await;
    worker.endpoint(&alive.url("/"), &["*"]).await;
    let begun = Instant::now();
    world.append("items.create", 100..200).await;
    alive.wait_for(100, PATIENCE).await;
    let took = begun.elapsed();
    eprintln!("100 deliveries beside 6 endpoints that hang: {took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    worker.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_disables_the_endpoint() {
    let world = World::start().await;
    let worker = world.worker(config()).await;
    let sink = Sink::start().await;
    sink.answer_status(410);
    let endpoint = worker.endpoint(&sink.url("/"), &["*"]).await;
    world.append("items.create", 0..40).await;
    world.until("SELECT count(*) FROM eventus.webhook_endpoints WHERE NOT enabled", 1).await;
    world.caught_up("webhooks").await;
    // What was queued before is given up; what came after was not queued.
    let queued =
        usize::try_from(world.number("SELECT count(*) FROM eventus.webhook_deliveries").await).unwrap();
    let deliveries = worker.until(&endpoint, "failed", queued).await;
    let told =
        deliveries.iter().filter(|delivery| delivery.attempts.iter().any(|attempt| attempt.status == 410));
    assert!(told.count() > 0);
    let get = EndpointRequest { id: endpoint.id.clone() };
    let read = worker.client.clone().get_endpoint(worker.call(get)).await.unwrap().into_inner();
    assert!(!read.enabled);
    let asked = sink.requests().len();
    assert!(asked <= 16, "{asked}");
    world.append("items.create", 40..50).await;
    world.caught_up("webhooks").await;
    assert_eq!(worker.deliveries(&endpoint).await.len(), queued);
    assert_eq!(sink.requests().len(), asked);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_endpoint_waits_and_a_deleted_one_is_forgotten() {
    let world = World::start().await;
    let worker = world.worker(config()).await;
    let sink = Sink::start().await;
    sink.answer_status(500);
    let kept = worker.endpoint(&sink.url("/kept"), &["*"]).await;
    let deleted = worker.endpoint(&sink.url("/deleted"), &["*"]).await;
    world.append("items.create", 1..2).await;
    world.until("SELECT count(DISTINCT delivery) FROM eventus.webhook_attempts", 2).await;
    let enable =
        |enabled| UpdateEndpointRequest { id: kept.id.clone(), enabled: Some(enabled), ..Default::default() };
    worker.client.clone().update_endpoint(worker.call(enable(false))).await.unwrap();
    let delete = EndpointRequest { id: deleted.id.clone() };
    worker.client.clone().delete_endpoint(worker.call(delete)).await.unwrap();
    assert_eq!(worker.deliveries(&deleted).await.len(), 0);
    // Nothing new for a disabled endpoint; what it had waits.
    world.append("items.create", 2..3).await;
    world.caught_up("webhooks").await;
    sink.answer_status(200);
    assert_eq!(worker.until(&kept, "pending", 1).await.len(), 1);
    worker.client.clone().update_endpoint(worker.call(enable(true))).await.unwrap();
    worker.until(&kept, "succeeded", 1).await;
    assert_eq!(worker.deliveries(&kept).await.len(), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_private_is_reached_unless_it_is_allowed() {
    let world = World::start().await;
    let mut config = config();
    config.outbound.allow = outbound::Config::parse_allow(&["127.0.0.2".to_owned()]).unwrap();
    let worker = world.worker(config).await;
    let sink = Sink::start().await;
    // A name is looked up when it is used; a literal address would have been refused.
    let url = format!("http://localhost:{}/", sink.address().port());
    let endpoint = worker.endpoint(&url, &["*"]).await;
    world.append("items.create", 1..2).await;
    let delivery = worker.until(&endpoint, "failed", 1).await.remove(0);
    assert!(delivery.attempts.iter().all(|attempt| attempt.error == "blocked" && attempt.status == 0));
    assert_eq!(sink.requests().len(), 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overloaded_receiver_is_left_alone_as_long_as_it_asks() {
    let world = World::start().await;
    let mut config = config();
    config.schedule.delays = vec![Duration::from_secs(1); 2];
    let worker = world.worker(config).await;
    let sink = Sink::start().await;
    sink.answer(|_, number| match number {
        0 => Answer::status(503).header("retry-after", "2"),
        _ => Answer::status(204),
    });
    let endpoint = worker.endpoint(&sink.url("/"), &["*"]).await;
    world.append("items.create", 1..2).await;
    worker.until(&endpoint, "succeeded", 1).await;
    let received = sink.requests();
    assert!(received[1].time - received[0].time >= Duration::from_secs(2));
    eventually(PATIENCE, || async { chassis::metrics::render().contains("eventus_webhook_pending 0") }).await;
    let metrics = chassis::metrics::render();
    for line in [
        "eventus_webhook_attempts_total{outcome=\"status\"} 1",
        "eventus_webhook_attempts_total{outcome=\"succeeded\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
    worker.stop().await;
}

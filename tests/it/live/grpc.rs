//! The same over gRPC, from outside the fleet.

use std::time::{Duration, Instant};

use proto::events::v1::events_service_client::EventsServiceClient;
use proto::events::v1::{EventMessage, GetEventRequest, SubscribeRequest};
use serde_json::{Value, json};
use tonic::{Code, Request, Streaming};

use super::super::permissions::Office;
use super::readers;
use crate::world::World;

fn by<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

async fn next(stream: &mut Streaming<EventMessage>) -> (EventMessage, Value) {
    let message = tokio::time::timeout(Duration::from_secs(20), stream.message()).await;
    let message = message.unwrap().unwrap().unwrap();
    let event = serde_json::from_slice(&message.event).unwrap();
    (message, event)
}

#[tokio::test]
async fn the_same_is_told_to_whoever_asks_by_grpc() {
    let office = Office::open(World::start(shape!()).await).await;
    let admin = &office.world.api;
    let mut events = EventsServiceClient::connect(format!("http://{}", office.world.grpc)).await.unwrap();
    let refused = events.subscribe(by("writer-token", SubscribeRequest::default())).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    readers(&office, &["id", "title"]).await;
    let numbered = SubscribeRequest { after: Some(1), ..Default::default() };
    let begun = Instant::now();
    loop {
        let refused = events.subscribe(by("writer-token", numbered.clone())).await.unwrap_err();
        if refused.code() == Code::InvalidArgument {
            break;
        }
        // What policies he holds is remembered for a second.
        assert!(begun.elapsed() < Duration::from_secs(5), "{refused:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut stream =
        events.subscribe(by("writer-token", SubscribeRequest::default())).await.unwrap().into_inner();
    for n in 0..2 {
        admin.patch("/items/articles/1", json!({"title": n, "notes": n})).await.expect(200);
        admin.patch("/items/articles/2", json!({"title": n})).await.expect(200);
    }
    let (first, event) = next(&mut stream).await;
    assert_eq!((first.position, &event["payload"]), (0, &json!({"title": "0"})));
    // By its token he reads it again and goes on behind it; a position is nothing to him.
    let wanted = GetEventRequest { token: first.token.clone(), ..Default::default() };
    let again = events.get_event(by("writer-token", wanted)).await.unwrap().into_inner();
    assert_eq!(again.event, first.event);
    let wanted = GetEventRequest { position: 1, ..Default::default() };
    assert_eq!(
        events.get_event(by("writer-token", wanted)).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    let behind = SubscribeRequest { after_token: first.token, ..Default::default() };
    let mut stream = events.subscribe(by("writer-token", behind)).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await.1["payload"], json!({"title": "1"}));
    // What he came in by ends, and the stream with it.
    admin.patch(&format!("/users/{}", office.user), json!({"status": "suspended"})).await.expect(200);
    let end = tokio::time::timeout(Duration::from_secs(3), stream.message()).await.unwrap().unwrap_err();
    assert_eq!(end.code(), Code::Unauthenticated);
}

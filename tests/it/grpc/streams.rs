//! `StreamItems`: what a client of one's own gets of many items.

use proto::items::v1::items_service_client::ItemsServiceClient;
use proto::items::v1::stream_items_response::Part;
use proto::items::v1::{Keys, ReadItemsRequest, StreamHead, StreamItemsRequest};
use serde_json::{Value, json};
use tonic::Code;

use super::errors::refusal;
use super::{channel, request};
use crate::world::{TOKEN, World};

/// A collection whose items differ in their members, streamed as asked for.
pub async fn streams(world: &World) {
    world.collection("loose", json!([{"field": "extra", "type": "json"}])).await;
    let payload = json!([{"extra": {"a": 1}}, {"extra": null}, {"extra": [1]}]);
    let made = world.api.post("/items/loose?fields=id", payload).await.expect(200).data();
    let keys: Vec<String> = made.as_array().unwrap().iter().map(|item| item["id"].to_string()).collect();
    let admin = format!("Bearer {TOKEN}");
    let admin = [("authorization", admin.as_str())];
    let mut items = ItemsServiceClient::new(channel(world).await);
    let read = |query: Value| ReadItemsRequest {
        collection: "loose".to_owned(),
        query: query.to_string().into(),
        ..ReadItemsRequest::default()
    };
    let all = read(json!({"limit": -1, "meta": {"total_count": true}}));
    let told = items.read_items(request(all.clone(), &admin)).await.unwrap().into_inner();
    assert!(told.too_many && told.items.is_empty(), "{told:?}");
    let message = |read, rehearse| StreamItemsRequest { read: Some(read), rehearse };
    refusal(
        items.stream_items(request(message(all.clone(), false), &[])).await,
        Code::PermissionDenied,
        "FORBIDDEN",
    );
    let bad = message(read(json!({"fields": ["nope"]})), false);
    refusal(items.stream_items(request(bad, &admin)).await, Code::PermissionDenied, "FORBIDDEN");
    let nothing = items.stream_items(request(StreamItemsRequest::default(), &admin)).await;
    refusal(nothing, Code::PermissionDenied, "FORBIDDEN");
    for (read, rehearse, expected) in [
        (all.clone(), false, (Some(3), false, 0, 3)),
        (all.clone(), true, (Some(3), true, 3, 3)),
        (
            ReadItemsRequest { keys: Some(Keys { keys: keys[..2].to_vec() }), ..all },
            false,
            (Some(3), false, 0, 2),
        ),
        (read(json!({"fields": ["id"], "limit": 1})), true, (None, false, 0, 1)),
    ] {
        let mut stream =
            items.stream_items(request(message(read, rehearse), &admin)).await.unwrap().into_inner();
        let first = stream.message().await.unwrap().unwrap().part.unwrap();
        let Part::Head(StreamHead { total_count, rehearsed, single: false, .. }) = first else {
            panic!("{first:?}");
        };
        let (mut before, mut after) = (0, Vec::new());
        while let Some(message) = stream.message().await.unwrap() {
            match message.part.unwrap() {
                Part::Rehearsal(part) => before += part.items.len(),
                Part::Items(part) => after.extend(part.items),
                Part::Head(head) => panic!("{head:?}"),
            }
        }
        assert_eq!((total_count, rehearsed, before, after.len()), expected);
        assert!(after.iter().all(|item| serde_json::from_slice::<Value>(item).unwrap()["id"].is_i64()));
    }
}

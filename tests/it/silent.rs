//! Silent writes: no hook, flow or webhook learns of them; read models, purges and live clients do.

use std::time::Duration;

use proto::events::v1::EmitRequest;
use proto::events::v1::events_service_client::EventsServiceClient;
use proto::items::v1 as pb;
use proto::items::v1::items_service_client::ItemsServiceClient;
use serde_json::json;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

use crate::sse;
use crate::world::{Options, TOKEN, World};

const SOON: Duration = Duration::from_secs(20);

fn request<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

fn create(title: &str, silent: bool) -> pb::CreateItemsRequest {
    let payload = json!({"title": title}).to_string().into();
    pb::CreateItemsRequest { collection: "articles".to_owned(), payload, silent, ..Default::default() }
}

fn keys(key: &str) -> pb::Keys {
    pb::Keys { keys: vec![key.to_owned()] }
}

/// One write of every kind, all silent; as the administrator they are done, as anybody else refused.
async fn writes(items: &mut ItemsServiceClient<Channel>, token: &str) -> Vec<Code> {
    let collection = || "articles".to_owned();
    let payload = || json!({"title": "changed"}).to_string().into();
    let code = |status: Result<(), tonic::Status>| status.map_or_else(|status| status.code(), |()| Code::Ok);
    let made = items.create_items(request(create("Quiet One", true), token)).await.map(drop);
    let update = pb::UpdateItemsRequest {
        collection: collection(),
        target: Some(pb::update_items_request::Target::Keys(keys("1"))),
        payload: payload(),
        silent: true,
        ..Default::default()
    };
    let updated = items.update_items(request(update, token)).await.map(drop);
    let payload = json!({"id": 1, "title": "upserted"}).to_string().into();
    let upsert =
        pb::UpsertItemsRequest { collection: collection(), payload, silent: true, ..Default::default() };
    let upserted = items.upsert_items(request(upsert, token)).await.map(drop);
    let target = Some(pb::delete_items_request::Target::Keys(keys("1")));
    let delete =
        pb::DeleteItemsRequest { collection: collection(), target, silent: true, ..Default::default() };
    let deleted = items.delete_items(request(delete, token)).await.map(drop);
    [made, updated, upserted, deleted].map(code).to_vec()
}

#[tokio::test]
async fn a_silent_write_reaches_read_models_and_no_hook() {
    let (receiver, cdn) = (testkit::Sink::start().await, testkit::Sink::start().await);
    let options = Options::default()
        .set("CDN_URL", cdn.url(""))
        .set("EVENTUS_CDN_COLLECTIONS", "articles")
        .set("EVENTUS_HOOK_DERIVE_COLLECTIONS", "articles");
    let world = World::with(shape!(), options).await;
    let api = &world.api;
    let fields = json!([{"field": "title", "type": "string"}, {"field": "slug", "type": "string"}]);
    world.collection("articles", fields).await;
    let endpoint = json!({"url": receiver.url("/hook"), "events": ["items.*", "custom.*"]});
    api.post("/webhooks/endpoints", endpoint).await.expect(200);
    let mut live = sse::open(api, "/events?events=items.*,custom.*", None).await;
    let channel = Endpoint::from_shared(format!("http://{}", world.grpc)).unwrap().connect().await.unwrap();
    let mut items = ItemsServiceClient::new(channel.clone());

    world.user("reader@example.com", "token-of-a-reader").await;
    assert_eq!(writes(&mut items, "token-of-a-reader").await, [Code::PermissionDenied; 4]);
    assert_eq!(writes(&mut items, TOKEN).await, [Code::Ok; 4]);
    let custom = EmitRequest { event: "custom.quiet".to_owned(), silent: true, ..Default::default() };
    EventsServiceClient::new(channel).emit(request(custom, TOKEN)).await.unwrap();
    // Not silent: behind it everything has been looked at.
    items.create_items(request(create("Loud One", false), TOKEN)).await.unwrap();

    let mut seen = Vec::new();
    for _ in 0..6 {
        let event = live.next().await;
        seen.push((event.name, event.data["silent"].as_bool().unwrap()));
    }
    let seen: Vec<(&str, bool)> = seen.iter().map(|(name, silent)| (name.as_str(), *silent)).collect();
    let expected = [
        ("items.create", true),
        ("items.update", true),
        ("items.update", true),
        ("items.delete", true),
        ("custom.quiet", true),
        ("items.create", false),
    ];
    assert_eq!(seen, expected);
    world.quiet(SOON).await;
    let metrics = api.get("/analytics/metrics?collection=articles&sort=action").await.expect(200).data();
    let count = |action: &str| {
        metrics.as_array().unwrap().iter().find(|one| one["action"] == action).map(|one| one["count"].clone())
    };
    let counts = ["create", "update", "delete"].map(count);
    assert_eq!(counts, [Some(json!(2)), Some(json!(2)), Some(json!(1))]);
    let activity = api.get("/activity?filter[collection][_eq]=articles&sort=id&fields=action").await.data();
    assert_eq!(activity.as_array().unwrap().len(), 5, "{activity}");
    let purged: Vec<String> = cdn.requests().iter().map(|request| request.path.clone()).collect();
    assert!(purged.iter().any(|path| path.ends_with("/1")), "{purged:?}");
    let pool = world.pool().await;
    let one = async |sql: &'static str| -> i64 { sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap() };
    assert_eq!(one("SELECT count(*) FROM eventus.webhook_deliveries").await, 1);
    assert_eq!(one("SELECT count(*) FROM eventus.hook_runs WHERE kind = 'action'").await, 1);
    assert_eq!(receiver.wait_for(1, SOON).await.len(), 1);
    // The filter hook was not asked either.
    let slug =
        "SELECT count(*) FROM eventus.events WHERE name = 'items.create' AND payload ->> 'slug' IS NULL";
    assert_eq!(one(slug).await, 1);
    headers(&world).await;
}

/// Subscribers in other languages tell by a header.
async fn headers(world: &World) {
    let stream = async_nats::jetstream::new(world.nats.client().await).get_stream("EVENTS").await.unwrap();
    let header = async |subject: &str| {
        let message = stream.get_last_raw_message_by_subject(subject).await.unwrap();
        message.headers.get("ce-silent").map(|value| value.as_str().to_owned())
    };
    assert_eq!(header("items.delete.articles").await.as_deref(), Some("true"));
    assert_eq!(header("items.create.articles").await, None);
}

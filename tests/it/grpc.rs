//! The door for gRPC clients of one's own: docs/GRPC.md is a contract, all-in-one and split.

pub mod clients;
mod errors;
mod streams;

use std::net::SocketAddr;
use std::time::Duration;

use errors::{reason, refusal};
use proto::events::v1::SubscribeRequest;
use proto::events::v1::events_service_client::EventsServiceClient;
use proto::items::v1::items_service_client::ItemsServiceClient;
use proto::items::v1::{CreateItemsRequest, ReadItemRequest, ReadItemsRequest, WriteItemsResponse};
use serde_json::{Value, json};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::world::{Options, PASSWORD, Shape, TOKEN, World};

const SOON: Duration = Duration::from_secs(20);

async fn world(shape: Shape, reflection: bool) -> World {
    let options = match reflection {
        true => Options::default().set("EVENTUS_GRPC_REFLECTION", "true"),
        false => Options::default(),
    };
    let world = World::with(shape, options).await;
    let title = json!({"field": "title", "type": "string", "schema": {"is_nullable": false}, "meta": {"required": true}});
    world.collection("articles", json!([title, {"field": "content", "type": "text"}])).await;
    world
}

/// A connection to the process that serves items.
async fn channel(world: &World) -> Channel {
    channel_to(world.grpc).await
}

async fn channel_to(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// A message with this metadata.
fn request<T>(message: T, metadata: &[(&'static str, &str)]) -> Request<T> {
    let mut request = Request::new(message);
    let pairs = metadata.iter().map(|(key, value)| ((*key).parse().unwrap(), value.parse().unwrap()));
    *request.metadata_mut() = pairs.fold(MetadataMap::new(), |mut map, (key, value)| {
        let key: tonic::metadata::AsciiMetadataKey = key;
        map.append(key, value);
        map
    });
    request
}

async fn create(
    items: &mut ItemsServiceClient<Channel>,
    payload: Value,
    metadata: &[(&'static str, &str)],
) -> Result<WriteItemsResponse, Status> {
    let payload = payload.to_string().into();
    let message = CreateItemsRequest { collection: "articles".to_owned(), payload, ..Default::default() };
    items.create_items(request(message, metadata)).await.map(tonic::Response::into_inner)
}

fn read_all() -> ReadItemsRequest {
    ReadItemsRequest { collection: "articles".to_owned(), ..Default::default() }
}

/// Everything that has to do with who calls.
async fn credentials(world: &World) {
    let mut items = ItemsServiceClient::new(channel(world).await);
    let good = format!("Bearer {TOKEN}");
    let public = create(&mut items, json!({"title": "x"}), &[]).await;
    refusal(public, Code::PermissionDenied, "FORBIDDEN");
    let public = items.read_items(request(read_all(), &[])).await;
    refusal(public, Code::PermissionDenied, "FORBIDDEN");
    for wrong in ["Bearer no-such-token", "Bearer ", "Basic dTpw", "nonsense"] {
        let made = create(&mut items, json!({"title": "x"}), &[("authorization", wrong)]).await;
        refusal(made, Code::Unauthenticated, "INVALID_CREDENTIALS");
    }
    let twice = [("authorization", good.as_str()), ("authorization", good.as_str())];
    refusal(create(&mut items, json!({"title": "x"}), &twice).await, Code::Unauthenticated, "INVALID_TOKEN");
    for forged in [errors::FORGED, "", "admin"] {
        let alone = create(&mut items, json!({"title": "x"}), &[("eventus-accountability", forged)]).await;
        refusal(alone, Code::Unauthenticated, "INVALID_TOKEN");
        let beside = [("authorization", good.as_str()), ("eventus-accountability", forged)];
        refusal(
            create(&mut items, json!({"title": "x"}), &beside).await,
            Code::Unauthenticated,
            "INVALID_TOKEN",
        );
    }
    let login = json!({"email": "admin@example.com", "password": PASSWORD});
    let tokens = world.api.with_token(None).post("/auth/login", login).await.expect(200).data();
    let jwt = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    for token in [&good, &jwt] {
        let none = items.read_items(request(read_all(), &[("authorization", token)])).await.unwrap();
        assert_eq!(none.into_inner().items, "[]", "the refused have stored nothing");
    }
    let metadata = [("authorization", jwt.as_str()), ("eventus-request-id", "grpc-1")];
    create(&mut items, json!({"title": "by access token"}), &metadata).await.unwrap();
    let pool = world.pool().await;
    let sql = "SELECT request_id, \"user\" IS NOT NULL, ip, origin IS NULL FROM eventus.events WHERE name = 'items.create'";
    let row: (String, bool, String, bool) = sqlx::query_as(sql).fetch_one(&pool).await.unwrap();
    assert_eq!(row, ("grpc-1".to_owned(), true, "127.0.0.1".to_owned(), true));
}

/// Refusals say what Directus says, with what a client needs to know.
async fn refusals(world: &World) {
    let mut items = ItemsServiceClient::new(channel(world).await);
    let admin = format!("Bearer {TOKEN}");
    let admin = [("authorization", admin.as_str())];
    let status = create(&mut items, json!({"title": null}), &admin).await.unwrap_err();
    let info = reason(&status);
    assert_eq!(
        (status.code(), info.reason.as_str(), info.domain.as_str()),
        (Code::InvalidArgument, "FAILED_VALIDATION", "eventus")
    );
    assert_eq!(info.metadata["field"], "title");
    let all = errors::all(&status);
    assert_eq!(all[0]["extensions"]["field"], "title");
    let made = create(&mut items, json!([1]), &admin).await;
    refusal(made, Code::InvalidArgument, "INVALID_PAYLOAD");
    let query = json!({"fields": "title"}).to_string().into();
    let read = items.read_items(request(ReadItemsRequest { query, ..read_all() }, &admin)).await;
    refusal(read, Code::InvalidArgument, "INVALID_QUERY");
    let missing =
        ReadItemRequest { collection: "articles".to_owned(), key: "4711".to_owned(), ..Default::default() };
    refusal(items.read_item(request(missing, &admin)).await, Code::PermissionDenied, "FORBIDDEN");
    let unknown = ReadItemsRequest { collection: "nowhere".to_owned(), ..Default::default() };
    refusal(items.read_items(request(unknown, &admin)).await, Code::PermissionDenied, "FORBIDDEN");
}

/// The documented query, and items larger than what gRPC libraries take by default.
async fn queries_and_sizes(world: &World) {
    let admin = format!("Bearer {TOKEN}");
    let admin = [("authorization", admin.as_str())];
    let mut items = ItemsServiceClient::new(channel(world).await);
    let large = "x".repeat(5 << 20);
    let fields = json!({"fields": ["id"]}).to_string();
    let payload = json!([{"title": "large", "content": large}, {"title": "small"}]).to_string().into();
    let (collection, query) = ("articles".to_owned(), fields.into());
    let message = CreateItemsRequest { collection, payload, query, ..Default::default() };
    let keys = items.create_items(request(message, &admin)).await.unwrap().into_inner().keys;
    let text = crate::example::read("docs/GRPC.md");
    let query = text.split("```json query\n").nth(1).unwrap().split("```").next().unwrap().to_owned();
    let read = ReadItemsRequest { query: query.into(), ..read_all() };
    let read = items.read_items(request(read, &admin)).await.unwrap().into_inner();
    let found: Value = serde_json::from_slice(&read.items).unwrap();
    assert_eq!(found, json!([{"id": keys[1].parse::<i64>().unwrap(), "title": "small"}]));
    assert_eq!(read.filter_count, Some(1));
    let whole =
        ReadItemRequest { collection: "articles".to_owned(), key: keys[0].clone(), ..Default::default() };
    let too_large = items.read_item(request(whole.clone(), &admin)).await.unwrap_err();
    assert_eq!(too_large.code(), Code::OutOfRange, "the client's own limit: {too_large:?}");
    let mut items = items.max_decoding_message_size(64 << 20);
    let read = items.read_item(request(whole, &admin)).await.unwrap().into_inner();
    assert!(read.item.len() > large.len());
}

/// The log as a stream: what was, then what comes, and from where it was left.
async fn subscription(world: &World) {
    let admin = format!("Bearer {TOKEN}");
    let admin = [("authorization", admin.as_str())];
    let mut events = EventsServiceClient::new(channel(world).await).max_decoding_message_size(64 << 20);
    let refused = events.subscribe(request(SubscribeRequest::default(), &[])).await;
    refusal(refused, Code::PermissionDenied, "FORBIDDEN");
    let wanted = |after| SubscribeRequest {
        after: Some(after),
        events: vec!["items.*".to_owned()],
        collections: vec!["articles".to_owned()],
        ..Default::default()
    };
    let mut stream = events.subscribe(request(wanted(0), &admin)).await.unwrap().into_inner();
    let mut titles = Vec::new();
    let mut last = 0;
    for _ in 0..2 {
        let message = tokio::time::timeout(SOON, stream.message()).await.unwrap().unwrap().unwrap();
        assert!(message.position > last);
        last = message.position;
        titles.push(serde_json::from_slice::<Value>(&message.event).unwrap()["payload"]["title"].clone());
    }
    drop(stream);
    world.api.post("/items/articles", json!({"title": "later"})).await.expect(200);
    let mut stream = events.subscribe(request(wanted(last), &admin)).await.unwrap().into_inner();
    while titles.last().unwrap() != "later" {
        let message = tokio::time::timeout(SOON, stream.message()).await.unwrap().unwrap().unwrap();
        assert!(message.position > last);
        last = message.position;
        titles.push(serde_json::from_slice::<Value>(&message.event).unwrap()["payload"]["title"].clone());
    }
    let expected = ["by access token", "large", "small", "later"];
    assert_eq!(titles, expected);
}

#[tokio::test]
async fn the_door() {
    let world = world(shape!(), false).await;
    credentials(&world).await;
    refusals(&world).await;
    queries_and_sizes(&world).await;
    subscription(&world).await;
}

#[tokio::test]
async fn many_items_are_streamed() {
    let world = world(shape!(), false).await;
    streams::streams(&world).await;
}

#[tokio::test]
async fn clients_and_reflection() {
    let shape = shape!();
    let world = world(shape, true).await;
    clients::documented(&world).await;
    clients::healthy(&world, "eventus.items.v1.ItemsService").await;
    match shape {
        Shape::AllInOne => {
            let everything = [
                "items",
                "schema",
                "events",
                "history",
                "imports",
                "upkeep",
                "calls",
                "auth",
                "accounts",
                "hooks",
                "analytics",
                "webhooks",
            ];
            clients::reflected(world.grpc, &everything).await;
            clients::healthy(&world, "eventus.analytics.v1.AnalyticsService").await;
        }
        Shape::Split => {
            clients::reflected(
                world.grpc,
                &["items", "schema", "events", "history", "imports", "upkeep", "calls"],
            )
            .await;
            clients::unknown_to_health(&world, "eventus.analytics.v1.AnalyticsService").await;
        }
    }
}

#[tokio::test]
async fn without_reflection_nothing_is_told() {
    let world = world(shape!(), false).await;
    clients::not_reflected(&world).await;
    clients::healthy(&world, "").await;
}

#[test]
fn the_document_shows_the_programs_that_run() {
    for name in ["items.py", "items.rs"] {
        crate::example::is_shown("docs/GRPC.md", name);
    }
}

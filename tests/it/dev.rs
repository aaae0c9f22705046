//! `eventus dev` from a newcomer's chair: what it prints works, it ends without a trace, and the data stay.

mod started;

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use proto::items::v1::ReadItemsRequest;
use proto::items::v1::items_service_client::ItemsServiceClient;
use serde_json::{Value, json};
use tonic::transport::Endpoint;

use crate::all_in_one::grpc::clients;
use started::{Dev, Place};

/// A warm start to the first healthy answer. The product's own bar is 3 s on an idle machine; the tests share theirs.
const WARM: Duration = Duration::from_secs(10);

/// The password that a first start prints, once.
fn printed_password(said: &str) -> Option<&str> {
    said.split_once("first admin: admin@example.com with password ")?.1.split_whitespace().next()
}

/// Ctrl-C: exit code 0, and nobody is left.
async fn ends_well(place: &Place, dev: Dev) {
    let (status, took) = dev.interrupt().await;
    assert_eq!(status.code(), Some(0));
    place.deserted().await;
    println!("Ctrl-C to the end: {took:?}");
}

/// Makes the collection and one item by the printed commands, and sees the item's event by the printed NATS line.
async fn first_minutes(dev: &Dev) {
    let [collection, item] = dev.shown("curl").try_into().unwrap();
    assert_eq!(dev.try_out(&collection).await["collection"], "articles");
    let line = dev.shown("nats").pop().unwrap();
    let [_, url, _, subject, _] = line.split('\'').collect::<Vec<_>>().try_into().unwrap();
    assert_eq!((url, subject), (dev.told("NATS").as_str(), "items.create.>"));
    let client = testkit::nats_client(url).await;
    let mut events = client.subscribe(subject.to_owned()).await.unwrap();
    testkit::subscribed(&client).await;
    assert_eq!(dev.try_out(&item).await["title"], "Hello");
    let message = tokio::time::timeout(started::PATIENCE, events.next()).await.unwrap().unwrap();
    assert_eq!(message.subject.as_str(), "items.create.articles");
    let event: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(event["payload"]["title"], "Hello");
}

/// Reflection answers at the printed address, and the printed call is answered with the printed token.
async fn grpc_answers(dev: &Dev) {
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
    let address = dev.told("gRPC");
    clients::reflected(address.parse().unwrap(), &everything).await;
    let line = dev.shown("grpcurl").pop().unwrap();
    let [_, header, _, body, call] = line.split('\'').collect::<Vec<_>>().try_into().unwrap();
    assert!(call.contains(&format!("{address} eventus.items.v1.ItemsService/ReadItems")), "{line}");
    let body: Value = serde_json::from_str(body).unwrap();
    let collection = body["collection"].as_str().unwrap().to_owned();
    let mut request = tonic::Request::new(ReadItemsRequest { collection, ..Default::default() });
    let (name, value) = header.split_once(": ").unwrap();
    assert_eq!(name, "authorization");
    request.metadata_mut().insert("authorization", value.parse().unwrap());
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let answer = ItemsServiceClient::new(channel).read_items(request).await.unwrap().into_inner();
    let items: Value = serde_json::from_slice(&answer.items).unwrap();
    assert_eq!(items[0]["title"], "Hello");
}

#[tokio::test]
async fn a_start_from_nothing_and_a_warm_one() {
    let mut place = Place::new();
    let (dev, cold) = place.start(&[], &[]).await;
    println!("cold start to the first healthy answer: {cold:?}");
    assert_eq!(dev.told("HTTP"), format!("http://{}", dev.http));
    assert!(dev.told("metrics").ends_with("/metrics"));
    let (token, said) = (dev.told("token"), dev.said());
    let password = printed_password(&said).expect("a password for the first admin").to_owned();
    first_minutes(&dev).await;
    grpc_answers(&dev).await;
    ends_well(&place, dev).await;

    let (dev, warm) = place.start(&[], &[]).await;
    println!("warm start to the first healthy answer: {warm:?}");
    assert!(warm <= WARM, "{warm:?}\n{}", dev.said());
    assert_eq!((dev.told("token"), printed_password(&dev.said())), (token, None), "shown once");
    let api = dev.api();
    assert_eq!(api.get("/items/articles?fields=title").await.expect(200).data(), json!([{"title": "Hello"}]));
    assert_eq!(api.get("/users/me").await.expect(200).data()["email"], "admin@example.com");
    let login = json!({"email": "admin@example.com", "password": password});
    api.with_token(None).post("/auth/login", login).await.expect(200);
    grpc_answers(&dev).await;
    ends_well(&place, dev).await;
}

/// Ended in the middle of the first start, and by kill -9: the next start works at once, with the data.
#[tokio::test]
async fn a_violent_end_leaves_nothing_in_the_way() {
    let mut place = Place::new();
    let mut dev = place.spawn(&[], &[]);
    dev.says("starting a private PostgreSQL").await;
    dev.interrupt().await;

    let (dev, _) = place.start(&[], &[]).await;
    first_minutes(&dev).await;
    dev.kill9();

    let (dev, again) = place.start(&[], &[]).await;
    println!("start right after kill -9 to the first healthy answer: {again:?}");
    let titles = dev.api().get("/items/articles?fields=title").await.expect(200).data();
    assert_eq!(titles, json!([{"title": "Hello"}]));
    let item = dev.shown("curl").pop().unwrap();
    assert_eq!(dev.try_out(&item).await["id"], 2);
    dev.kill9();
    place.deserted().await;
}

/// Servers that are given are used, and no private ones beside them.
#[tokio::test]
async fn given_servers_are_used() {
    let (database, nats) = (testkit::database(db::migrate_url).await, testkit::Nats::start().await);
    let (database_url, nats_url) = (("DATABASE_URL", database.url.as_str()), ("NATS_URL", &*nats.url()));
    let mut place = Place::new();
    let (dev, _) = place.start(&[], &[database_url, nats_url]).await;
    assert_eq!(dev.told("NATS"), nats.url());
    first_minutes(&dev).await;
    let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
    let titles: Vec<String> =
        sqlx::query_scalar("SELECT title FROM articles").fetch_all(&pool).await.unwrap();
    assert_eq!(titles, ["Hello"]);
    assert_eq!(place.living().len(), 1, "{:?}", place.living());
    assert!(!place.home().join("postgres").exists() && !place.home().join("nats").exists());
    ends_well(&place, dev).await;

    let (dev, _) = place.start(&[], &[database_url]).await;
    assert_ne!(dev.told("NATS"), nats.url());
    let titles = dev.api().get("/items/articles?fields=title").await.expect(200).data();
    assert_eq!(titles, json!([{"title": "Hello"}]));
    assert!(!place.home().join("postgres").exists() && place.home().join("nats").exists());
    ends_well(&place, dev).await;
}

/// The receiver's line for the event of an order: its signature was verified and its body printed.
fn received(said: &str, order: &Value) -> Option<Value> {
    let lines: Vec<&str> = said.lines().collect();
    let pairs =
        lines.windows(2).filter(|pair| pair[0].starts_with("receiver: signature verified, webhook-id"));
    let bodies = pairs.filter_map(|pair| pair[1].strip_prefix("receiver: "));
    let mut bodies = bodies.filter_map(|body| serde_json::from_str::<Value>(body).ok());
    let key = order["id"].to_string();
    bodies.find(|body| body["data"]["collection"] == "orders" && body["data"]["key"] == *key)
}

/// The printed curl makes an order, whose event reaches the receiver, an action hook and the analytics.
async fn whole_road(dev: &mut Dev, count: u64) {
    let curl = dev.shown("curl").remove(0);
    let order = dev.try_out(&curl).await;
    assert_eq!((&order["customer"], &order["quantity"]), (&json!(1), &json!(2)));
    let end = Instant::now() + started::PATIENCE;
    let webhook = loop {
        let said = dev.said();
        if let Some(webhook) = received(&said, &order) {
            break webhook;
        }
        assert!(Instant::now() < end && !said.contains("REFUSED"), "{said}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(
        (&webhook["type"], &webhook["data"]["payload"]["title"]),
        (&json!("items.create"), &order["title"])
    );
    let (api, id) = (dev.api(), webhook["data"]["id"].as_str().unwrap().to_owned());
    dev.until(async || {
        let runs = api.get(&format!("/hooks/runs?event_id={id}")).await.expect(200).data();
        let counts = api.get("/analytics/metrics?collection=orders").await.expect(200).data();
        runs[0]["hook"] == "log_change" && counts[0]["count"] == json!(count)
    })
    .await;
}

#[tokio::test]
async fn the_demo_shows_the_whole_road() {
    let mut place = Place::new();
    let (mut dev, cold) = place.start(&["--demo"], &[]).await;
    println!("cold start of the demo to the first healthy answer: {cold:?}");
    let api = dev.api();
    let related = api.get("/relations/orders").await.expect(200).data();
    let mut related: Vec<_> =
        related.as_array().unwrap().iter().map(|to| to["related_collection"].to_string()).collect();
    related.sort();
    assert_eq!(related, ["\"customers\"", "\"products\""]);
    let slugs = api.get("/items/products?fields=slug&sort=id").await.expect(200).data();
    assert_eq!(slugs, json!([{"slug": "brass-compass"}, {"slug": "cafe-thermos"}]));
    assert_eq!(api.get("/items/customers").await.expect(200).data().as_array().unwrap().len(), 2);
    let stranger = json!({"customer": 99, "product": 1});
    api.post("/items/orders", stranger).await.refused(400, "INVALID_FOREIGN_KEY");
    whole_road(&mut dev, 1).await;
    let receivers =
        |place: &Place| place.living().iter().filter(|command| command.contains(" receive ")).count();
    assert_eq!(receivers(&place), 1, "a process of its own: {:?}", place.living());
    dev.kill9();
    place.deserted().await;

    let (mut dev, _) = place.start(&["--demo"], &[]).await;
    assert_eq!(receivers(&place), 1, "{:?}", place.living());
    whole_road(&mut dev, 2).await;
    ends_well(&place, dev).await;
}

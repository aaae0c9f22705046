//! The items service through its gRPC door, in process, on real PostgreSQL and NATS.

mod cursor_plan;
mod fan_out;
mod past;
mod search;

use std::sync::Arc;
use std::time::Duration;

use chassis::telemetry::{self, TelemetryConfig};
use chassis::{Env, Runtime, Shutdown};
use items_service::{Config, Face, Links};
use model::{RandomIds, SystemClock};
use proto::items::v1::items_service_client::ItemsServiceClient;
use proto::items::v1::update_items_request::Target;
use proto::items::v1::{
    CreateItemsRequest, DeleteItemsRequest, Keys, ReadItemRequest, UpdateItemsRequest, WriteItemsResponse,
    delete_items_request,
};
use proto::schema::v1::CreateCollectionRequest;
use proto::schema::v1::schema_service_client::SchemaServiceClient;
use rpc::{Caller, Channel, LocalSlot};
use serde_json::{Value, json};
use tonic::{Request, Status};

/// A service of its own for one test.
struct Service {
    channel: Channel,
    pool: db::Db,
    shutdown: Shutdown,
    servers: testkit::World,
}

impl Service {
    async fn start() -> Self {
        let quiet = TelemetryConfig::from_env(&Env::from_pairs([("LOG_LEVEL", "info")]), "items").unwrap();
        // One subscriber per process: where tests share one, the first wins.
        let _ = telemetry::init(&quiet);
        let servers = testkit::World::start("items").await;
        let (slot, nobody) = (LocalSlot::new(), Channel::local(&LocalSlot::new()));
        let secret = "a secret of more than 32 characters for tests";
        let signet = |purpose| secrets::Signet::try_new(secret, purpose).unwrap();
        let links = Links {
            db: servers.db.clone(),
            bus: servers.bus.clone(),
            signer: servers.signer.clone(),
            auth: nobody.clone(),
            hooks: nobody,
            sealer: secrets::Sealer::try_new(secret).unwrap(),
            cursors: signet("cursors"),
            places: secrets::Sealer::with_purpose(secret, "places of the log").unwrap(),
            requests: signet("requests"),
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
        };
        let shutdown = Shutdown::new();
        let runtime = Runtime::new(shutdown.clone());
        let face = Face { grpc: None, local: slot.clone() };
        let child = runtime.child();
        runtime.tasks.spawn_to_the_end("items", items_service::run(Config::default(), links, face, child));
        let ready = slot.clone();
        testkit::eventually(testkit::PATIENCE, || async { ready.is_bound() }).await;
        let channel = Channel::local(&slot);
        Self { channel, pool: servers.db.clone(), shutdown, servers }
    }

    fn ask<T>(&self, message: T) -> Request<T> {
        rpc::outgoing(&self.servers.signer, &SystemClock, &Caller::process("tests"), message)
    }

    async fn collection(&self, definition: Value) {
        let definition = definition.to_string().into();
        let mut schema = SchemaServiceClient::new(self.channel.clone());
        schema
            .create_collection(self.ask(CreateCollectionRequest { definition, concurrent_indexes: false }))
            .await
            .unwrap();
    }

    fn items(&self) -> ItemsServiceClient<Channel> {
        ItemsServiceClient::new(self.channel.clone())
    }

    async fn create(&self, collection: &str, payload: Value) -> Result<WriteItemsResponse, Status> {
        let request = CreateItemsRequest {
            collection: collection.to_owned(),
            payload: payload.to_string().into(),
            ..CreateItemsRequest::default()
        };
        Ok(self.items().create_items(self.ask(request)).await?.into_inner())
    }

    async fn update(
        &self,
        collection: &str,
        target: Target,
        payload: Value,
    ) -> Result<WriteItemsResponse, Status> {
        let request = UpdateItemsRequest {
            collection: collection.to_owned(),
            target: Some(target),
            payload: payload.to_string().into(),
            ..UpdateItemsRequest::default()
        };
        Ok(self.items().update_items(self.ask(request)).await?.into_inner())
    }

    async fn count(&self, sql: &'static str) -> i64 {
        self.servers.number(sql).await
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shutdown.begin_hard();
    }
}

fn keys(keys: &[&str]) -> Target {
    Target::Keys(Keys { keys: keys.iter().map(|key| (*key).to_owned()).collect() })
}

fn counters() -> Value {
    json!({"collection": "counters", "schema": {}, "fields": [
        {"field": "n", "type": "integer"}, {"field": "label", "type": "string"},
    ]})
}

/// Writers that meet at one item: every change is one event, versions have no gap and no double, and each event's
/// old values are the new values of the one before it.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_one_item_line_up() {
    let service = Arc::new(Service::start().await);
    service.collection(counters()).await;
    service.create("counters", json!([{"n": 0}, {"n": 0}])).await.unwrap();
    let writers = (1..=16).map(|writer| {
        let service = Arc::clone(&service);
        async move {
            for step in 0..10 {
                let both = if step % 2 == 0 { ["1", "2"] } else { ["2", "1"] };
                service.update("counters", keys(&both), json!({"n": writer * 100 + step})).await.unwrap();
            }
        }
    });
    futures_util::future::join_all(writers).await;
    for key in ["1", "2"] {
        let rows: Vec<(i64, Option<Value>, Option<Value>)> = sqlx::query_as(
            "SELECT version, payload, previous FROM eventus.events WHERE collection = 'counters' AND key = $1 \
             ORDER BY position",
        )
        .bind(key)
        .fetch_all(&service.pool)
        .await
        .unwrap();
        assert_eq!(rows.len(), 161);
        for (index, pair) in rows.windows(2).enumerate() {
            assert_eq!(pair[1].0, i64::try_from(index).unwrap() + 2, "versions have no gap");
            let (new, old) = (pair[0].1.as_ref().unwrap(), pair[1].2.as_ref().unwrap());
            assert_eq!(new["n"], old["n"], "old values are those of the version before");
        }
    }
}

/// More items than one statement takes: one transaction, all or none.
#[tokio::test(flavor = "multi_thread")]
async fn many_items_are_one_write() {
    let service = Service::start().await;
    service.collection(counters()).await;
    let many: Vec<Value> = (0..2_500).map(|n| json!({"n": n})).collect();
    let made = service.create("counters", json!(many)).await.unwrap();
    assert_eq!(made.keys.len(), 2_500);
    let items: Value = serde_json::from_slice(&made.items).unwrap();
    assert_eq!((&items[0]["n"], &items[2_499]["n"]), (&json!(0), &json!(2_499)));
    let batches = "SELECT count(DISTINCT batch_id) FROM eventus.events WHERE name = 'items.create'";
    assert_eq!(service.count(batches).await, 1);
    let mut bad = many.clone();
    bad[2_400] = json!({"n": "wrong"});
    assert!(service.create("counters", json!(bad)).await.is_err());
    assert_eq!(service.count("SELECT count(*) FROM counters").await, 2_500);
    let each: Vec<Value> = (1..=1_500).map(|id| json!({"id": id, "label": format!("l{id}")})).collect();
    let changed = service.update("counters", Target::Each(true), json!(each)).await.unwrap();
    assert_eq!(changed.keys.len(), 1_500);
    let twice = json!([{"id": 1, "n": 7}, {"id": 1, "n": 8}, {"id": 2, "label": "x"}]);
    let changed = service.update("counters", Target::Each(true), twice).await.unwrap();
    let items: Value = serde_json::from_slice(&changed.items).unwrap();
    assert_eq!((&items[0]["n"], &items[1]["label"]), (&json!(8), &json!("x")));
    let delete = DeleteItemsRequest {
        collection: "counters".to_owned(),
        target: Some(delete_items_request::Target::Matching(Vec::new().into())),
        ..DeleteItemsRequest::default()
    };
    let gone = service.items().delete_items(service.ask(delete)).await.unwrap().into_inner();
    assert_eq!(gone.keys.len(), 2_500);
    assert_eq!(service.count("SELECT count(*) FROM eventus.events WHERE name = 'items.delete'").await, 2_500);
}

/// A change by query asks its filter again once it holds the lock.
#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_stopped_fitting_is_left_alone() {
    let service = Service::start().await;
    service.collection(counters()).await;
    service.create("counters", json!([{"n": 1, "label": "a"}, {"n": 1, "label": "b"}])).await.unwrap();
    let mut other = service.pool.begin().await.unwrap();
    sqlx::query("UPDATE counters SET n = 2 WHERE id = 1").execute(&mut *other).await.unwrap();
    let query = query::Query::from_query_string("filter[n][_eq]=1").unwrap().to_bytes();
    let change = service.update("counters", Target::Matching(query.into()), json!({"label": "hit"}));
    let (changed, ()) = tokio::join!(change, async {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        testkit::eventually(Duration::from_secs(10), || async { service.count(waiting).await > 0 }).await;
        other.commit().await.unwrap();
    });
    assert_eq!(changed.unwrap().keys, ["2"]);
    assert_eq!(service.count("SELECT count(*) FROM counters WHERE label = 'hit'").await, 1);
}

/// Values come back as they went in, whatever letters they hold; keys of text work as keys.
#[tokio::test(flavor = "multi_thread")]
async fn text_is_only_text() {
    let service = Service::start().await;
    service
        .collection(json!({"collection": "texts", "schema": {}, "fields": [
            {"field": "id", "type": "string", "schema": {"is_primary_key": true}}, {"field": "body", "type": "text"},
        ]}))
        .await;
    for key in ["a'b", "\"quoted\"", "x; DROP TABLE texts; --", "ünïcödé ✓", "{a,b}", "\\", "NULL"] {
        let made = service.create("texts", json!({"id": key, "body": key})).await.unwrap();
        let items: Value = serde_json::from_slice(&made.items).unwrap();
        assert_eq!(items, json!([{"id": key, "body": key}]));
        let read =
            ReadItemRequest { collection: "texts".to_owned(), key: key.to_owned(), ..Default::default() };
        let item = service.items().read_item(service.ask(read)).await.unwrap().into_inner().item;
        assert_eq!(serde_json::from_slice::<Value>(&item).unwrap()["body"], key);
        service.update("texts", keys(&[key]), json!({"body": null})).await.unwrap();
    }
    assert_eq!(service.count("SELECT count(*) FROM eventus.events WHERE collection = 'texts'").await, 14);
}

//! What operators do with the log: dead letters, replays, rebuilds; over HTTP, gRPC and the command line.

use std::time::Duration;

use proto::upkeep::v1::ListConsumersRequest;
use proto::upkeep::v1::upkeep_service_client::UpkeepServiceClient;
use serde_json::{Value, json};
use tokio::process::Command;
use tonic::Request;

use crate::api::Api;
use crate::example;
use crate::world::{Options, TOKEN, World, binary};

mod letters;

const SOON: Duration = Duration::from_secs(20);

/// Every change of such an item is refused by the database where a consumer writes it down.
const POISON: &str = "
CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'this is poison'; END $$;
CREATE TRIGGER poison BEFORE INSERT ON eventus.webhook_deliveries FOR EACH ROW
    WHEN (NEW.event = 'custom.poison') EXECUTE FUNCTION poison();
CREATE TRIGGER poison BEFORE INSERT ON eventus.analytics_daily FOR EACH ROW
    WHEN (NEW.action = 'poison') EXECUTE FUNCTION poison()";
const CURED: &str = "DROP FUNCTION poison() CASCADE";

async fn world() -> World {
    let options = Options::default().set("EVENTUS_CONSUMER_ATTEMPTS", "3");
    let world = World::with(shape!(), options).await;
    world.collection("articles", json!([{"field": "title", "type": "string"}])).await;
    world
}

async fn run(world: &World, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&world.pool().await).await.unwrap();
}

/// The command line on the world's database; gives its lines.
async fn command(world: &World, arguments: &[&str]) -> Vec<Value> {
    let mut command = Command::new(binary());
    command.args(arguments).env_clear();
    command.env("DATABASE_URL", &world.database.url).env("NATS_URL", world.nats.url());
    let printed = example::run(command).await;
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn emit(api: &Api, event: &str) -> Value {
    api.post("/events", json!({"event": event})).await.expect(200).data()
}

async fn ended(api: &Api, replay: &Value) -> Value {
    let path = format!("/utils/replays/{}", replay["id"].as_str().unwrap());
    testkit::eventually_some(SOON, || async {
        let replay = api.get(&path).await.expect(200).data();
        (!["pending", "running"].contains(&replay["state"].as_str().unwrap())).then_some(replay)
    })
    .await
}

async fn waiting(api: &Api, consumer: &str) -> Vec<Value> {
    let found = api.get(&format!("/utils/dead-letters?consumer={consumer}")).await.expect(200).data();
    found.as_array().unwrap().clone()
}

/// A poisoned event is a dead letter, once, for each consumer that can't take it; its neighbours go on. Cured, it is
/// requeued and has its effect, once.
#[tokio::test]
async fn a_poisoned_event_stops_nobody_and_is_requeued() {
    let world = world().await;
    let api = &world.api;
    let receiver = testkit::Sink::start().await;
    let endpoint = json!({"url": receiver.url("/hook"), "events": ["custom.*"]});
    api.post("/webhooks/endpoints", endpoint).await.expect(200);
    run(&world, POISON).await;
    emit(api, "custom.one").await;
    let poison = emit(api, "custom.poison").await;
    emit(api, "custom.two").await;
    receiver.wait_for(2, SOON).await;
    testkit::eventually(SOON, || async { waiting(api, "webhooks").await.len() == 1 }).await;
    testkit::eventually(SOON, || async { waiting(api, "analytics").await.len() == 1 }).await;
    let letter = waiting(api, "webhooks").await.remove(0);
    assert_eq!((&letter["id"], &letter["position"]), (&poison["id"], &poison["position"]));
    assert_eq!((&letter["attempts"], &letter["event"]["name"]), (&json!(3), &json!("custom.poison")));
    assert!(letter["reason"].as_str().unwrap().contains("this is poison"), "{letter}");
    assert_eq!(letter["trace_id"].as_str().unwrap().len(), 32);
    assert!(api.get("/utils/consumers").await.expect(200).data().as_array().unwrap().iter().any(
        |consumer| {
            consumer["name"] == "webhooks" && consumer["dead_letters"] == 1 && consumer["effects"] == true
        }
    ));

    // Still poison: it is given up again, and nothing is lost or doubled.
    let wish = json!({"consumer": "webhooks", "ids": [poison["id"]]});
    let requeued = api.post("/utils/dead-letters/requeue", wish.clone()).await.expect(200).data();
    let requeued = ended(api, &requeued).await;
    let said = (&requeued["state"], &requeued["applied"], &requeued["buried"]);
    assert_eq!(said, (&json!("done"), &json!(0), &json!(1)));
    assert_eq!(waiting(api, "webhooks").await[0]["attempts"], 6);

    run(&world, CURED).await;
    let requeued = api.post("/utils/dead-letters/requeue", wish.clone()).await.expect(200).data();
    assert_eq!(ended(api, &requeued).await["applied"], 1);
    let received = receiver.wait_for(3, SOON).await;
    let last: Value = serde_json::from_slice(&received[2].body).unwrap();
    assert_eq!(last["type"], "custom.poison");
    api.post("/utils/dead-letters/requeue", wish).await.refused(400, "INVALID_PAYLOAD");
    let lines = command(&world, &["dlq", "requeue", "analytics", "--all", "--wait"]).await;
    assert_eq!((&lines[0]["state"], &lines[0]["applied"]), (&json!("done"), &json!(1)));
    world.quiet(SOON).await;
    let counts = api.get("/analytics/metrics?action=poison").await.expect(200).data();
    assert_eq!(counts[0]["count"], 1);
    assert_eq!(receiver.wait_for(3, SOON).await.len(), 3);
}

/// What was delivered is delivered again when an operator insists, once per replay, under the same id.
#[tokio::test]
async fn a_replay_has_its_effects_again() {
    let world = world().await;
    let api = &world.api;
    let receiver = testkit::Sink::start().await;
    let endpoint = json!({"url": receiver.url("/hook"), "events": ["items.*"]});
    api.post("/webhooks/endpoints", endpoint).await.expect(200);
    let items = json!([{"title": "a"}, {"title": "b"}, {"title": "c"}]);
    api.post("/items/articles", items).await.expect(200);
    let first = receiver.wait_for(3, SOON).await;
    world.quiet(SOON).await;
    let events = api.get("/utils/events?collection=articles").await.expect(200).data();
    let position = |index: usize| events[index]["position"].as_i64().unwrap();

    let wish = json!({"consumer": "webhooks", "from": position(0), "to": position(1)});
    let refused = api.post("/utils/replays", wish).await.refused(400, "INVALID_PAYLOAD");
    assert!(refused.text.contains("effects"), "{}", refused.text);
    let wish = json!({"consumer": "webhooks", "from": position(0), "to": position(1), "effects": true});
    let replay = api.post("/utils/replays", wish).await.expect(200).data();
    let replay = ended(api, &replay).await;
    let said = (&replay["kind"], &replay["applied"], &replay["buried"]);
    assert_eq!(said, (&json!("replay"), &json!(2), &json!(0)));
    let again = receiver.wait_for(5, SOON).await;
    let known = |id: &str| first.iter().any(|one| one.header("webhook-id") == id);
    assert!(again[3..].iter().all(|one| known(one.header("webhook-id"))));
    world.quiet(SOON).await;

    // By id, for hooks: their runs are told anew.
    let runs = "SELECT count(*) FROM eventus.hook_runs WHERE replay IS NOT NULL";
    let id = events[2]["id"].as_str().unwrap();
    let lines = command(&world, &["events", "replay", "hooks", "--id", id, "--effects", "--wait"]).await;
    assert_eq!((&lines[0]["state"], &lines[0]["applied"]), (&json!("done"), &json!(1)));
    let count: i64 = sqlx::query_scalar(runs).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(count, 1);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM eventus.inbox WHERE consumer LIKE '%/%'")
        .fetch_one(&world.pool().await)
        .await
        .unwrap();
    assert_eq!(left, 0, "a replay's inbox goes with it");

    // Counts hold each event once: nothing to replay, and nothing counted twice.
    let before = api.get("/analytics/metrics?collection=articles").await.expect(200).text;
    let wish = json!({"consumer": "analytics", "from": 1});
    let replay = api.post("/utils/replays", wish).await.expect(200).data();
    assert_eq!(ended(api, &replay).await["applied"], 0);
    assert_eq!(api.get("/analytics/metrics?collection=articles").await.expect(200).text, before);
    assert_eq!(receiver.wait_for(5, SOON).await.len(), 5);
}

/// Counts that went wrong are made anew from the log, to the same sums as the live ones, while events go on.
#[tokio::test]
async fn a_rebuilt_read_model_is_the_live_one() {
    let world = world().await;
    let api = &world.api;
    let many: Vec<Value> = (0..500).map(|number| json!({"title": format!("n {number}")})).collect();
    api.post("/items/articles", json!(many)).await.expect(200);
    world.quiet(SOON).await;
    let live = api.get("/analytics/metrics").await.expect(200).text;
    run(
        &world,
        "UPDATE eventus.analytics_daily SET count = count + 7;
        INSERT INTO eventus.analytics_daily VALUES ('2020-01-01', 'never', 'create', 1)",
    )
    .await;

    let rebuild = api.post("/utils/consumers/analytics/rebuild", json!({})).await.expect(200).data();
    let rebuilt = ended(api, &rebuild).await;
    assert_eq!((&rebuilt["state"], &rebuilt["kind"]), (&json!("done"), &json!("rebuild")), "{rebuilt}");
    assert_ne!(rebuilt["result"]["checksum"], rebuilt["result"]["checksum_before"]);
    assert_eq!(api.get("/analytics/metrics").await.expect(200).text, live);

    // While it runs, others write; both come to the same.
    for number in 0..20 {
        api.post("/items/articles", json!({"title": format!("late {number}")})).await.expect(200);
    }
    let lines = command(&world, &["consumers", "rebuild", "analytics", "--wait"]).await;
    assert_eq!(
        (&lines[0]["state"], &lines[0]["result"]["changed"]),
        (&json!("done"), &json!(0)),
        "{lines:?}"
    );
    let result = &lines[0]["result"];
    assert_eq!(result["checksum"], result["checksum_before"]);
    world.quiet(SOON).await;
    let counts = api.get("/analytics/metrics?collection=articles&action=create").await.expect(200).data();
    assert_eq!(counts[0]["count"], 520);
    api.post("/utils/consumers/webhooks/rebuild", json!({})).await.refused(400, "INVALID_PAYLOAD");
}

/// Nobody but administrators; and what can't be is said precisely.
#[tokio::test]
async fn only_administrators_and_only_what_is() {
    let world = world().await;
    let api = &world.api;
    world.user("someone@example.com", "upkeep-token-of-someone").await;
    for (path, body) in [
        ("/utils/replays", json!({"consumer": "webhooks", "from": 1, "effects": true})),
        ("/utils/dead-letters/requeue", json!({"consumer": "webhooks", "all": true})),
        ("/utils/dead-letters/drop", json!({"consumer": "webhooks", "all": true})),
        ("/utils/consumers/analytics/rebuild", json!({})),
    ] {
        for token in [Some("upkeep-token-of-someone"), None] {
            api.with_token(token).post(path, body.clone()).await.refused(403, "FORBIDDEN");
        }
    }
    for path in ["/utils/events", "/utils/consumers", "/utils/dead-letters", "/utils/replays"] {
        api.with_token(Some("upkeep-token-of-someone")).get(path).await.refused(403, "FORBIDDEN");
    }
    let id = "0199f0c4-7d7e-7c30-9a52-0b6ad8a3a3f1";
    for wrong in [
        json!({"consumer": "nobody", "from": 1}),
        json!({"consumer": "webhooks", "effects": true}),
        json!({"consumer": "webhooks", "from": 0, "effects": true}),
        json!({"consumer": "webhooks", "from": 2, "to": 1, "effects": true}),
        json!({"consumer": "webhooks", "since": "soon", "effects": true}),
        json!({"consumer": "webhooks", "ids": [id], "effects": true}),
    ] {
        api.post("/utils/replays", wrong).await.refused(400, "INVALID_PAYLOAD");
    }
    api.post("/utils/dead-letters/drop", json!({"consumer": "webhooks"}))
        .await
        .refused(400, "INVALID_PAYLOAD");
    api.get(&format!("/utils/replays/{id}")).await.refused(403, "FORBIDDEN");
    assert_eq!(api.get("/utils/replays").await.expect(200).data(), json!([]), "nothing was entered");

    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", world.grpc)).unwrap();
    let mut upkeep = UpkeepServiceClient::new(channel.connect().await.unwrap());
    let mut request = Request::new(ListConsumersRequest {});
    request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    world.quiet(SOON).await;
    let answer = upkeep.list_consumers(request).await.unwrap().into_inner().json;
    let consumers: Vec<Value> = serde_json::from_slice(&answer).unwrap();
    let names: Vec<&str> = consumers.iter().map(|consumer| consumer["name"].as_str().unwrap()).collect();
    assert!(["analytics", "hooks", "webhooks"].iter().all(|name| names.contains(name)), "{names:?}");
    assert!(
        consumers.iter().all(|consumer| consumer["lag"] == 0 && consumer["ack_floor"].is_u64()),
        "{consumers:?}"
    );
    let listed = command(&world, &["consumers", "ls"]).await;
    assert_eq!(listed.len(), consumers.len());
    assert!(listed.iter().all(|consumer| consumer["ack_floor"].is_u64()));
}

/// The log is cut off once nobody needs its beginning; what lies before is refused by name, and nothing after has changed.
#[tokio::test]
async fn what_lies_before_the_horizon_is_gone_and_nothing_else() {
    let world = world().await;
    let api = &world.api;
    let items = json!([{"title": "a"}, {"title": "b"}]);
    api.post("/items/articles", items).await.expect(200);
    world.quiet(SOON).await;
    let old = api.get("/utils/events?collection=articles").await.expect(200).data();
    let old = old[0]["position"].as_i64().unwrap();
    // The log goes on in its next partition, and what is in this one becomes old.
    run(
        &world,
        "UPDATE eventus.events SET time = time - interval '2 years';
        SELECT setval('eventus.events_position', 4194310)",
    )
    .await;
    api.patch("/items/articles/1", json!({"title": "c"})).await.expect(200);
    world.quiet(SOON).await;
    let pool = world.pool().await;
    let horizon = || async {
        sqlx::query_scalar::<_, i64>("SELECT position FROM eventus.horizon").fetch_one(&pool).await
    };
    testkit::eventually(SOON, || async { horizon().await.unwrap() == 4_194_303 }).await;

    for path in [
        format!("/items/articles?as_of={old}"),
        "/items/articles?as_of=1990-01-01".to_owned(),
        format!("/utils/events?from={old}"),
        format!("/utils/events?positions={old}"),
    ] {
        let refused = api.get(&path).await.refused(410, "HISTORY_GONE").json();
        assert_eq!(refused["errors"][0]["extensions"]["horizon"], 4_194_303, "{path}");
    }
    api.post("/utils/undo", json!({"from": old, "to": old})).await.refused(410, "HISTORY_GONE");
    let wish = json!({"consumer": "webhooks", "from": old, "effects": true});
    api.post("/utils/replays", wish).await.refused(410, "HISTORY_GONE");

    let events = api.get("/utils/events").await.expect(200).data();
    assert_eq!((events.as_array().unwrap().len(), &events[0]["version"]), (1, &json!(2)));
    let then = api.get("/items/articles?as_of=4194304").await.expect(200).data();
    assert_eq!(then, json!([{"id": 1, "title": "a"}, {"id": 2, "title": "b"}]));
    run(&world, "UPDATE eventus.horizon SET moved = now() - interval '2 minutes'").await;
    testkit::eventually(SOON, || async {
        let gone = "SELECT to_regclass('eventus.events_p0') IS NULL";
        sqlx::query_scalar(gone).fetch_one(&pool).await.unwrap()
    })
    .await;
    let revisions = api.get("/revisions?filter[collection][_eq]=articles").await.expect(200).data();
    assert_eq!(revisions.as_array().unwrap().len(), 1);
    assert_eq!(revisions[0]["data"], json!({"id": 1, "title": "c"}));
    let rebuild = api.post("/utils/consumers/analytics/rebuild", json!({})).await.expect(200).data();
    let rebuilt = ended(api, &rebuild).await;
    assert_eq!(
        (&rebuilt["state"], &rebuilt["result"]["after"]),
        (&json!("done"), &json!(4_194_303)),
        "{rebuilt}"
    );
    let counts = api.get("/analytics/metrics?collection=articles&action=create").await.expect(200).data();
    assert_eq!(counts[0]["count"], 2);
    api.post("/items/articles", json!({"title": "d"})).await.expect(200);
    world.quiet(SOON).await;
}

/// What is served of events says what they are: the document of the bus, by what one may read, and the schema.
#[tokio::test]
async fn the_bus_is_described() {
    let world = world().await;
    let api = &world.api;
    world.collection("größe 1.5", json!([{"field": "n", "type": "integer"}])).await;
    let document = api.get("/server/specs/asyncapi").await.expect(200).json();
    assert_eq!(document["asyncapi"], "3.0.0");
    let addresses = |document: &Value| -> Vec<String> {
        let channels = document["channels"].as_object().unwrap();
        channels.values().map(|channel| channel["address"].as_str().unwrap().to_owned()).collect()
    };
    let all = addresses(&document);
    for address in [
        "items.create.articles",
        "items.erase.articles",
        "items.delete.gr%C3%B6%C3%9Fe%201%2E5",
        "users.update",
        "auth.login",
        "custom.{event}",
    ] {
        assert!(all.iter().any(|found| found == address), "{address} of {all:?}");
    }
    let payload = &document["components"]["schemas"]["ItemsArticles"]["properties"];
    assert_eq!(
        payload["title"]["type"].as_array().map_or(&payload["title"]["type"], |types| &types[0]),
        "string"
    );
    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
    let public = addresses(&api.with_token(None).get("/server/specs/asyncapi").await.expect(200).json());
    assert_eq!(public, ["custom.{event}"], "what the public may not read it is not told of");

    api.post("/items/articles", json!({"title": "a"})).await.expect(200);
    world.quiet(SOON).await;
    let event = api.get("/utils/events?collection=articles").await.expect(200).data()[0].clone();
    let schema = api.get(&format!("/server/specs/events/{}", event["schema"])).await.expect(200).json();
    let members = event.as_object().unwrap();
    assert!(
        schema["required"]
            .as_array()
            .unwrap()
            .iter()
            .all(|name| members.contains_key(name.as_str().unwrap()))
    );
    assert!(members.keys().all(|name| !schema["properties"][name].is_null()));
    api.get("/server/specs/events/99").await.refused(404, "ROUTE_NOT_FOUND");
}

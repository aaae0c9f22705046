//! A relay that must not go on says so at every door for operators, and takes nothing from the clients.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::api::Api;
use crate::example;
use crate::world::{World, binary};

mod late;

const SOON: Duration = Duration::from_secs(20);

/// What the process with the relay says: its part of the health and the gauge.
async fn standing(admin: &Api) -> (Value, bool) {
    let health = admin.get("/health/ready").await.expect(200).json();
    let metrics = admin.get("/metrics").await.expect(200).text;
    let says = |line: &str| metrics.lines().any(|found| found == line);
    assert!(says("eventus_relay_holder 1"), "{metrics}");
    (health, says("eventus_relay_stalled 1"))
}

/// A stranger has published into the stream: the relay stands still until an operator has reset it.
#[tokio::test]
async fn a_relay_that_stands_still_says_so() {
    let mut world = World::start(shape!()).await;
    world.collection("articles", json!([{"field": "n", "type": "integer"}])).await;
    world.quiet(SOON).await;
    let items = world.process_of("items");
    let admin = Api::new(format!("http://{}", world.processes[items].admin), None);
    let (health, stalled) = standing(&admin).await;
    assert_eq!((&health["status"], &health["checks"]["relay"]["status"]), (&json!("ok"), &json!("ok")));
    assert!(!stalled);

    let client = world.nats.client().await;
    let stranger = async_nats::jetstream::new(client);
    stranger.publish("items.create.articles", "{}".into()).await.unwrap().await.unwrap();
    testkit::eventually(SOON, || async { standing(&admin).await.1 }).await;
    let (health, _) = standing(&admin).await;
    assert_eq!((&health["status"], &health["checks"]["relay"]["status"]), (&json!("warn"), &json!("warn")));
    let reason = health["checks"]["relay"]["reason"].as_str().unwrap();
    assert!(reason.contains("stands still") && reason.contains("foreign"), "{reason}");
    world.api.post("/items/articles", json!({"n": 1})).await.expect(200);
    world.api.get("/server/health").await.expect(200);

    assert!(world.terminate(items).success());
    let mut reset = Command::new(binary());
    reset.args(["relay", "reset"]).env_clear();
    reset.env("DATABASE_URL", &world.database.url).env("NATS_URL", world.nats.url());
    example::run(reset).await;
    world.spawn(items);
    world.ready().await;
    world.quiet(SOON).await;
    let (health, stalled) = standing(&admin).await;
    assert_eq!((&health["checks"]["relay"], stalled), (&json!({"status": "ok"}), false));
    let counts = world.api.get("/analytics/metrics?collection=articles").await.expect(200).data();
    assert_eq!(counts[0]["count"], 1, "what waited in the log has arrived");
}

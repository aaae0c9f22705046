//! Action hooks: from the log over the bus to their effects.

use bus::Failure;
use hooks_worker::hook::ActionHook;
use hooks_worker::{Config, Registry};
use model::{Accountability, Event};
use proto::hooks::v1::ListRunsRequest;
use sqlx::PgConnection;
use tonic::Code;

use crate::world::World;

/// Writes one row per event.
struct Effect;

#[tonic::async_trait]
impl ActionHook for Effect {
    fn name(&self) -> &'static str {
        "effect"
    }

    fn patterns(&self) -> &[&str] {
        &["items.*", "users.create", "custom.*"]
    }

    async fn run(&self, events: &[&Event], conn: &mut PgConnection) -> Result<(), Failure> {
        for event in events {
            if event.key == "poison" {
                return Err(Failure::Fail("this one never".into()));
            }
            let insert = sqlx::query("INSERT INTO effects VALUES ($1)").bind(event.id);
            insert.execute(&mut *conn).await.map_err(|error| Failure::Retry(error.into()))?;
        }
        Ok(())
    }
}

async fn world() -> World {
    let world = World::start().await;
    sqlx::query("CREATE TABLE effects (event_id uuid)").execute(&world.db).await.unwrap();
    world
}

fn registry() -> Registry {
    Registry::bundled(&Config::default()).action(Effect)
}

const EFFECTS: &str = "SELECT count(*) FROM effects";
const DISTINCT: &str = "SELECT count(DISTINCT event_id) FROM effects";
const RUNS: &str = "SELECT count(*) FROM eventus.hook_runs";

#[tokio::test]
async fn events_reach_the_hooks_that_want_them() {
    let world = world().await;
    world.relay().await;
    let worker = world.worker(registry(), Config::default()).await;
    world.append(&["items.create", "items.update"], true).await;
    let names = ["items.create", "users.create", "users.update", "items.delete", "custom.article.created"];
    let ids = world.append(&names, false).await;
    // `log_change` ran for two of them, `effect` for four; the silent ones came first and had none.
    world.until(RUNS, 6).await;
    assert_eq!((world.number(EFFECTS).await, world.number(DISTINCT).await), (4, 4));
    let wanted: bool = sqlx::query_scalar("SELECT bool_and(event_id = ANY($1)) FROM effects")
        .bind(&ids)
        .fetch_one(&world.db)
        .await
        .unwrap();
    assert!(wanted);

    let list = |event_id: String, limit| ListRunsRequest { event_id, limit };
    let admin = || Accountability { admin: true, ..Accountability::default() };
    let call = world.call(admin(), list(ids[0].to_string(), 0));
    let runs = worker.client.clone().list_runs(call).await.unwrap().into_inner().runs;
    let short: Vec<_> =
        runs.iter().map(|run| (run.hook.as_str(), run.kind.as_str(), run.event.as_str())).collect();
    assert_eq!(short, [("effect", "action", "items.create"), ("log_change", "action", "items.create")]);
    assert_eq!(runs[0].event_id, ids[0].to_string());
    assert_eq!(runs[0].trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    let call = world.call(admin(), list(String::new(), 4));
    assert_eq!(worker.client.clone().list_runs(call).await.unwrap().into_inner().runs.len(), 4);
    let call = world.call(Accountability::default(), list(String::new(), 0));
    assert_eq!(worker.client.clone().list_runs(call).await.unwrap_err().code(), Code::PermissionDenied);
    let call = world.call(admin(), list("x".to_owned(), 0));
    assert_eq!(worker.client.clone().list_runs(call).await.unwrap_err().code(), Code::InvalidArgument);
    worker.stop().await;
}

/// Workers come and go, and the stream is wiped and filled again from the log: each event has its effect once.
#[tokio::test]
async fn nothing_is_lost_or_doubled_when_everything_comes_again() {
    let mut world = world().await;
    world.relay().await;
    let first = world.worker(registry(), Config::default()).await;
    let names = ["items.create"; 300];
    world.append(&names, false).await;
    first.kill().await;
    world.append(&names, false).await;
    let second = world.worker(registry(), Config::default()).await;
    let third = world.worker(registry(), Config::default()).await;
    world.append(&names, false).await;
    second.kill().await;
    world.until(EFFECTS, 900).await;
    third.stop().await;

    world.nats.stop().await;
    world.nats.wipe_store();
    world.nats.restart().await;
    world.append(&names, false).await;
    world.bus.ready().await.unwrap();
    world.relay().await;
    let fourth = world.worker(registry(), Config::default()).await;
    world.until(EFFECTS, 1_200).await;
    fourth.stop().await;
    assert_eq!((world.number(EFFECTS).await, world.number(DISTINCT).await), (1_200, 1_200));
    assert_eq!(world.number(RUNS).await, 2_400);
    assert_eq!(world.number("SELECT count(*) FROM eventus.dead_letters").await, 0);
}

/// An event that one hook can't take becomes a dead letter with the hook's name; the other hook has run for it,
/// and the events behind it go on.
#[tokio::test]
async fn a_poisonous_event_is_buried_and_harms_no_other() {
    let world = world().await;
    world.relay().await;
    let worker = world.worker(registry(), Config::default()).await;
    world.append(&["items.create"; 20], false).await;
    let poison = world.append_key("poison").await;
    world.append(&["items.create"; 20], false).await;
    world.until("SELECT count(*) FROM eventus.dead_letters", 1).await;
    world.until(EFFECTS, 40).await;
    let (id, reason, trace): (uuid::Uuid, String, String) = sqlx::query_as(
        "SELECT event_id, reason, trace_id FROM eventus.dead_letters WHERE consumer = 'hooks'",
    )
    .fetch_one(&world.db)
    .await
    .unwrap();
    assert_eq!((id, trace.as_str()), (poison, "4bf92f3577b34da6a3ce929d0e0e4736"));
    assert_eq!(reason, "hook effect: this one never");
    world.until("SELECT count(*) FROM eventus.hook_runs WHERE hook = 'log_change'", 41).await;
    worker.stop().await;
}

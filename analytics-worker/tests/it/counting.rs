//! From the log over the bus to the counts: every event once, whoever dies.

use crate::world::{TOTAL, World};

#[tokio::test]
async fn every_event_of_every_scope_is_counted_silent_ones_too() {
    let world = World::start().await;
    world.relay().await;
    let worker = world.worker().await;
    world.append("items.create", "articles", 700, false).await;
    world.append("items.create", "articles", 5, true).await;
    world.append("items.delete", "articles", 3, false).await;
    world.append("users.create", "directus_users", 2, false).await;
    world.append("auth.login", "directus_users", 4, false).await;
    world.append("items.update", "Böse.*>.Namen \"x\"", 1, false).await;
    world.until_counted(715).await;
    let rows: Vec<(String, String, i64, bool)> = sqlx::query_as(
        "SELECT collection, action, count, day = (SELECT max(time AT TIME ZONE 'UTC')::date FROM eventus.events)
         FROM eventus.analytics_daily ORDER BY collection COLLATE \"C\", action",
    )
    .fetch_all(&world.db)
    .await
    .unwrap();
    let row = |collection: &str, action: &str, count| (collection.to_owned(), action.to_owned(), count, true);
    let expected = [
        row("Böse.*>.Namen \"x\"", "update", 1),
        row("articles", "create", 705),
        row("articles", "delete", 3),
        row("directus_users", "create", 2),
        row("directus_users", "login", 4),
    ];
    assert_eq!(rows, expected);
    worker.stop().await;
}

/// Workers come and go, and the stream is wiped and filled again from the log: the counts stay exact.
#[tokio::test]
async fn counts_are_exact_whatever_comes_again() {
    let mut world = World::start().await;
    world.relay().await;
    let first = world.worker().await;
    world.append("items.create", "articles", 3_000, false).await;
    first.kill().await;
    world.append("items.create", "articles", 3_000, false).await;
    let (second, third) = tokio::join!(world.worker(), world.worker());
    world.append("items.update", "articles", 3_000, false).await;
    second.kill().await;
    world.until_counted(9_000).await;
    third.stop().await;

    world.nats.stop().await;
    world.nats.wipe_store();
    world.nats.restart().await;
    world.append("items.create", "articles", 1_000, false).await;
    world.bus.ready().await.unwrap();
    world.relay().await;
    let fourth = world.worker().await;
    world.until_counted(10_000).await;
    fourth.stop().await;
    assert_eq!(world.number(TOTAL).await, 10_000);
    assert_eq!(world.number("SELECT count(*) FROM eventus.dead_letters").await, 0);
}

/// The database goes away in the middle: nothing is given up, nothing is lost.
#[tokio::test]
async fn a_database_that_is_away_for_a_while_costs_no_count() {
    let world = World::start().await;
    world.relay().await;
    let worker = world.worker().await;
    world.append("items.create", "articles", 500, false).await;
    for _ in 0..5 {
        let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
        sqlx::query(kill).execute(&world.db).await.unwrap();
        world.append("items.update", "articles", 100, false).await;
    }
    world.until_counted(1_000).await;
    assert_eq!(world.number("SELECT count(*) FROM eventus.dead_letters").await, 0);
    worker.stop().await;
}

//! Writes that stand in each other's way: PostgreSQL takes one back, and it is done again.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::world::{Options, World};

const SOON: Duration = Duration::from_secs(20);

async fn accounts(world: &World) {
    let fields = json!([{"field": "a", "type": "integer"}, {"field": "b", "type": "integer"}]);
    world.collection("accounts", fields).await;
    world.api.post("/items/accounts", json!([{"a": 0, "b": 0}, {"a": 0, "b": 0}])).await.expect(200);
}

/// How many backends wait for a lock.
async fn waiting(pool: &sqlx::PgPool) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

/// A foreign transaction holds the second item and wants the first; ours holds the first and wants the second. Ours is
/// the one that is taken back: it began to wait first, and the other one's patience is longer.
#[tokio::test]
async fn a_write_that_is_taken_back_in_a_deadlock_is_done_again() {
    let world = World::start(shape!()).await;
    accounts(&world).await;
    let pool = world.pool().await;
    let mut foreign = sqlx::PgConnection::connect(&world.database.url).await.unwrap();
    let mut tx = foreign.begin().await.unwrap();
    sqlx::raw_sql("SET LOCAL deadlock_timeout = '60s'; UPDATE accounts SET a = 1 WHERE id = 2")
        .execute(&mut *tx)
        .await
        .unwrap();
    let theirs = async {
        testkit::eventually(SOON, || async { waiting(&pool).await > 0 }).await;
        sqlx::raw_sql("UPDATE accounts SET a = 1 WHERE id = 1").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    };
    let body = json!({"keys": [1, 2], "data": {"b": 7}});
    let (changed, ()) = tokio::join!(world.api.patch("/items/accounts?fields=id,b", body), theirs);
    let changed = changed.expect(200).data();
    assert_eq!(changed, json!([{"id": 1, "b": 7}, {"id": 2, "b": 7}]));
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    testkit::eventually(SOON, || async {
        let counted: i64 = sqlx::query_scalar(deadlocks).fetch_one(&pool).await.unwrap();
        counted > 0
    })
    .await;
    let versions: Vec<i64> = sqlx::query_scalar(
        "SELECT version FROM eventus.events WHERE collection = 'accounts' AND name = 'items.update' ORDER BY key",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(versions, [2, 2], "done once");
    world.quiet(SOON).await;
}

/// Two of our own writers take the same items in opposite orders, many times.
#[tokio::test]
async fn writers_of_opposite_orders_all_get_through() {
    let database = testkit::database(db::migrate_url).await;
    let mut connection = sqlx::PgConnection::connect(&database.url).await.unwrap();
    // Deadlocks are found at once, else each costs a second.
    let hurry = format!("ALTER DATABASE \"{}\" SET deadlock_timeout = '20ms'", database.name);
    sqlx::raw_sql(sqlx::AssertSqlSafe(hurry)).execute(&mut connection).await.unwrap();
    let world = World::over(shape!(), Options::default(), database).await;
    accounts(&world).await;
    let pool = world.pool().await;
    let writer = |first: i64, second: i64| {
        let api = world.api.clone();
        async move {
            for round in 1..=15 {
                // Different fields: a statement each, in this order.
                let body: Value = json!([{"id": first, "a": round}, {"id": second, "b": round}]);
                api.patch("/items/accounts?fields=id", body).await.expect(200);
            }
        }
    };
    tokio::join!(writer(1, 2), writer(2, 1));
    let items = world.api.get("/items/accounts?fields=a,b").await.expect(200).data();
    assert_eq!(items, json!([{"a": 15, "b": 15}, {"a": 15, "b": 15}]));
    let counted: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM eventus.events WHERE collection = 'accounts' AND name = 'items.update'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(counted, 60, "each change once");
    world.quiet(SOON).await;
}

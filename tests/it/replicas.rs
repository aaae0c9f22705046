//! Several processes with the same roles on one database.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::world::{Options, Shape, World};

#[tokio::test]
async fn what_one_replica_defines_the_other_knows_within_a_second() {
    let mut world = World::start(Shape::AllInOne).await;
    let other = world.replica();
    world.ready().await;
    world.collection("posts", json!([{"field": "title", "type": "string"}])).await;
    let (mut slowest, one) = (Duration::ZERO, world.api.clone());
    for round in 0..5 {
        let (makes, uses) = if round % 2 == 0 { (&one, &other) } else { (&other, &one) };
        let field = format!("extra_{round}");
        makes.post("/fields/posts", json!({"field": field, "type": "string"})).await.expect(200);
        let made = Instant::now();
        loop {
            let answer = uses.get(&format!("/items/posts?fields={field}")).await;
            if answer.status == 200 {
                break;
            }
            assert!(made.elapsed() < Duration::from_secs(10), "{answer:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        slowest = slowest.max(made.elapsed());
    }
    println!("slowest: {slowest:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

/// Twenty at once on an empty database that has too few connections for all of them to ask as they like.
#[tokio::test]
async fn many_replicas_boot_at_once() {
    let database = testkit::empty_database().await;
    let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
    let role = format!("few_{}", database.name);
    let allowed = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'few' CONNECTION LIMIT 32; GRANT ALL ON DATABASE {0} TO {role}; \
         ALTER DATABASE {0} OWNER TO {role}; ALTER SCHEMA public OWNER TO {role}",
        database.name
    );
    sqlx::raw_sql(AssertSqlSafe(allowed)).execute(&pool).await.unwrap();
    let url = with_user(&database.url, &role, "few");
    let options =
        Options::default().set("DB_POOL__MAX", "2").set("DATABASE_URL", url).set("LOG_LEVEL", "warn");
    let begun = Instant::now();
    let mut world = World::unready(Shape::AllInOne, options, database).await;
    for _ in 0..19 {
        world.replica();
    }
    world.ready().await;
    let waited = world.whole_logs().matches("waiting for the database").count();
    println!("all ready after {:?}, {waited} times without a connection", begun.elapsed());
    let done: Vec<String> = sqlx::query_scalar("SELECT name FROM eventus.migrations ORDER BY version")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(done.len(), db::MIGRATIONS.len());
    let admins: i64 =
        sqlx::query_scalar("SELECT count(*) FROM directus_users").fetch_one(&pool).await.unwrap();
    assert_eq!(admins, 1);
    world.collection("posts", json!([{"field": "title", "type": "string"}])).await;
}

/// The address with another user.
fn with_user(url: &str, user: &str, password: &str) -> String {
    if let Some((address, parameters)) = url.split_once('?') {
        let kept = parameters.split('&').filter(|parameter| !parameter.starts_with("user="));
        let kept: Vec<&str> = kept.collect();
        return format!("{address}?{}&user={user}&password={password}", kept.join("&"));
    }
    let (scheme, rest) = url.split_once("://").unwrap();
    let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
    format!("{scheme}://{user}:{password}@{rest}")
}

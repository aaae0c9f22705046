//! Several processes with the same roles on one database.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::api::{Answer, Api};
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

/// One replica writes under a key and waits for an item; who asks another one is told so, and answered afterwards.
#[tokio::test]
async fn a_write_under_a_key_is_under_way_in_all_replicas() {
    let mut world = World::start(Shape::AllInOne).await;
    let other = world.replica();
    world.ready().await;
    world.collection("posts", json!([{"field": "title", "type": "string"}])).await;
    world.api.post("/items/posts", json!({"title": "a"})).await.expect(200);
    let pool = world.pool().await;
    let known = || async { other.get("/items/posts").await.status == 200 };
    testkit::eventually(Duration::from_secs(10), known).await;
    for (key, path, body) in [
        ("one", "/items/posts/1", r#"{"title":"b"}"#),
        ("more", "/items/posts", r#"[{"id":1,"title":"c"},{"id":1,"title":"d"}]"#),
    ] {
        let ask = async |api: &Api| {
            let headers = [("content-type", "application/json"), ("idempotency-key", key)];
            api.raw(Method::PATCH, path, &headers, body).await.unwrap()
        };
        let mut held = pool.begin().await.unwrap();
        sqlx::query("SELECT FROM posts FOR UPDATE").execute(&mut *held).await.unwrap();
        let then = async {
            let waits = || async {
                let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                           AND wait_event_type = 'Lock'";
                sqlx::query_scalar::<_, i64>(sql).fetch_one(&pool).await.unwrap() > 0
            };
            testkit::eventually(Duration::from_secs(20), waits).await;
            let second = ask(&other).await;
            held.rollback().await.unwrap();
            second
        };
        let (first, second) = futures_util::join!(ask(&world.api), then);
        second.refused(409, "CONFLICT");
        let again = ask(&other).await.expect(200);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.text, first.expect(200).text);
    }
    let changes = "SELECT count(*) FROM eventus.events WHERE name = 'items.update'";
    assert_eq!(sqlx::query_scalar::<_, i64>(changes).fetch_one(&pool).await.unwrap(), 3);
    // Both at once, without a wait: whoever is later finds the answer, or that it is under way.
    for round in 0..30 {
        let key = format!("at once {round}");
        let headers = [("content-type", "application/json"), ("idempotency-key", key.as_str())];
        let ask = async |api: &Api| api.raw(Method::POST, "/items/posts", &headers, "{}").await.unwrap();
        let (one, two) = futures_util::join!(ask(&world.api), ask(&other));
        let is_new =
            |answer: &Answer| answer.status == 200 && answer.header("idempotency-replayed").is_none();
        assert!(is_new(&one) != is_new(&two), "{one:?} {two:?}");
        assert!([&one, &two].iter().all(|answer| matches!(answer.status, 200 | 409)), "{one:?} {two:?}");
    }
    let made = "SELECT count(*) FROM posts";
    assert_eq!(sqlx::query_scalar::<_, i64>(made).fetch_one(&pool).await.unwrap(), 31);
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

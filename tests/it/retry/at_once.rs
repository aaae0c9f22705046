//! The same write asked for by many at once, or while a process dies.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use serde_json::json;

use super::{count, keyed, notes};
use crate::world::World;

#[tokio::test]
async fn of_many_at_once_one_writes() {
    let world = World::start(shape!()).await;
    notes(&world).await;
    for round in 0..20 {
        let key = format!("k{round}");
        let ask = || keyed(&world.api, Method::POST, "/items/notes", &key, json!({"n": round}));
        let answers = join_all((0..16).map(|_| ask())).await;
        let written = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none());
        assert_eq!(written.filter(|answer| answer.status == 200).count(), 1, "round {round}");
        for answer in answers {
            if answer.status != 200 {
                assert_eq!(answer.header("retry-after"), Some("1"));
                answer.refused(409, "CONFLICT");
            }
        }
        assert_eq!(ask().await.expect(200).header("idempotency-replayed"), Some("true"));
    }
    assert_eq!(count(&world, "notes").await, 20);
    assert_eq!(count(&world, "eventus.events WHERE name = 'items.create'").await, 20);
}

/// While the first waits for an item that somebody else holds, the others are told so, whichever process they ask.
#[tokio::test]
async fn who_asks_while_it_is_under_way_is_told_so() {
    let world = World::start(shape!()).await;
    notes(&world).await;
    world.api.post("/items/notes", json!({"n": 0})).await.expect(200);
    let pool = world.pool().await;
    for (key, path, body) in [
        ("one", "/items/notes/1", json!({"n": 1})),
        ("more", "/items/notes", json!([{"id": 1, "n": 2}, {"id": 1, "n": 3}])),
    ] {
        let mut held = pool.begin().await.unwrap();
        sqlx::query("SELECT FROM notes FOR UPDATE").execute(&mut *held).await.unwrap();
        let ask = || keyed(&world.api, Method::PATCH, path, key, body.clone());
        let first = ask();
        let then = async {
            let waits = || async {
                let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                           AND wait_event_type = 'Lock'";
                sqlx::query_scalar::<_, i64>(sql).fetch_one(&pool).await.unwrap() > 0
            };
            testkit::eventually(Duration::from_secs(20), waits).await;
            let second = ask().await;
            held.rollback().await.unwrap();
            second
        };
        let (first, second) = futures_util::join!(first, then);
        second.refused(409, "CONFLICT");
        assert_eq!(ask().await.expect(200).text, first.expect(200).text);
    }
    assert_eq!(count(&world, "eventus.events WHERE name = 'items.update'").await, 3);
}

/// kill -9 of who writes, again and again; each client asks until it is answered, always under its own key.
#[tokio::test]
async fn no_kill_makes_two_of_one() {
    let mut world = World::start(shape!()).await;
    notes(&world).await;
    let index = world.process_of("items");
    let (api, done) = (world.api.clone(), AtomicUsize::new(0));
    let client = async |client: i32| {
        for number in 0..60 {
            let n = client * 1_000 + number;
            let (method, path, body) = match number % 3 {
                0 => (Method::POST, "/items/notes", json!({"n": n})),
                1 => (Method::POST, "/items/notes", json!([{"n": n, "title": "a"}, {"n": n, "title": "b"}])),
                _ => (Method::POST, "/items/notes", json!([{"n": n}])),
            };
            let _ = loop {
                let headers = [("content-type", "application/json"), ("idempotency-key", &*format!("k{n}"))];
                let answer = api.raw(method.clone(), path, &headers, body.to_string()).await;
                match answer.map(|answer| answer.status) {
                    Ok(200) => break done.fetch_add(1, Ordering::Relaxed),
                    Ok(409 | 500..) | Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                    Ok(other) => panic!("{other}"),
                }
            };
        }
    };
    let kills = async {
        for kill in 1..=4 {
            let far = || async { done.load(Ordering::Relaxed) > kill * 90 };
            testkit::eventually(Duration::from_secs(60), far).await;
            world.kill9(index);
            world.spawn(index);
            world.ready().await;
        }
    };
    futures_util::join!(join_all((0..8).map(client)), kills);
    let pool = world.pool().await;
    let found: Vec<(i32, i64)> =
        sqlx::query_as("SELECT n, count(*) FROM notes GROUP BY n ORDER BY n").fetch_all(&pool).await.unwrap();
    let expected = (0..8).flat_map(|client| {
        (0..60).map(move |number| (client * 1_000 + number, if number % 3 == 1 { 2 } else { 1 }))
    });
    assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), expected.collect::<BTreeMap<i32, i64>>());
    assert_eq!(count(&world, "eventus.idempotency_keys").await, 480);
    assert_eq!(count(&world, "eventus.events WHERE name = 'items.create'").await, 640);
    world.quiet(Duration::from_secs(30)).await;
}

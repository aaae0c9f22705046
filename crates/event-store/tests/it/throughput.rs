//! How fast a backlog is read. Not a pass or fail of its own: run it with `--run-ignored only --no-capture`.

use std::time::Instant;

use event_store::Tail;

use crate::{DEADLINE, connect, open};

#[tokio::test]
#[ignore = "a measurement"]
async fn backlog() {
    const COUNT: i64 = 200_000;
    let (database, _db) = open().await;
    let db = connect(&database, 4);
    sqlx::query(
        "INSERT INTO eventus.events (id, name, collection, key, version, payload)
         SELECT gen_random_uuid(), 'items.create', 'articles', n::text, 1, json_build_object('text', repeat('x', 500))
         FROM generate_series(1, $1) n",
    )
    .bind(COUNT)
    .execute(&db)
    .await
    .unwrap();
    let mut tail = Tail::new(db, 0);
    let (begun, mut count) = (Instant::now(), 0);
    while count < COUNT {
        count += tail.next(1000, DEADLINE).await.unwrap().len() as i64;
    }
    println!("backlog: {:.0} events/s", COUNT as f64 / begun.elapsed().as_secs_f64());
}

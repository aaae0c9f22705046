//! Writers that hold positions open before they commit or roll back, over SQL and through the API: the stream is the log
//! nevertheless.

use std::time::Duration;

use async_nats::jetstream::{self, consumer::pull};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;

use crate::world::World;

const WRITERS: u64 = 8;
const TRANSACTIONS: u64 = 24;
const PATIENCE: Duration = Duration::from_secs(60);

/// As the service appends: behind the lock of the item, last in the transaction.
const APPEND: &str = "
    WITH head AS (
        INSERT INTO eventus.heads AS head (collection, key, version) VALUES ('hot', $1, 1)
        ON CONFLICT (collection, key) DO UPDATE SET version = head.version + 1 RETURNING key, version
    ), change AS (
        SELECT 'items.update' AS name, key, version FROM head
        UNION ALL SELECT 'items.create', gen_random_uuid()::text, 1 FROM generate_series(1, $2)
    )
    INSERT INTO eventus.events (id, name, collection, key, version, payload)
    SELECT gen_random_uuid(), name, 'hot', key, version, '{}' FROM change";

/// A small generator, so that a run can be repeated.
struct Dice(u64);

impl Dice {
    fn of(number: u64) -> Self {
        Self(0x9e37_79b9_7f4a_7c15 ^ ((number + 1) << 20))
    }

    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// One of twenty transactions is rolled back, each after up to 200 ms with its positions taken.
async fn by_sql(url: String, number: u64) {
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut dice = Dice::of(number);
    for transaction in 0..TRANSACTIONS {
        let mut open = connection.begin().await.unwrap();
        let (item, creations) = (dice.roll(40).to_string(), i32::try_from(dice.roll(20)).unwrap());
        sqlx::query(APPEND).bind(item).bind(creations).execute(&mut *open).await.unwrap();
        tokio::time::sleep(Duration::from_millis(dice.roll(200))).await;
        if transaction % 20 == number % 20 {
            open.rollback().await.unwrap();
        } else {
            open.commit().await.unwrap();
        }
    }
}

/// Every fourth request is refused by the database, for its last item.
async fn by_api(world: &World, number: u64) {
    let mut dice = Dice::of(number);
    for request in 0..TRANSACTIONS {
        let (count, refused) = (2 + dice.roll(20), request % 4 == 3);
        let slug = |item| if refused && item == count - 1 { 0 } else { item };
        let items: Vec<Value> =
            (0..count).map(|item| json!({"slug": format!("{number}-{request}-{}", slug(item))})).collect();
        let answer = world.api.post("/items/articles", json!(items)).await;
        if refused {
            answer.refused(400, "RECORD_NOT_UNIQUE");
        } else {
            answer.expect(200);
        }
    }
}

/// Position and id of every message, in the stream's order.
async fn messages(world: &World, count: usize) -> Vec<(i64, String)> {
    let stream = jetstream::new(world.nats.client().await).get_stream("EVENTS").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, count as u64);
    let messages = stream.create_consumer(pull::OrderedConfig::default()).await.unwrap();
    let messages = messages.messages().await.unwrap().take(count);
    let place = |message: jetstream::Message| {
        let headers = message.headers.as_ref().unwrap();
        let header = |name: &str| headers.get(name).unwrap().as_str().to_owned();
        (header("ce-sequence").parse().unwrap(), header("ce-id"))
    };
    let all = messages.map(|message| place(message.unwrap())).collect();
    tokio::time::timeout(PATIENCE, all).await.expect("the stream ends early")
}

#[tokio::test]
async fn the_stream_is_the_log() {
    let world = World::start(shape!()).await;
    let slug = json!([{"field": "slug", "type": "string", "schema": {"is_unique": true}}]);
    world.collection("articles", slug).await;
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        writers.spawn(by_sql(world.database.url.clone(), number));
    }
    futures_util::future::join_all((0..4).map(|number| by_api(&world, number))).await;
    writers.join_all().await;
    world.quiet(PATIENCE).await;
    let sql = "SELECT position, id::text FROM eventus.events ORDER BY position";
    let log: Vec<(i64, String)> = sqlx::query_as(sql).fetch_all(&world.pool().await).await.unwrap();
    assert!(log.len() > 1_000, "{}", log.len());
    let holes = log.windows(2).filter(|pair| pair[1].0 > pair[0].0 + 1).count();
    assert!(holes >= 8, "positions were rolled back: {holes}");
    assert_eq!(messages(&world, log.len()).await, log);
}

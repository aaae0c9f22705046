//! The permanent late-committer test: every trap at once, and then each committed event must have come out once, in
//! order. Readers that looked plausible lost a quarter of the events here.

mod writer;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use event_store::Tail;
use model::{Clock as _, Event, SystemClock};
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;

use crate::{connect, open};
use writer::{ITEMS, Stopped, write};

const WRITERS: u64 = 32;
const EVENTS: usize = 20_000;
const FOREIGN: Duration = Duration::from_secs(8);
const STOP: Duration = Duration::from_secs(2);

/// What the tail gave out, and when.
#[derive(Default)]
struct Published {
    events: Vec<Event>,
    at: Vec<Instant>,
    /// How long after its append each event came out.
    lag: Vec<Duration>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_and_nothing_is_out_of_order() {
    let (database, reader) = open().await;
    let writers = connect(&database, 34);
    sqlx::raw_sql("CREATE TABLE elsewhere (writer bigint)").execute(&reader).await.unwrap();
    let (count, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let begun = Instant::now();
    let mut all = JoinSet::new();
    for number in 0..WRITERS {
        all.spawn(write(writers.clone(), number, Arc::clone(&count), Arc::clone(&enough)));
    }
    let done = Arc::new(AtomicBool::new(false));
    let mut reading = JoinSet::new();
    reading.spawn(read_all(reader.clone(), Arc::clone(&done)));

    let stopped = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Stopped::start(&database.url).await.hold(STOP).await
    };
    let ((), window) = tokio::join!(foreign(&database.url), stopped);
    testkit::eventually(3 * crate::DEADLINE, || async { count.load(Ordering::SeqCst) >= EVENTS }).await;
    enough.store(true, Ordering::SeqCst);
    all.join_all().await;
    done.store(true, Ordering::SeqCst);
    let published = reading.join_all().await.remove(0);
    let seconds = begun.elapsed().as_secs_f64();

    check(&reader, &published.events).await;
    report(&published, window, seconds);
}

/// A write transaction in another table that stays open all the time.
async fn foreign(url: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    sqlx::raw_sql("INSERT INTO elsewhere VALUES (-1)").execute(&mut *transaction).await.unwrap();
    tokio::time::sleep(FOREIGN).await;
    transaction.commit().await.unwrap();
}

/// Reads until the writers are done and the log has ended.
async fn read_all(db: db::Db, done: Arc<AtomicBool>) -> Published {
    let mut tail = Tail::new(db, 0);
    let mut published = Published::default();
    loop {
        let last_round = done.load(Ordering::SeqCst);
        let events = if last_round {
            tail.next_or_end(1000, crate::DEADLINE).await.unwrap()
        } else {
            tail.next(1000, Duration::from_millis(50)).await.unwrap()
        };
        if events.is_empty() && last_round {
            return published;
        }
        let at = Instant::now();
        let now = SystemClock.now();
        published.at.extend(events.iter().map(|_| at));
        published.lag.extend(events.iter().map(|event| (now - event.time).unsigned_abs()));
        published.events.extend(events);
        assert!(tail.settled() >= published.events.last().map_or(0, |event| event.position));
    }
}

/// The log itself says what was committed.
async fn check(db: &db::Db, published: &[Event]) {
    let committed: Vec<i64> = sqlx::query_scalar("SELECT position FROM eventus.events ORDER BY position")
        .fetch_all(db)
        .await
        .unwrap();
    let positions: Vec<i64> = published.iter().map(|event| event.position).collect();
    let lost = committed.iter().filter(|position| positions.binary_search(position).is_err()).count();
    let doubled = positions.windows(2).filter(|pair| pair[0] == pair[1]).count();
    let backwards = positions.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert_eq!((lost, doubled, backwards), (0, 0, 0), "lost, twice, positions out of order");
    assert_eq!(committed, positions);
    assert!(committed.len() >= EVENTS);
    let mut versions: HashMap<&str, i64> = HashMap::new();
    for event in published.iter().filter(|event| event.name.as_str() == "items.update") {
        let version = versions.entry(&event.key).or_default();
        assert_eq!(event.version, *version + 1, "item {}", event.key);
        *version = event.version;
    }
    assert_eq!(versions.len(), ITEMS as usize + 1);
}

fn report(published: &Published, window: (Instant, Instant), seconds: f64) {
    let pauses = || published.at.windows(2).map(|pair| (pair[0], pair[1]));
    let longest = |pauses: &mut dyn Iterator<Item = (Instant, Instant)>| {
        pauses.map(|(from, to)| to - from).max().unwrap_or_default()
    };
    let outside = |(from, to): &(Instant, Instant)| *to < window.0 || *from > window.1;
    let (all, ordinary) = (longest(&mut pauses()), longest(&mut pauses().filter(outside)));
    let events = published.events.len();
    let holes = published.events.last().map_or(0, |last| last.position) - events as i64;
    let mut lag: Vec<Duration> = std::iter::zip(&published.at, &published.lag)
        .filter(|(at, _)| **at < window.0 || **at > window.1 + Duration::from_secs(1))
        .map(|(_, lag)| *lag)
        .collect();
    lag.sort();
    println!(
        "{events} events, {holes} positions rolled back, in {seconds:.1} s; longest stall {all:?} (a process was \
         stopped for {STOP:?}), else {ordinary:?}; append to publication p50 {:?}, p99 {:?}",
        lag[lag.len() / 2],
        lag[lag.len() * 99 / 100]
    );
    let stopped = published.events.iter().position(|event| event.key == "stopped").unwrap();
    assert!(published.lag[stopped] >= STOP, "the process was not stopped between append and commit");
    // The stopped process holds its position until it goes on (or PostgreSQL ends it after 5 s); nobody else does,
    // least of all the foreign transaction.
    assert!(all < STOP + Duration::from_secs(3), "{all:?}");
    assert!(ordinary < Duration::from_secs(3), "{ordinary:?}");
}

//! Makes the counts anew from the log, beside the live ones, and puts them in their place.
//!
//! The log is read up to the consumer's mark while counting goes on; the last stretch and the exchange are one transaction,
//! for which counting waits. What the consumer had given up is counted, too, so those dead letters go.

use std::collections::BTreeMap;

use bus::Failure;
use db::Db;
use event_store::Log;
use model::Event;
use serde::Serialize;
use sqlx::{PgConnection, Row as _};
use time::{Date, UtcOffset};

use super::{CONSUMER, failure};

/// Events read at once.
const BATCH: usize = 1_000;

/// Of what is left the exchange reads as much itself; before, counting goes on.
const NEAR: i64 = 5_000;

/// What came of a rebuild.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Rebuilt {
    /// Events that were read.
    pub(super) events: u64,
    /// Where it began: 0, or the horizon of the log, whose counts are kept.
    pub(super) after: i64,
    /// How far it goes.
    pub(super) upto: i64,
    /// Of the live counts before.
    pub(super) checksum_before: String,
    /// Of the counts now.
    pub(super) checksum: String,
    /// Counts that were wrong, missing or too many.
    pub(super) changed: u64,
    /// Dead letters that are counted now.
    pub(super) dead_letters: u64,
}

/// Day, collection, action.
type Counts = BTreeMap<(Date, String, String), i64>;

/// The counts up to a position.
struct Copy {
    counts: Counts,
    after: i64,
    upto: i64,
    events: u64,
}

/// Rebuilds the counts.
pub(super) async fn rebuild(db: &Db) -> Result<Rebuilt, Failure> {
    let log = Log::new(db.clone());
    let mut copy = begin(db).await.map_err(failure)?;
    loop {
        let mark = mark(db).await.map_err(failure)?;
        if mark - copy.upto <= NEAR {
            break;
        }
        copy.read(&log, mark).await?;
    }
    let mut tx = db.begin().await.map_err(|error| Failure::Unavailable(error.into()))?;
    let rebuilt = exchange(&mut tx, &log, copy).await?;
    tx.commit().await.map_err(failure)?;
    Ok(rebuilt)
}

/// What was kept of the events that the log no longer has.
async fn begin(db: &Db) -> Result<Copy, sqlx::Error> {
    const KEPT: &str = "SELECT h.position, b.day, b.collection, b.action, b.count \
                        FROM eventus.horizon h LEFT JOIN eventus.analytics_base b ON true";
    let (mut after, mut counts) = (0, Counts::new());
    for row in sqlx::query(KEPT).fetch_all(db).await? {
        after = row.try_get(0)?;
        if let Some(day) = row.try_get(1)? {
            counts.insert((day, row.try_get(2)?, row.try_get(3)?), row.try_get(4)?);
        }
    }
    Ok(Copy { counts, after, upto: after, events: 0 })
}

async fn horizon(conn: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT position FROM eventus.horizon").fetch_one(conn).await
}

async fn mark(db: &Db) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT low_water FROM eventus.consumers WHERE name = $1")
        .bind(CONSUMER)
        .fetch_one(db)
        .await
}

impl Copy {
    /// Counts the events up to a position. Everything up to there is settled: the consumer is past it.
    async fn read(&mut self, log: &Log, upto: i64) -> Result<(), Failure> {
        while self.upto < upto {
            let events = log.read(self.upto, BATCH).await.map_err(of_log)?;
            let within = events.iter().take_while(|event| event.position <= upto);
            let (mut last, mut count) = (upto, 0);
            for event in within {
                if event.is_newer() {
                    return Err(newer(event));
                }
                self.add(event);
                (last, count) = (event.position, count + 1);
            }
            self.upto = if count < events.len() || events.is_empty() { upto } else { last };
        }
        Ok(())
    }

    fn add(&mut self, event: &Event) {
        let day = event.time.to_offset(UtcOffset::UTC).date();
        let key = (day, event.collection.clone(), event.name.action().to_owned());
        *self.counts.entry(key).or_default() += 1;
        self.events += 1;
    }
}

/// Holds counting still, counts the rest and exchanges what differs.
async fn exchange(conn: &mut PgConnection, log: &Log, mut copy: Copy) -> Result<Rebuilt, Failure> {
    // Who counts holds this row while he does, and so does who raises the mark.
    let mark = "SELECT low_water FROM eventus.consumers WHERE name = $1 FOR UPDATE";
    let mark: i64 = sqlx::query_scalar(mark).bind(CONSUMER).fetch_one(&mut *conn).await.map_err(failure)?;
    if horizon(conn).await.map_err(failure)? != copy.after {
        return Err(Failure::Unavailable("the log was cut off meanwhile".into()));
    }
    copy.read(log, mark).await?;
    // Events above the mark that are counted already.
    let ahead = "SELECT position FROM eventus.inbox WHERE consumer = $1 AND position > $2";
    let ahead: Vec<i64> =
        sqlx::query_scalar(ahead).bind(CONSUMER).bind(mark).fetch_all(&mut *conn).await.map_err(failure)?;
    for event in log.at(&ahead).await.map_err(of_log)? {
        copy.add(&event);
    }
    let checksum_before = checksum(conn).await.map_err(failure)?;
    let changed = put(conn, &copy.counts).await.map_err(failure)?;
    let settled = "DELETE FROM eventus.dead_letters WHERE consumer = $1 AND position <= $2";
    let settled =
        sqlx::query(settled).bind(CONSUMER).bind(mark).execute(&mut *conn).await.map_err(failure)?;
    Ok(Rebuilt {
        events: copy.events,
        after: copy.after,
        upto: mark,
        checksum_before,
        checksum: checksum(conn).await.map_err(failure)?,
        changed,
        dead_letters: settled.rows_affected(),
    })
}

/// Writes what differs, so that readers see the one or the other; gives the number of counts that did.
async fn put(conn: &mut PgConnection, counts: &Counts) -> Result<u64, sqlx::Error> {
    const PUT: &str = "
WITH given AS MATERIALIZED (
    SELECT * FROM UNNEST($1::date[], $2::text[], $3::text[], $4::bigint[]) AS given (day, collection, action, count)
), gone AS (
    DELETE FROM eventus.analytics_daily daily WHERE NOT EXISTS (
        SELECT FROM given WHERE given.day = daily.day AND given.collection = daily.collection
            AND given.action = daily.action)
    RETURNING 1
), put AS (
    INSERT INTO eventus.analytics_daily AS daily (day, collection, action, count)
    SELECT day, collection, action, count FROM given ORDER BY day, collection, action
    ON CONFLICT (day, collection, action) DO UPDATE SET count = EXCLUDED.count WHERE daily.count <> EXCLUDED.count
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM put)";
    let changed: i64 = sqlx::query_scalar(PUT)
        .bind(counts.keys().map(|(day, ..)| *day).collect::<Vec<_>>())
        .bind(counts.keys().map(|(_, collection, _)| collection.as_str()).collect::<Vec<_>>())
        .bind(counts.keys().map(|(.., action)| action.as_str()).collect::<Vec<_>>())
        .bind(counts.values().copied().collect::<Vec<_>>())
        .fetch_one(conn)
        .await?;
    Ok(changed.unsigned_abs())
}

async fn checksum(conn: &mut PgConnection) -> Result<String, sqlx::Error> {
    const CHECKSUM: &str = r#"
SELECT md5(coalesce(string_agg(concat_ws(E'\t', day, collection, action, count), E'\n'
    ORDER BY day, collection COLLATE "C", action COLLATE "C"), '')) FROM eventus.analytics_daily"#;
    sqlx::query_scalar(CHECKSUM).fetch_one(conn).await
}

/// Live, such an event is parked; a rebuild would leave a hole where nobody looks for one.
fn newer(event: &Event) -> Failure {
    let Event { position, schema, .. } = event;
    Failure::Fail(
        format!("the event at position {position} is of schema {schema}, which this program does not know")
            .into(),
    )
}

/// An event that can't be read fails the rebuild: it is strict.
fn of_log(error: event_store::Error) -> Failure {
    if error.is_unavailable() { Failure::Unavailable(error.into()) } else { Failure::Fail(error.into()) }
}

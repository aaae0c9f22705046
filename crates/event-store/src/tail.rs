//! The ordered tail of the log: settled events in position order, never stepping over a late committer.
//!
//! It reads ahead, but hands out only what lies below the first gap. A gap is a position that was taken and is not
//! visible: its transaction is still running (wait), has just committed (another read finds it) or was rolled
//! back (give it up). `gaps` decides which, from the lock that every appender holds.

mod gaps;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use db::Db;
use model::Event;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::Error;
use crate::rows::{self, BATCH_BYTES, bounded};
use gaps::Gaps;

/// Rows of one read.
const BATCH: usize = 1000;
/// What is read ahead of a gap is bounded, in events and in bytes.
const AHEAD_EVENTS: usize = 4 * BATCH;
const AHEAD_BYTES: usize = 16 * 1024 * 1024;
/// How often an idle log is looked at when nobody wakes us.
const IDLE: Duration = Duration::from_millis(250);
/// Pauses at a gap: most are a commit's time on the disk.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);
/// The lock's number, as in the migration that made the table.
const APPENDING: i64 = 7_306_085_839;

/// Reads the log in position order, from behind a settled position. One reader, one `Tail`: it remembers gaps.
#[derive(Debug)]
pub struct Tail {
    db: Db,
    wake: Arc<Notify>,
    /// Nothing can appear at or below it any more, and all of it was handed out.
    settled: i64,
    /// Greatest position that was read.
    seen: i64,
    /// Read and not yet handed out, in order.
    ahead: VecDeque<Event>,
    ahead_bytes: usize,
    gaps: Gaps,
}

impl Tail {
    /// Begins behind `after`, which must be settled: 0, or what a former `Tail` reported.
    pub fn new(db: Db, after: i64) -> Self {
        Self::with_wake(db, after, Arc::new(Notify::new()))
    }

    /// As `new`, woken by a handle that is there already.
    pub fn with_wake(db: Db, after: i64, wake: Arc<Notify>) -> Self {
        Self {
            db,
            wake,
            settled: after,
            seen: after,
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            gaps: Gaps::default(),
        }
    }

    /// `notify_one` makes a waiting `next` look at once. Without it the log is looked at four times a second.
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Nothing can appear at or below this position any more, and all events up to it were handed out.
    pub fn settled(&self) -> i64 {
        self.settled
    }

    /// The next settled events, in order, at most `limit` (and 1000); empty after `wait`. Dropping the future
    /// loses nothing; after an error it can be called again.
    ///
    /// # Errors
    /// When the database is away; `Corrupt`.
    pub async fn next(&mut self, limit: usize, wait: Duration) -> Result<Vec<Event>, Error> {
        self.run(limit, wait, false).await
    }

    /// As `next`, but returns at once when the log ends here. `wait` is only for gaps.
    ///
    /// # Errors
    /// As `next`.
    pub async fn next_or_end(&mut self, limit: usize, wait: Duration) -> Result<Vec<Event>, Error> {
        self.run(limit, wait, true).await
    }

    async fn run(&mut self, limit: usize, wait: Duration, stop_at_end: bool) -> Result<Vec<Event>, Error> {
        let deadline = Instant::now() + wait;
        let mut pause = FIRST_PAUSE;
        loop {
            let ready = self.take(limit);
            if !ready.is_empty() {
                return Ok(ready);
            }
            self.look().await?;
            let ready = self.take(limit);
            let now = Instant::now();
            let at_end = stop_at_end && self.gaps.is_empty() && self.ahead.is_empty();
            if !ready.is_empty() || now >= deadline || at_end {
                return Ok(ready);
            }
            if self.gaps.is_empty() {
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = sleep_until(deadline.min(now + IDLE)) => {}
                }
            } else {
                // Whoever wakes us cannot fill the gap faster than we look; busy writers would keep us spinning.
                sleep_until(deadline.min(now + pause)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Hands out what lies below the first gap.
    fn take(&mut self, limit: usize) -> Vec<Event> {
        let wall = self.gaps.first().unwrap_or(i64::MAX);
        let count = self.ahead.iter().take(limit).take_while(|event| event.position < wall).count();
        let ready: Vec<Event> = self.ahead.drain(..count).collect();
        self.ahead_bytes -= ready.iter().map(rows::weight).sum::<usize>();
        self.settled = match self.ahead.front() {
            Some(next) if next.position < wall => ready.last().map_or(self.settled, |event| event.position),
            // Everything below the gap is out, or all that was read.
            _ => self.seen.min(wall - 1),
        };
        ready
    }

    /// One look at the log: reads on, then sees to the gaps. State changes only after an answer is there, so a
    /// look that is dropped halfway has not happened.
    async fn look(&mut self) -> Result<(), Error> {
        if self.ahead.len() < AHEAD_EVENTS && self.ahead_bytes < AHEAD_BYTES {
            let events = self.read_on().await?;
            if !faults::is_on(faults::Mutant::NoGapRule) {
                self.gaps.note(self.seen, &events);
            }
            self.seen = events.last().map_or(self.seen, |event| event.position);
            self.ahead_bytes += events.iter().map(rows::weight).sum::<usize>();
            self.ahead.extend(events);
        }
        if self.gaps.is_empty() {
            return Ok(());
        }
        // The order is the whole point: the gap was seen; then the appenders are looked up; then the gap is read again.
        let appenders = appenders(&self.db).await?;
        self.gaps.mark(&appenders);
        let (late, whole) = self.read_gaps().await?;
        self.gaps.close(&late, whole);
        self.insert(late);
        Ok(())
    }

    async fn read_on(&self) -> Result<Vec<Event>, Error> {
        let rows = rows::planned_anew(bounded!("eventus.events WHERE position > $1", "$2", "$3"))
            .bind(self.seen)
            .bind(i64::try_from(BATCH).unwrap_or(i64::MAX))
            .bind(BATCH_BYTES)
            .fetch_all(&self.db)
            .await?;
        rows::events(&rows)
    }

    /// What has appeared in the gaps, in order, and the position up to which they were read completely.
    async fn read_gaps(&self) -> Result<(Vec<Event>, i64), Error> {
        let (firsts, lasts) = self.gaps.ranges();
        // The inner limit makes the planner look up each gap by the index, instead of reading the log from its beginning.
        let rows = rows::planned_anew(bounded!(
            "unnest($1::bigint[], $2::bigint[]) gap (first, last)
             CROSS JOIN LATERAL (
                 SELECT * FROM eventus.events WHERE position BETWEEN first AND last ORDER BY position LIMIT $3
             ) late",
            "$3",
            "$4"
        ))
        .bind(&firsts)
        .bind(&lasts)
        .bind(i64::try_from(BATCH).unwrap_or(i64::MAX))
        .bind(BATCH_BYTES)
        .fetch_all(&self.db)
        .await?;
        let late = rows::events(&rows)?;
        let cut = late.len() == BATCH || late.iter().map(rows::weight).sum::<usize>() >= cut_suspected();
        let whole = if cut { late.last().map_or(i64::MAX, |event| event.position) } else { i64::MAX };
        Ok((late, whole))
    }

    /// Puts late events where they belong.
    fn insert(&mut self, late: Vec<Event>) {
        if late.is_empty() {
            return;
        }
        self.ahead_bytes += late.iter().map(rows::weight).sum::<usize>();
        self.ahead.extend(late);
        self.ahead.make_contiguous().sort_by_key(|event| event.position);
    }
}

/// Stored bytes are at most the bytes in memory: below this no batch can have been cut.
fn cut_suspected() -> usize {
    usize::try_from(BATCH_BYTES).unwrap_or(usize::MAX)
}

/// The transactions that have taken positions: each holds this shared lock (a default of the table takes it) from
/// before it takes its first position until it has become visible or is rolled back.
pub(crate) async fn appenders(db: &Db) -> Result<HashSet<String>, Error> {
    let holders: Vec<String> = sqlx::query_scalar(
        "SELECT virtualtransaction FROM pg_locks
         WHERE locktype = 'advisory' AND objsubid = 1 AND granted
           AND classid::bigint = $1 >> 32 AND objid::bigint = $1 & 4294967295
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .bind(APPENDING)
    .fetch_all(db)
    .await?;
    Ok(holders.into_iter().collect())
}

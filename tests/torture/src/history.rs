//! What happened, in the order in which it was written down: one JSON object per line, and the same in memory for
//! the checkers. Times are nanoseconds of the monotonic clock since the run began.

use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

use crate::records::{Append, Heal, Outcome, Read, Response, Session, Write};

/// One line of the file.
#[derive(Debug, Serialize)]
struct Line<'a, T> {
    at: u64,
    what: &'a str,
    #[serde(flatten)]
    record: &'a T,
}

/// Everything that clients and nemeses have noted.
#[derive(Debug, Default)]
pub struct Records {
    /// Writes, whatever came of them.
    pub writes: Vec<Write>,
    /// Reads that were answered.
    pub reads: Vec<Read>,
    /// Reads of and appends to lists.
    pub appends: Vec<Append>,
    /// Requests under sessions that had ended.
    pub sessions: Vec<Session>,
    /// Every answer of a gateway, and every request without one.
    pub responses: Vec<Response>,
    /// Faults that are over.
    pub heals: Vec<Heal>,
    /// Processes that ended by themselves.
    pub ended: Vec<String>,
    /// What the harness itself found to be wrong, by invariant.
    pub found: Vec<(&'static str, String)>,
}

/// The history of a run.
#[derive(Debug)]
pub struct History {
    begun: Instant,
    file: Mutex<std::io::BufWriter<std::fs::File>>,
    records: Mutex<Records>,
}

impl History {
    /// Begins a history in a new file.
    ///
    /// # Errors
    /// The file can't be made.
    pub fn begin(path: &Path) -> std::io::Result<Self> {
        let file = Mutex::new(std::io::BufWriter::new(std::fs::File::create(path)?));
        Ok(Self { begun: Instant::now(), file, records: Mutex::default() })
    }

    /// Now.
    pub fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    /// When something was.
    pub fn at(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.begun).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Writes a line.
    pub fn note(&self, what: &str, record: &impl Serialize) {
        let line = serde_json::to_string(&Line { at: self.now(), what, record });
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(file, "{}", line.expect("a record is JSON")).expect("the history can be written");
    }

    /// The records, to add to them.
    pub fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes that were answered with success so far.
    pub fn acknowledged(&self) -> usize {
        self.records().writes.iter().filter(|write| write.outcome == Outcome::Ok).count()
    }

    /// All that was recorded; the file is complete then.
    pub fn end(&self) -> Records {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).flush().expect("the history can be written");
        std::mem::take(&mut *self.records())
    }
}

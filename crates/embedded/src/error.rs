//! What can go wrong with a private server, in words that say what to do next.
use std::io;
use std::path::{Path, PathBuf};

/// Why a private server cannot be found, started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable program was found; the text names what was looked at.
    #[error(
        "no {program} found ({looked}): run script/dev once, it puts one under .eventus/bin, or install {advice}"
    )]
    Missing {
        /// The program, with the least version.
        program: &'static str,
        /// What was looked at and why it was refused.
        looked: String,
        /// The package or place to get it from.
        advice: &'static str,
    },
    /// Another process holds the folder.
    #[error(
        "{dir} is in use by another eventus (process {holder}): stop it first, or choose another folder with EVENTUS_HOME"
    )]
    Busy {
        /// The folder.
        dir: PathBuf,
        /// Process id of the holder, or `?`.
        holder: String,
    },
    /// A server that is not ours works on the data folder.
    #[error("process {pid} ({command}) works on {dir} and was not started by eventus: stop it first")]
    ForeignOwner {
        /// The data folder.
        dir: PathBuf,
        /// Its process id.
        pid: i32,
        /// Its command line.
        command: String,
    },
    /// A server of an earlier run does not go away.
    #[error("process {pid}, left over from an earlier run on {dir}, does not stop")]
    Leftover {
        /// The data folder.
        dir: PathBuf,
        /// Its process id.
        pid: i32,
    },
    /// The data folder needs an identity that this process cannot take.
    #[error("cannot use {dir}: {reason}")]
    Identity {
        /// The data folder.
        dir: PathBuf,
        /// What was tried, and what to do.
        reason: String,
    },
    /// The data folder was made by a version that is not installed.
    #[error(
        "{dir} was made by PostgreSQL {made_by}, found only {found}: install that version, or dump and restore"
    )]
    Version {
        /// The data folder.
        dir: PathBuf,
        /// Major version of the folder.
        made_by: u32,
        /// Versions at hand.
        found: String,
    },
    /// A server left before it was ready, or a one-time step failed.
    #[error("{server} stopped ({status}); its last words:\n{last_words}")]
    Died {
        /// Which server or step.
        server: &'static str,
        /// Its exit status.
        status: String,
        /// The end of its log.
        last_words: String,
    },
    /// A server did not answer in time.
    #[error("{server} did not get {wanted} within {seconds} s; its last words:\n{last_words}")]
    TimedOut {
        /// Which server.
        server: &'static str,
        /// What was waited for.
        wanted: &'static str,
        /// The deadline, in seconds.
        seconds: u64,
        /// The end of its log.
        last_words: String,
    },
    /// PostgreSQL answered a statement of ours with an error.
    #[error("PostgreSQL refused: {message} ({sqlstate})")]
    Refused {
        /// Its five-character code.
        sqlstate: String,
        /// Its message.
        message: String,
    },
    /// The helper that starts children is missing.
    #[error("the start helper eventus-keep is not beside {beside}: run cargo build -p embedded")]
    NoLauncher {
        /// The program beside which it was looked for.
        beside: PathBuf,
    },
    /// A file or process operation failed.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: says what was tried on which path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

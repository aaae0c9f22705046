//! Servers of a run that was killed: recognised by what /proc says of them, asked to leave, waited for.
//! A process id in a file is only a hint: it may belong to a stranger by now, or to nobody.
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use crate::Error;

/// A process as /proc shows it.
#[derive(Debug)]
pub(crate) struct Stranger {
    pub pid: i32,
    /// Its arguments, separated by single spaces.
    pub command: String,
    /// Its working folder, where we may see it.
    pub folder: Option<PathBuf>,
}

impl Stranger {
    /// `None` when there is no such process, or only its exit status is left of it.
    pub fn look(pid: i32) -> Option<Self> {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let command = fs::read(proc.join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).trim_end_matches('\0').replace('\0', " ");
        if command.is_empty() {
            return None;
        }
        Some(Self { pid, command, folder: fs::read_link(proc.join("cwd")).ok() })
    }
}

const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Sends each signal in turn to a server of an earlier run and waits until it is gone.
///
/// `dir` is only for the message when it stays.
pub(crate) async fn send_away(
    stranger: &Stranger,
    steps: &[(Signal, Duration)],
    dir: &Path,
) -> Result<(), Error> {
    tracing::info!(pid = stranger.pid, dir = %dir.display(), "a server of an earlier run is still there; waiting until it is gone");
    for (signal, patience) in steps {
        // "No such process" is what is wanted.
        let _ = signal::kill(Pid::from_raw(stranger.pid), *signal);
        let deadline = Instant::now() + *patience;
        while Instant::now() < deadline {
            match Stranger::look(stranger.pid) {
                Some(now) if now.command == stranger.command => sleep(LOOK_EVERY).await,
                _ => return Ok(()),
            }
        }
    }
    Err(Error::Leftover { dir: dir.to_owned(), pid: stranger.pid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_seen_and_a_missing_one_is_not() {
        let me = Stranger::look(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(me.command.contains("embedded"), "{}", me.command);
        assert_eq!(me.folder, std::env::current_dir().ok());
        assert!(Stranger::look(i32::MAX).is_none());
    }
}

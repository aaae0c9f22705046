//! What a killed run left in the data folder: a server still shutting down, or only its `postmaster.pid`.
//! Called with the folder's lock held, so no living eventus owns what is found.
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::MARK;
use crate::Error;
use crate::leftover::{Stranger, send_away};

/// Fast shutdown with its checkpoint, then without, then the hard way (the log of PostgreSQL repairs the rest).
const STEPS: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(20)),
    (Signal::SIGQUIT, Duration::from_secs(5)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];

pub(super) async fn clear(data: &Path) -> Result<(), Error> {
    let file = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&file) else { return Ok(()) };
    if let Some(server) = owner(&text, data) {
        if !server.command.contains(MARK) {
            return Err(Error::ForeignOwner {
                dir: data.to_owned(),
                pid: server.pid,
                command: server.command,
            });
        }
        send_away(&server, &STEPS, data).await?;
    }
    // Left to itself PostgreSQL would refuse to start whenever the old number belongs to some other process by now.
    match fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", &file)(error)),
        _ => Ok(()),
    }
}

/// The living server that the pid file means. A number that belongs to another program by now is not it: a server works in its
/// data folder and has it in its command line.
fn owner(pid_file: &str, data: &Path) -> Option<Stranger> {
    let pid = pid_file.lines().next()?.trim().parse().ok()?;
    let process = Stranger::look(pid)?;
    let works_here = process.folder.as_deref() == Some(data);
    let names_us = data.to_str().is_some_and(|data| process.command.contains(data));
    (works_here || (names_us && process.command.contains("postgres"))).then_some(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recycled_number_is_nobody() {
        let me = std::process::id().to_string();
        assert!(owner(&me, Path::new("/some/data")).is_none());
        assert!(owner("2147483647\n", Path::new("/some/data")).is_none());
        assert!(owner("rubbish", Path::new("/some/data")).is_none());
    }

    #[tokio::test]
    async fn a_stale_file_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("postmaster.pid");
        fs::write(&file, format!("{}\n/elsewhere\n", std::process::id())).unwrap();
        clear(dir.path()).await.unwrap();
        assert!(!file.exists());
    }
}

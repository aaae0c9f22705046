//! One PostgreSQL for one command: made in a temporary folder, gone when the command ends.
//! The test script runs all tests under it, so that each test only makes a database.
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use tokio::signal::unix::{SignalKind, signal};

use crate::postgres::{Options, Postgres};
use crate::tools::{PostgresInstalls, Search};
use crate::{Error, Launcher, folder};

/// The variable that tells the command where the server is.
pub const URL_VARIABLE: &str = "EVENTUS_TEST_DATABASE_URL";

/// Starts a server whose data may be lost, runs `command` with its address in `EVENTUS_TEST_DATABASE_URL`, stops the server and
/// gives the command's exit code (128 + number when a signal ended it). SIGTERM goes on to the command, Ctrl-C reaches it anyway.
///
/// # Errors
/// When the server does not come up or the command cannot be started.
pub async fn with_postgres(
    search: &Search,
    launcher: Launcher,
    command: &[OsString],
) -> Result<ExitCode, Error> {
    let Some((program, args)) = command.split_first() else { return Ok(ExitCode::from(2)) };
    let installs = PostgresInstalls::find(search)?;
    let dir = Temporary(std::env::temp_dir().join(format!("eventus-test-{}", folder::random_hex(6)?)));
    let mut options = Options::throwaway(launcher);
    options.settings.push(("max_connections".to_owned(), "500".to_owned()));
    let server = Postgres::start(&installs, &dir.0, &options).await?;
    let code = run(program, args, &server.url()).await?;
    server.stop().await;
    Ok(code)
}

async fn run(program: &OsString, args: &[OsString], url: &str) -> Result<ExitCode, Error> {
    let failed = |error| Error::io("run", program.as_ref())(error);
    // From here on these signals end the command, not us: the server must be stopped after it.
    let mut interrupted = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(failed)?;
    let mut child = Command::new(program).args(args).env(URL_VARIABLE, url).spawn().map_err(failed)?;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    let (sender, mut end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || sender.send(child.wait()));
    loop {
        tokio::select! {
            status = &mut end => {
                let status = status.unwrap_or_else(|_| Err(std::io::Error::other("nobody waits"))).map_err(failed)?;
                let by_signal = || std::os::unix::process::ExitStatusExt::signal(&status).map_or(1, |signal| 128 + signal);
                let code = status.code().unwrap_or_else(by_signal);
                return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
            }
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            }
        }
    }
}

/// A folder that goes away with its value.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = folder::remove(&self.0);
    }
}

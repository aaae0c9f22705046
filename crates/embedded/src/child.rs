//! One child process: a thread of its own forks it, lives as long as it, and tells everybody when it is gone.
//! The thread matters: the kernel sends the death signal when the thread that forked ends, not only when the process does.
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::Error;
use crate::identity::Identity;

/// The program that runs `keep::main`, through which every child is started.
#[derive(Debug, Clone)]
pub struct Launcher {
    program: PathBuf,
    prefix_args: Vec<OsString>,
}

impl Launcher {
    /// `program prefix_args...` followed by the arguments of `keep::main` must call `keep::main`. For the all-in-one that is
    /// its own path and `["keep"]`.
    pub fn new(program: impl Into<PathBuf>, prefix_args: impl IntoIterator<Item = OsString>) -> Self {
        Self { program: program.into(), prefix_args: prefix_args.into_iter().collect() }
    }

    /// The program `eventus-keep` in the folder of `exe` or the one above (cargo puts tests into `deps/`).
    ///
    /// # Errors
    /// `NoLauncher` when it was not built.
    pub fn beside(exe: &Path) -> Result<Self, Error> {
        exe.ancestors()
            .skip(1)
            .take(2)
            .map(|dir| dir.join("eventus-keep"))
            .find(|program| program.is_file())
            .map(|program| Self::new(program, []))
            .ok_or_else(|| Error::NoLauncher { beside: exe.to_owned() })
    }
}

/// What to start, and how it is to end.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// Which server or step, for messages.
    pub name: &'static str,
    pub launcher: &'a Launcher,
    pub identity: &'a Identity,
    /// What the child gets when we die, or when it is dropped.
    pub death_signal: Signal,
    pub program: PathBuf,
    pub args: Vec<OsString>,
    /// Receives standard output and standard error.
    pub log: PathBuf,
}

/// A running child. Dropping it sends its death signal and waits shortly for its end.
#[derive(Debug)]
pub(crate) struct Child {
    name: &'static str,
    pid: Pid,
    death_signal: Signal,
    end: Arc<End>,
    exit: watch::Receiver<Option<ExitStatus>>,
}

/// Whether the process id still belongs to the child.
#[derive(Debug, Default)]
struct End {
    reaped: Mutex<bool>,
    changed: Condvar,
}

impl End {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.reaped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const DROP_PATIENCE: Duration = Duration::from_secs(5);

impl Child {
    pub async fn start(launch: &Launch<'_>) -> Result<Self, Error> {
        let mut command = launch.command()?;
        let end = Arc::new(End::default());
        let (exit_sender, exit) = watch::channel(None);
        let (started, start) = oneshot::channel();
        let thread_end = Arc::clone(&end);
        let program = launch.program.as_path();
        std::thread::Builder::new()
            .name(format!("keep-{}", launch.name))
            .spawn(move || {
                let child = match command.spawn() {
                    Ok(child) => child,
                    Err(error) => return drop(started.send(Err(error))),
                };
                let pid = child.id();
                // Nobody waits any more: the child is still ours to reap.
                let _ = started.send(Ok(pid));
                let status = reap(child, &thread_end);
                exit_sender.send_replace(Some(status));
            })
            .map_err(Error::io("start a thread for", program))?;
        let lost = || std::io::Error::other("the starting thread is gone");
        let pid = start.await.unwrap_or_else(|_| Err(lost())).map_err(Error::io("start", program))?;
        let pid = Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX));
        Ok(Self { name: launch.name, pid, death_signal: launch.death_signal, end, exit })
    }

    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Sends a signal; a child that is gone already gets nothing.
    pub fn signal(&self, signal: Signal) {
        let reaped = self.end.lock();
        if !*reaped {
            // The only other failure is "no such process", which is what was wanted.
            let _ = signal::kill(self.pid, signal);
        }
    }

    /// Completes when the child is gone.
    pub async fn exited(&self) -> ExitStatus {
        let mut exit = self.exit.clone();
        let status = exit.wait_for(Option::is_some).await;
        status.ok().and_then(|status| *status).unwrap_or_default()
    }

    /// The status of a child that is gone.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Sends each signal in turn until the child is gone, waiting the given time after each.
    pub async fn stop(&self, steps: &[(Signal, Duration)]) -> ExitStatus {
        for (signal, patience) in steps {
            self.signal(*signal);
            if let Ok(status) = timeout(*patience, self.exited()).await {
                return status;
            }
            tracing::warn!(server = self.name, %signal, "does not stop in time");
        }
        self.signal(Signal::SIGKILL);
        self.exited().await
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(self.death_signal);
        let reaped = self.end.lock();
        let waited = self.end.changed.wait_timeout_while(reaped, DROP_PATIENCE, |reaped| !*reaped);
        let late = waited.is_ok_and(|(_, wait)| wait.timed_out());
        if late {
            self.signal(Signal::SIGKILL);
        }
    }
}

impl Launch<'_> {
    fn command(&self) -> Result<Command, Error> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(Error::io("open the log", &self.log))?;
        let errors = log.try_clone().map_err(Error::io("open the log", &self.log))?;
        let mut command = Command::new(&self.launcher.program);
        command
            .args(&self.launcher.prefix_args)
            .arg("--parent")
            .arg(std::process::id().to_string())
            .arg("--death-signal")
            .arg(self.death_signal.as_str())
            .args(self.identity.keep_args())
            .arg("--")
            .arg(&self.program)
            .args(&self.args)
            // PGPORT, PGDATA and their kind must not reach the private server.
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        // Ctrl-C in a terminal reaches the whole group: the servers must outlive our own soft stop.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Ok(command)
    }
}

/// Waits for the end, and gives the process id back to the system only under the lock, so that no signal hits a stranger.
fn reap(mut child: std::process::Child, end: &End) -> ExitStatus {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
    let mut reaped = end.lock();
    let status = child.wait().unwrap_or_default();
    *reaped = true;
    end.changed.notify_all();
    status
}

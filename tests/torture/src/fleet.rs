//! The processes under test, by role and number: started, killed, stopped, frozen, and started again when one ends by
//! itself, as any supervisor does.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::{Mutex, MutexGuard};

use crate::history::History;
use crate::http::Http;

/// How long a process may take to become ready, or to end, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// One process.
pub struct Process {
    /// `items-2`.
    pub name: String,
    /// `items`.
    pub role: &'static str,
    admin: Http,
    env: Vec<(String, String)>,
    /// Whoever holds the lock decides whether it runs.
    child: Mutex<Option<Child>>,
}

/// All of them.
pub struct Fleet {
    /// In the order of their start.
    pub processes: Vec<Process>,
    folder: PathBuf,
    program: PathBuf,
    history: Arc<History>,
}

/// A process that somebody has in hand: nobody else starts or stops it.
pub type Held<'a> = MutexGuard<'a, Option<Child>>;

impl Fleet {
    /// A fleet without processes; their logs go into the folder.
    pub fn new(program: PathBuf, folder: &Path, history: Arc<History>) -> Self {
        Self { processes: Vec::new(), folder: folder.to_owned(), program, history }
    }

    /// One more process, not yet started.
    pub fn add(&mut self, role: &'static str, mut env: Vec<(String, String)>) {
        let number = self.processes.iter().filter(|process| process.role == role).count() + 1;
        let admin = free_port();
        env.push(("EVENTUS_ADMIN_LISTEN".to_owned(), admin.to_string()));
        let admin = Http::new(vec![admin], None, Arc::clone(&self.history));
        let name = format!("{role}-{number}");
        self.processes.push(Process { name, role, admin, env, child: Mutex::new(None) });
    }

    /// The place of a process.
    pub fn find(&self, role: &str, which: usize) -> usize {
        let mut of_role = self.processes.iter().enumerate().filter(|(_, process)| process.role == role);
        of_role.nth(which).expect("two processes of each role").0
    }

    /// Takes a process in hand.
    pub async fn hold(&self, index: usize) -> Held<'_> {
        self.processes[index].child.lock().await
    }

    /// Starts a process that is not running.
    pub fn start(&self, index: usize, held: &mut Held<'_>) {
        self.start_with(index, held, &[]);
    }

    /// The same, with more to tell it this once.
    pub fn start_with(&self, index: usize, held: &mut Held<'_>, more: &[(&str, String)]) {
        let process = &self.processes[index];
        let path = self.folder.join(format!("{}.log", process.name));
        let log = File::options().create(true).append(true).open(path).expect("a log can be written");
        // Through the keeper, so that no process outlives the harness.
        let child = Command::new(&self.program)
            .args(["keep", "--parent"])
            .arg(std::process::id().to_string())
            .args(["--death-signal", "SIGKILL", "--"])
            .arg(&self.program)
            .args(["run", process.role])
            .env_clear()
            .envs(process.env.iter().cloned())
            .envs(more.iter().map(|(key, value)| (key, value)))
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log can be written"))
            .stderr(log)
            .spawn();
        **held = Some(child.expect("the program can be started"));
    }

    /// SIGKILL; returns when it is gone.
    pub fn kill(&self, held: &mut Held<'_>) {
        if let Some(mut child) = held.take() {
            // It may be gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends a signal to a process that runs.
    pub fn signal(&self, held: &Held<'_>, signal: Signal) {
        if let Some(child) = held.as_ref() {
            let _ = kill(Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX)), signal);
        }
    }

    /// SIGTERM, then waits for its end; whether it ended well.
    pub async fn stop(&self, held: &mut Held<'_>) -> bool {
        self.signal(held, Signal::SIGTERM);
        let Some(mut child) = held.take() else { return false };
        let begun = Instant::now();
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return status.success(),
                _ if begun.elapsed() > PATIENCE => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return false;
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Waits until a process has ended; whether it has.
    pub async fn ended(&self, held: &mut Held<'_>, within: Duration) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < within {
            match held.as_mut().map(Child::try_wait) {
                Some(Ok(None)) => tokio::time::sleep(Duration::from_millis(20)).await,
                _ => {
                    held.take();
                    return true;
                }
            }
        }
        false
    }

    /// Starts everything.
    pub async fn start_all(&self) {
        for index in 0..self.processes.len() {
            let mut held = self.hold(index).await;
            self.start(index, &mut held);
        }
    }

    /// Whether a process says that it is ready.
    pub async fn is_ready(&self, index: usize) -> bool {
        let answer = self.processes[index].admin.glance(0, "/health/ready").await;
        answer.is_some_and(|answer| answer.status == 200)
    }

    /// Names of the processes that are not ready.
    pub async fn unready(&self) -> Vec<String> {
        let looks = (0..self.processes.len()).map(|index| async move {
            (!self.is_ready(index).await).then(|| self.processes[index].name.clone())
        });
        futures_util::future::join_all(looks).await.into_iter().flatten().collect()
    }

    /// Waits until a process is ready; whether it became so.
    pub async fn ready(&self, index: usize) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.is_ready(index).await {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }

    /// Starts again what ended by itself, until the run is over.
    pub async fn supervise(self: Arc<Self>) {
        loop {
            for (index, process) in self.processes.iter().enumerate() {
                let Ok(mut held) = process.child.try_lock() else { continue };
                let ended = held.as_mut().and_then(|child| child.try_wait().ok().flatten());
                if let Some(status) = ended {
                    let name = &process.name;
                    self.history
                        .note("ended", &serde_json::json!({"process": name, "status": status.to_string()}));
                    self.history.records().ended.push(format!("{name}: {status}"));
                    self.start(index, &mut held);
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Resident memory in KiB and open files of each process.
    pub async fn weigh(&self) -> Vec<Weight> {
        let mut weights = Vec::new();
        for process in &self.processes {
            let held = process.child.lock().await;
            let Some(pid) = held.as_ref().map(Child::id) else { continue };
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let kib = resident.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
            let files = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
            weights.push(Weight { process: process.name.clone(), kib: kib.unwrap_or(0), files });
        }
        weights
    }

    /// The end of a process's log.
    pub fn last_words(&self, index: usize) -> String {
        let path = self.folder.join(format!("{}.log", self.processes[index].name));
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Panics that the processes have logged, but for those of the poisoned hook.
    pub fn panics(&self) -> Vec<String> {
        let read = |process: &Process| {
            let log = std::fs::read_to_string(self.folder.join(format!("{}.log", process.name)));
            let lines: Vec<String> = log
                .unwrap_or_default()
                .lines()
                .filter(|line| is_panic(line) && !line.contains("poisoned"))
                .map(|line| format!("{}: {}", process.name, line.chars().take(400).collect::<String>()))
                .collect();
            lines
        };
        self.processes.iter().flat_map(read).collect()
    }
}

/// A line of the log, or of a process that has not yet set up its log.
fn is_panic(line: &str) -> bool {
    let logged = line.contains("\"target\":\"chassis::telemetry\"") && line.contains("\"location\":");
    logged || line.contains("panicked at")
}

/// What a process weighs.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Weight {
    /// Its name.
    pub process: String,
    /// Resident memory.
    pub kib: u64,
    /// Open files.
    pub files: usize,
}

/// A port below those that the system hands out by itself: processes bind it later, and again after a kill.
pub fn free_port() -> SocketAddr {
    static HANDED_OUT: AtomicU16 = AtomicU16::new(0);
    let block = u16::try_from(std::process::id() % 27).unwrap_or(0);
    loop {
        let port = 30_000 + block * 100 + HANDED_OUT.fetch_add(1, Ordering::Relaxed) % 100;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

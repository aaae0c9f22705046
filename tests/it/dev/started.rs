//! `eventus dev` as a newcomer starts it: the built program, a folder of its own, what it prints, how it ends.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::api::Api;
use crate::example;
use crate::world::{binary, signal};

/// How long a start, an answer or an end may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The banner's last line.
const END: &str = "Ctrl-C stops everything";

/// A folder in which `eventus dev` is started, again and again.
pub struct Place {
    folder: tempfile::TempDir,
    http: SocketAddr,
    starts: usize,
}

/// One run. It is killed with this value.
pub struct Dev {
    child: Child,
    said: PathBuf,
    pub http: SocketAddr,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), http: testkit::free_address(), starts: 0 }
    }

    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Starts the program, in a process group of its own as a terminal would.
    pub fn spawn(&mut self, arguments: &[&str], settings: &[(&str, &str)]) -> Dev {
        self.starts += 1;
        let said = self.folder.path().join(format!("said-{}.log", self.starts));
        // Its receiver writes to the same file.
        let output = File::options().create(true).append(true).open(&said).unwrap();
        let child = Command::new(binary())
            .arg("dev")
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("EVENTUS_HOME", self.home())
            .env("EVENTUS_BIN", example::tools())
            .env("PORT", self.http.port().to_string())
            .env("EVENTUS_GRPC_LISTEN", "127.0.0.1:0")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .process_group(0)
            .spawn()
            .unwrap();
        Dev { child, said, http: self.http }
    }

    /// Starts the program and waits for its banner. Gives the time to the first healthy answer, too.
    pub async fn start(&mut self, arguments: &[&str], settings: &[(&str, &str)]) -> (Dev, Duration) {
        let begun = Instant::now();
        let mut dev = self.spawn(arguments, settings);
        let nobody = Api::new(format!("http://{}", dev.http), None);
        let token = self.home().join("admin-token");
        dev.until(async || {
            let Ok(token) = fs::read_to_string(&token) else { return false };
            let api = nobody.with_token(Some(&token));
            let answer = api.raw(http::Method::GET, "/server/health", &[], "").await;
            answer.is_ok_and(|answer| answer.status == 200)
        })
        .await;
        let healthy = begun.elapsed();
        dev.says(END).await;
        (dev, healthy)
    }

    /// Command lines of the processes that work in the folder or name it.
    pub fn living(&self) -> Vec<String> {
        let folder = self.folder.path();
        let pids = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        pids.filter_map(|process| command_of(&process, folder)).collect()
    }

    /// Waits until no process is left.
    pub async fn deserted(&self) {
        let end = Instant::now() + PATIENCE;
        while !self.living().is_empty() {
            assert!(Instant::now() < end, "still there: {:#?}", self.living());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The command line of a process that has to do with the folder. None of one that is gone, though not yet reaped.
fn command_of(process: &Path, folder: &Path) -> Option<String> {
    process.file_name()?.to_str()?.parse::<u32>().ok()?;
    let command = fs::read(process.join("cmdline")).ok().filter(|command| !command.is_empty())?;
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    let works_here = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
    (works_here || command.contains(folder.to_str()?)).then_some(command)
}

impl Dev {
    /// Everything that it has printed.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }

    /// Waits for a condition while the program runs.
    pub async fn until(&mut self, condition: impl AsyncFn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !condition().await {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it has ended: {ended:?}\n{}", self.said());
            assert!(Instant::now() < end, "not within {PATIENCE:?}\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until it has printed this.
    pub async fn says(&mut self, text: &str) {
        let said = self.said.clone();
        self.until(async || fs::read_to_string(&said).unwrap().contains(text)).await;
    }

    /// What the banner says of an address or the token.
    pub fn told(&self, name: &str) -> String {
        let said = self.said();
        let line = said.lines().find_map(|line| line.strip_prefix(&format!("  {name} ")));
        line.unwrap_or_else(|| panic!("no {name} in\n{said}")).split_whitespace().next().unwrap().to_owned()
    }

    /// The commands to try that the banner shows for a program, as they are printed.
    pub fn shown(&self, program: &str) -> Vec<String> {
        let (said, start) = (self.said(), format!("  {program} "));
        let mut lines = said.lines();
        let mut found = Vec::new();
        while let Some(line) = lines.next() {
            if line.starts_with(&start) {
                let mut whole = line.to_owned();
                while whole.ends_with('\\') {
                    whole.push('\n');
                    whole.push_str(lines.next().unwrap());
                }
                found.push(whole);
            }
        }
        found
    }

    /// Runs a printed command as its reader would, and gives `data` of the JSON that it prints.
    pub async fn try_out(&self, command: &str) -> Value {
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-c", command]);
        let said = example::run(shell).await;
        let answer: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{command}\n{said}"));
        answer.get("data").unwrap_or_else(|| panic!("{command}\n{said}")).clone()
    }

    /// A client with the printed address and token.
    pub fn api(&self) -> Api {
        Api::new(self.told("HTTP"), Some(&self.told("token")))
    }

    /// Ctrl-C: the signal goes to the whole group. Gives how it ended, and after how long.
    pub async fn interrupt(mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        signal("INT", &format!("-{}", self.child.id()));
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, begun.elapsed());
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// kill -9 of the one process.
    pub fn kill9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

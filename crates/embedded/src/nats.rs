//! A private nats-server with JetStream: loopback, a generated password, a port that the kernel chose.
//! Password and store stay in the folder, so a restart continues where the last run ended.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::child::{Child, Launch};
use crate::folder::{self, FolderLock};
use crate::identity::Identity;
use crate::leftover::{Stranger, send_away};
use crate::tools::NatsInstall;
use crate::{Error, Launcher};

mod settings;

const USER: &str = "eventus";
const LOOK_EVERY: Duration = Duration::from_millis(3);
const STEPS: [(Signal, Duration); 2] =
    [(Signal::SIGTERM, Duration::from_secs(15)), (Signal::SIGKILL, Duration::from_secs(5))];

/// When JetStream makes what it acknowledged safe against a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncInterval {
    /// nats-server's own (2 minutes): enough, because the stream can be rebuilt from the log.
    #[default]
    Server,
    /// Before each acknowledgement; about eight times slower.
    Always,
    /// Each time that long.
    Every(Duration),
}

/// How to run it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Starts the child.
    pub launcher: Launcher,
    /// `None`: a free port, another one after each start.
    pub port: Option<u16>,
    /// See `SyncInterval`.
    pub sync_interval: SyncInterval,
    /// How long a start may take, recovery of the store included.
    pub patience: Duration,
    /// More lines for the configuration file.
    pub extra: String,
    /// More users beside the one that may do everything, each as the server takes it.
    pub users: Vec<String>,
}

impl Options {
    /// A free port, the server's own sync interval.
    pub fn new(launcher: Launcher) -> Self {
        Self {
            launcher,
            port: None,
            sync_interval: SyncInterval::Server,
            patience: Duration::from_secs(60),
            extra: String::new(),
            users: Vec::new(),
        }
    }
}

/// A running nats-server. It stops when this is dropped, and when this process dies; `stop` is the polite way.
#[derive(Debug)]
pub struct Nats {
    child: Child,
    port: u16,
    password: String,
    version: crate::tools::Version,
    _lock: FolderLock,
}

impl Nats {
    /// Starts the server on `dir` (made when missing; the JetStream store is `dir/store`, the log `dir/server.log`).
    ///
    /// # Errors
    /// `Busy` when another process holds `dir`; `Died`, `TimedOut` with the server's last words when it does not come up.
    pub async fn start(install: &NatsInstall, dir: &Path, options: &Options) -> Result<Self, Error> {
        folder::private(dir)?;
        let lock = FolderLock::acquire(dir).await?;
        let dir = folder::absolute(dir)?;
        clear_leftover(&dir).await?;
        let password = password(&dir)?;
        let ports = dir.join("ports");
        folder::remove(&ports)?;
        folder::private(&ports)?;
        folder::private(&dir.join("store"))?;
        let config = dir.join("nats.conf");
        folder::write_secret(&config, &settings::text(&dir, &password, options))?;
        let log = dir.join("server.log");
        folder::turn_log(&log)?;
        let launch = Launch {
            name: "nats-server",
            launcher: &options.launcher,
            identity: &Identity::Direct,
            death_signal: Signal::SIGTERM,
            program: install.program.clone(),
            args: vec!["-c".into(), config.into()],
            log: log.clone(),
        };
        let child = Child::start(&launch).await?;
        let port = until_ready(&child, &ports, &log, options.patience).await?;
        Ok(Self { child, port, password, version: install.version, _lock: lock })
    }

    /// The address, user and password included.
    pub fn url(&self) -> String {
        format!("nats://{USER}:{}@127.0.0.1:{}", self.password, self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its version.
    pub fn version(&self) -> crate::tools::Version {
        self.version
    }

    /// The process id of the server.
    pub fn pid(&self) -> i32 {
        self.child.pid()
    }

    /// Completes when the server is gone, wanted or not.
    pub async fn exited(&self) -> ExitStatus {
        self.child.exited().await
    }

    /// SIGKILL: for tests of what a crash does.
    pub fn kill(&self) {
        self.child.signal(Signal::SIGKILL);
    }

    /// Ends the server; the store is closed properly.
    pub async fn stop(self) -> ExitStatus {
        self.child.stop(&STEPS).await
    }
}

/// A server of a killed run must be gone before another one opens the same store.
async fn clear_leftover(dir: &Path) -> Result<(), Error> {
    let file = dir.join("nats.pid");
    let Ok(text) = fs::read_to_string(&file) else { return Ok(()) };
    let config = dir.join("nats.conf").to_string_lossy().into_owned();
    let process = text.trim().parse().ok().and_then(Stranger::look);
    if let Some(server) = process.filter(|process| process.command.contains(&config)) {
        send_away(&server, &STEPS, dir).await?;
    }
    let _ = fs::remove_file(&file);
    Ok(())
}

/// The password of the last run, or a new one.
fn password(dir: &Path) -> Result<String, Error> {
    let path = dir.join("password");
    let known = fs::read_to_string(&path).unwrap_or_default();
    // Only what we wrote ourselves may go into the configuration file.
    if known.len() == 48 && known.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(known);
    }
    let password = folder::random_hex(24)?;
    folder::write_secret(&path, &password)?;
    Ok(password)
}

/// Waits for the port file, then for the server's greeting; gives the port.
async fn until_ready(child: &Child, ports: &Path, log: &Path, patience: Duration) -> Result<u16, Error> {
    let deadline = Instant::now() + patience;
    let mut wanted = "its port";
    while Instant::now() < deadline {
        if let Some(status) = child.exit_status() {
            let last_words = folder::tail(log);
            return Err(Error::Died { server: "nats-server", status: status.to_string(), last_words });
        }
        if let Some(port) = port_of(ports, child.pid()) {
            wanted = "an answer";
            if greets(port).await {
                return Ok(port);
            }
        }
        sleep(LOOK_EVERY).await;
    }
    let last_words = folder::tail(log);
    Err(Error::TimedOut { server: "nats-server", wanted, seconds: patience.as_secs(), last_words })
}

/// Reads `nats-server_PID.ports`, which holds `{"nats":["nats://127.0.0.1:PORT"]}`; half a file is no port.
fn port_of(ports: &Path, pid: i32) -> Option<u16> {
    let text = fs::read_to_string(port_file(ports, pid)).ok()?;
    text.trim_end().strip_suffix('}')?;
    let (_, rest) = text.split_once("nats://127.0.0.1:")?;
    rest.split_once('"')?.0.parse().ok()
}

fn port_file(ports: &Path, pid: i32) -> PathBuf {
    ports.join(format!("nats-server_{pid}.ports"))
}

async fn greets(port: u16) -> bool {
    let mut first = [0; 4];
    match TcpStream::connect(("127.0.0.1", port)).await {
        Ok(mut stream) => stream.read_exact(&mut first).await.is_ok() && &first == b"INFO",
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_port_file_is_no_port() {
        let dir = tempfile::tempdir().unwrap();
        let whole = "{\"nats\":[\"nats://127.0.0.1:4711\"]}";
        for length in 0..whole.len() {
            fs::write(port_file(dir.path(), 9), &whole[..length]).unwrap();
            assert_eq!(port_of(dir.path(), 9), None, "{}", &whole[..length]);
        }
        fs::write(port_file(dir.path(), 9), whole).unwrap();
        assert_eq!(port_of(dir.path(), 9), Some(4711));
    }

    #[test]
    fn the_password_stays() {
        let dir = tempfile::tempdir().unwrap();
        let first = password(dir.path()).unwrap();
        assert_eq!(password(dir.path()).unwrap(), first);
        fs::write(dir.path().join("password"), "x\" } evil").unwrap();
        assert_ne!(password(dir.path()).unwrap(), first);
    }
}

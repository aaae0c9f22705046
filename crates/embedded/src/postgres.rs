//! A private PostgreSQL: one data folder, one unix socket in a folder that only we may enter, no network.
//! Starting it makes the data folder when there is none, sees off what a killed run left, and ends when it really answers.
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use crate::child::{Child, Launch};
use crate::folder::{self, FolderLock};
use crate::identity::{self, Identity};
use crate::tools::{PostgresInstall, PostgresInstalls};
use crate::{Error, Launcher};

mod init;
mod socket;
mod stale;
mod wire;

/// The user and the database that every private PostgreSQL has.
const NAME: &str = "eventus";
/// Marks our servers in the list of processes.
const MARK: &str = "cluster_name=eventus-embedded";
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How to run it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Starts the children.
    pub launcher: Launcher,
    /// Off only where the data may be lost (tests): commits then do not wait for the disk.
    pub fsync: bool,
    /// As root: may a user namespace be tried, before an unprivileged account is.
    pub namespace: bool,
    /// How long a start may take, crash recovery included.
    pub patience: Duration,
    /// More settings, name and value, after ours.
    pub settings: Vec<(String, String)>,
}

impl Options {
    /// Durable, for real data.
    pub fn new(launcher: Launcher) -> Self {
        Self {
            launcher,
            fsync: true,
            namespace: true,
            patience: Duration::from_secs(120),
            settings: Vec::new(),
        }
    }

    /// For data that may be lost: no fsync, quick end.
    pub fn throwaway(launcher: Launcher) -> Self {
        Self { fsync: false, ..Self::new(launcher) }
    }

    /// Fast shutdown finishes what is committed; immediate shutdown only leaves.
    fn death_signal(&self) -> Signal {
        if self.fsync { Signal::SIGINT } else { Signal::SIGQUIT }
    }
}

/// A running PostgreSQL. It stops when this is dropped, and when this process dies; `stop` is the polite way.
#[derive(Debug)]
pub struct Postgres {
    child: Child,
    socket: socket::Folder,
    fsync: bool,
    version: crate::tools::Version,
    _lock: FolderLock,
}

impl Postgres {
    /// Starts the server on `dir` (made when missing; the data is in `dir/data`, the log in `dir/server.log`).
    ///
    /// # Errors
    /// `Busy` when another process holds `dir`; `ForeignOwner`, `Identity`, `Version` when the folder cannot be used;
    /// `Died`, `TimedOut` with the server's last words when it does not come up.
    pub async fn start(installs: &PostgresInstalls, dir: &Path, options: &Options) -> Result<Self, Error> {
        folder::private(dir)?;
        let lock = FolderLock::acquire(dir).await?;
        let dir = folder::absolute(dir)?;
        let data = dir.join("data");
        stale::clear(&data).await?;
        let install = install_for(installs, &data)?;
        let program = install.bin.join("postgres");
        let identity = identity::settle(&dir, &options.launcher, &program, options.namespace).await?;
        identity.own(&dir)?;
        let start = Start { install, dir: &dir, data: &data, identity: &identity, options };
        if !data.is_dir() {
            init::make(&start).await?;
        }
        let socket = socket::Folder::make(&dir, &identity)?;
        let child = start.serve(&socket).await?;
        Ok(Self { child, socket, fsync: options.fsync, version: install.version, _lock: lock })
    }

    /// The address of database `eventus`, as sqlx and libpq understand it.
    pub fn url(&self) -> String {
        self.url_of(NAME)
    }

    /// The address of another database of this server.
    pub fn url_of(&self, database: &str) -> String {
        let host = percent_encode(&self.socket.path().to_string_lossy());
        format!("postgres:///{}?host={host}&port={}&user={NAME}", percent_encode(database), socket::PORT)
    }

    /// The folder of the unix socket.
    pub fn socket_dir(&self) -> &Path {
        self.socket.path()
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

    /// Ends the server: fast shutdown (open transactions roll back, the commits are on disk), harder after 30 s.
    pub async fn stop(self) -> ExitStatus {
        let fast = (Signal::SIGINT, Duration::from_secs(30));
        let immediate = (Signal::SIGQUIT, Duration::from_secs(5));
        let steps = if self.fsync { vec![fast, immediate] } else { vec![immediate] };
        self.child.stop(&steps).await
    }
}

/// Everything one start needs to know.
struct Start<'a> {
    install: &'a PostgresInstall,
    dir: &'a Path,
    data: &'a Path,
    identity: &'a Identity,
    options: &'a Options,
}

impl Start<'_> {
    fn log(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    /// Starts the server until it answers. After a SIGKILL of the server, its orphans hold the shared memory for a moment:
    /// a start that fails for that reason is tried again until the deadline.
    async fn serve(&self, socket: &socket::Folder) -> Result<Child, Error> {
        let deadline = Instant::now() + self.options.patience;
        folder::turn_log(&self.log())?;
        loop {
            let child = Child::start(&self.launch(socket)).await?;
            match self.until_ready(&child, socket, deadline).await {
                Ok(()) => return Ok(child),
                Err(Error::Died { last_words, .. })
                    if last_words.contains("pre-existing shared memory block")
                        && Instant::now() < deadline =>
                {
                    tracing::info!("waiting for the processes of a killed PostgreSQL to leave");
                    sleep(Duration::from_millis(100)).await;
                    folder::turn_log(&self.log())?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn until_ready(
        &self,
        child: &Child,
        socket: &socket::Folder,
        deadline: Instant,
    ) -> Result<(), Error> {
        let (address, mut told) = (socket.address(), false);
        let begun = Instant::now();
        while Instant::now() < deadline {
            if let Some(status) = child.exit_status() {
                let last_words = folder::tail(&self.log());
                return Err(Error::Died { server: "PostgreSQL", status: status.to_string(), last_words });
            }
            match wire::ensure_database(&address, NAME, NAME).await {
                Ok(()) => return Ok(()),
                Err(wire::Failure::NotYet(why)) => {
                    if !told && begun.elapsed() > Duration::from_secs(2) {
                        told = true;
                        tracing::info!(%why, "PostgreSQL is still starting");
                    }
                    sleep(LOOK_EVERY).await;
                }
                Err(wire::Failure::Refused { sqlstate, message }) => {
                    return Err(Error::Refused { sqlstate, message });
                }
            }
        }
        let last_words = folder::tail(&self.log());
        let seconds = self.options.patience.as_secs();
        Err(Error::TimedOut { server: "PostgreSQL", wanted: "ready", seconds, last_words })
    }

    fn launch(&self, socket: &socket::Folder) -> Launch<'_> {
        let mut settings: Vec<String> = SETTINGS.iter().map(|setting| (*setting).to_owned()).collect();
        if !self.options.fsync {
            settings.extend(["fsync=off".to_owned(), "full_page_writes=off".to_owned()]);
        }
        settings.extend(self.options.settings.iter().map(|(name, value)| format!("{name}={value}")));
        settings.extend([format!("port={}", socket::PORT), "listen_addresses=".to_owned(), MARK.to_owned()]);
        settings.push(format!("unix_socket_directories={}", socket.setting()));
        let mut args: Vec<OsString> = vec!["-D".into(), self.data.into()];
        args.extend(settings.into_iter().flat_map(|setting| ["-c".into(), setting.into()]));
        Launch {
            name: "PostgreSQL",
            launcher: &self.options.launcher,
            identity: self.identity,
            death_signal: self.options.death_signal(),
            program: self.install.bin.join("postgres"),
            args,
            log: self.log(),
        }
    }
}

/// Small, for one machine; durable. What is not here keeps PostgreSQL's default.
const SETTINGS: [&str; 11] = [
    "synchronous_commit=on",
    "max_connections=200",
    "shared_buffers=64MB",
    "max_wal_size=1GB",
    // Short statements only: compiling them costs more than it saves.
    "jit=off",
    "timezone=UTC",
    "log_timezone=UTC",
    "logging_collector=off",
    "log_destination=stderr",
    "log_line_prefix=%m [%p] ",
    "unix_socket_permissions=0700",
];

/// The installation that can open the data folder, or the preferred one when there is no folder yet.
fn install_for<'a>(installs: &'a PostgresInstalls, data: &Path) -> Result<&'a PostgresInstall, Error> {
    let path = data.join("PG_VERSION");
    if !data.is_dir() {
        return Ok(installs.preferred());
    }
    let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let made_by = text.trim().parse().unwrap_or_default();
    installs.of_major(made_by).ok_or_else(|| Error::Version {
        dir: data.to_owned(),
        made_by,
        found: installs.versions(),
    })
}

/// Everything but letters and digits, so that a path or a name can stand in an address.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

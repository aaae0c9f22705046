//! A whole fleet of its own for one test: database, nats-server, processes, clients.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use model::{Ids as _, RandomIds};

use crate::api::Api;

/// The first admin's static token in every world.
pub const TOKEN: &str = "system-suite-admin-token-0001";
/// The first admin's password.
pub const PASSWORD: &str = "system-suite-password";
/// The secret that signs tokens.
const SECRET: &str = "system-suite-secret-of-more-than-32-characters";

/// All roles in one process, or one process each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    AllInOne,
    Split,
}

impl Shape {
    /// The shape that a module of tests/it/both.rs is compiled for.
    pub fn of(module: &str) -> Self {
        match module.split("::").nth(1) {
            Some("all_in_one") => Self::AllInOne,
            Some("split") => Self::Split,
            _ => panic!("{module} is not compiled once per shape"),
        }
    }
}

/// The shape that the module around is compiled for.
macro_rules! shape {
    () => {
        $crate::world::Shape::of(module_path!())
    };
}

/// What a test may want to be different.
#[derive(Default)]
pub struct Options {
    /// More settings for every process.
    pub env: Vec<(String, String)>,
    /// The folder that `eventus nats users` wrote: each process of a fleet of several comes to the broker as itself.
    pub broker: Option<PathBuf>,
}

impl Options {
    /// One more setting.
    pub fn set(mut self, key: &str, value: impl Into<String>) -> Self {
        self.env.push((key.to_owned(), value.into()));
        self
    }
}

/// A process of the fleet.
pub struct Process {
    pub roles: String,
    pub admin: SocketAddr,
    env: Vec<(String, String)>,
    child: Option<Child>,
}

/// The fleet. Everything dies with it.
pub struct World {
    pub api: Api,
    pub database: testkit::TestDatabase,
    pub nats: testkit::Nats,
    pub grpc: SocketAddr,
    pub processes: Vec<Process>,
    folder: tempfile::TempDir,
}

const ROLES: [(&str, &str); 7] = [
    ("gateway", ""),
    ("items", "EVENTUS_ITEMS_URL"),
    ("auth", "EVENTUS_AUTH_URL"),
    ("hooks", "EVENTUS_HOOKS_URL"),
    ("analytics", "EVENTUS_ANALYTICS_URL"),
    ("webhooks", "EVENTUS_WEBHOOKS_URL"),
    ("cdn-purge", ""),
];

impl World {
    /// A fleet with default settings.
    pub async fn start(shape: Shape) -> Self {
        Self::with(shape, Options::default()).await
    }

    /// A fleet; returns when every process is ready.
    pub async fn with(shape: Shape, options: Options) -> Self {
        let database = testkit::database(db::migrate_url).await;
        Self::over(shape, options, database).await
    }

    /// A fleet on a PostgreSQL server of the test's own.
    pub async fn on(shape: Shape, options: Options, server: &testkit::Postgres) -> Self {
        let database = testkit::TestDatabase::on(server, db::migrate_url).await;
        Self::over(shape, options, database).await
    }

    /// A fleet on a database that is there already.
    pub async fn over(shape: Shape, options: Options, database: testkit::TestDatabase) -> Self {
        let world = Self::unready(shape, options, database).await;
        world.ready().await;
        world
    }

    /// A fleet on a database that is there already, just started.
    pub async fn unready(shape: Shape, options: Options, database: testkit::TestDatabase) -> Self {
        let nats = match &options.broker {
            Some(folder) => testkit::Nats::start_with_users(&broker_users(folder)).await,
            None => testkit::Nats::start().await,
        };
        let mut ports = Ports::new();
        let http = ports.next();
        let mut shared = settings(&database, &nats, http);
        let addresses: Vec<SocketAddr> = ROLES.iter().map(|_| ports.next()).collect();
        let sets: Vec<(String, SocketAddr)> = match shape {
            Shape::AllInOne => vec![("all".to_owned(), addresses[1])],
            Shape::Split => {
                for ((_, key), address) in
                    ROLES.iter().zip(&addresses).filter(|((_, key), _)| !key.is_empty())
                {
                    shared.push((key, format!("http://{address}")));
                }
                ROLES
                    .iter()
                    .zip(&addresses)
                    .map(|((role, _), address)| ((*role).to_owned(), *address))
                    .collect()
            }
        };
        let mut shared: Vec<(String, String)> = shared.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        shared.retain(|(key, _)| options.env.iter().all(|(other, _)| other != key));
        shared.extend(options.env.iter().cloned());
        let (broker, port) = (options.broker, nats.port());
        let processes = sets.into_iter().map(|(roles, grpc)| {
            let admin = ports.next();
            let mut env = shared.clone();
            env.push(("EVENTUS_ADMIN_LISTEN".to_owned(), admin.to_string()));
            if let Some(folder) = &broker {
                let address = std::fs::read_to_string(folder.join(format!("{roles}.url"))).unwrap();
                let here = format!("@127.0.0.1:{port}");
                env.push(("NATS_URL".to_owned(), address.replace("@127.0.0.1:4222", &here)));
            }
            if roles != "gateway" && roles != "cdn-purge" {
                env.push(("EVENTUS_GRPC_LISTEN".to_owned(), grpc.to_string()));
            }
            Process { roles, admin, env, child: None }
        });
        let mut world = Self {
            api: Api::new(format!("http://{http}"), Some(TOKEN)),
            database,
            nats,
            grpc: addresses[1],
            processes: processes.collect(),
            folder: tempfile::tempdir().unwrap(),
        };
        world.spawn_all();
        world
    }

    /// Starts a process that is not running.
    pub fn spawn(&mut self, index: usize) {
        let process = &mut self.processes[index];
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join(format!("{}.log", process.roles)))
            .unwrap();
        let child = Command::new(binary())
            .args(["run", &process.roles])
            .env_clear()
            .envs(process.env.iter().cloned())
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        process.child = Some(child);
    }

    /// One more process that does what the first one does (all roles, or the gateway); gives its HTTP door, without
    /// waiting for it.
    pub fn replica(&mut self) -> Api {
        let mut ports = Ports::new();
        let (http, admin, grpc) = (ports.next(), ports.next(), ports.next());
        let mut env = self.processes[0].env.clone();
        for (key, value) in [
            ("PORT", http.port().to_string()),
            ("EVENTUS_ADMIN_LISTEN", admin.to_string()),
            ("EVENTUS_GRPC_LISTEN", grpc.to_string()),
        ] {
            env.retain(|(name, _)| name != key);
            env.push((key.to_owned(), value));
        }
        let roles = self.processes[0].roles.clone();
        self.processes.push(Process { roles, admin, env, child: None });
        self.spawn(self.processes.len() - 1);
        Api::new(format!("http://{http}"), Some(TOKEN))
    }

    /// What a process is told from its next start on.
    pub fn set(&mut self, index: usize, key: &str, value: impl Into<String>) {
        let env = &mut self.processes[index].env;
        env.retain(|(name, _)| name != key);
        env.push((key.to_owned(), value.into()));
    }

    /// kill -9 of a process.
    pub fn kill9(&mut self, index: usize) {
        if let Some(mut child) = self.processes[index].child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// The id of a process that runs.
    pub fn pid(&self, index: usize) -> u32 {
        self.processes[index].child.as_ref().unwrap().id()
    }

    /// kill -9 of every process.
    pub fn kill9_all(&mut self) {
        (0..self.processes.len()).for_each(|index| self.kill9(index));
    }

    /// Starts every process; none may be running.
    pub fn spawn_all(&mut self) {
        (0..self.processes.len()).for_each(|index| self.spawn(index));
    }

    /// Asks a process to stop, as an operator does, and waits for its end.
    pub fn terminate(&mut self, index: usize) -> std::process::ExitStatus {
        let mut child = self.processes[index].child.take().unwrap();
        signal("TERM", &child.id().to_string());
        child.wait().unwrap()
    }

    /// The index of the process that plays a role.
    pub fn process_of(&self, role: &str) -> usize {
        self.processes.iter().position(|process| process.roles == role || process.roles == "all").unwrap()
    }

    /// Waits until every process says that it is ready.
    pub async fn ready(&self) {
        for process in self.processes.iter().filter(|process| process.child.is_some()) {
            let admin = Api::new(format!("http://{}", process.admin), None);
            let deadline = Instant::now() + Duration::from_secs(60);
            loop {
                let answer = admin.raw(http::Method::GET, "/health/ready", &[], "").await;
                if answer.as_ref().is_ok_and(|answer| answer.status == 200) {
                    break;
                }
                assert!(
                    Instant::now() < deadline,
                    "{} is not ready: {answer:?}\n{}",
                    process.roles,
                    self.logs()
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Everything that the processes logged.
    pub fn logs(&self) -> String {
        let mut all = String::new();
        for process in &self.processes {
            let path = self.folder.path().join(format!("{}.log", process.roles));
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let tail: Vec<&str> = text.lines().rev().take(60).collect();
            all.push_str(&format!("---- {}\n", process.roles));
            all.extend(tail.into_iter().rev().map(|line| format!("{line}\n")));
        }
        all
    }

    /// Every byte that the processes logged, for what must not be there.
    pub fn whole_logs(&self) -> String {
        let read = |process: &Process| {
            std::fs::read_to_string(self.folder.path().join(format!("{}.log", process.roles)))
        };
        self.processes.iter().map(|process| read(process).unwrap()).collect()
    }

    /// A user who is no administrator, with this static token and the first admin's password.
    pub async fn user(&self, email: &str, token: &str) -> uuid::Uuid {
        let id = RandomIds.random();
        let sql = "INSERT INTO directus_users (id, email, password, status, token, provider) SELECT $1, $2, password, \
                   'active', $3, 'default' FROM directus_users WHERE email = 'admin@example.com'";
        sqlx::query(sql).bind(id).bind(email).bind(token).execute(&self.pool().await).await.unwrap();
        id
    }

    /// Makes a collection with these string fields.
    pub async fn collection(&self, name: &str, fields: serde_json::Value) {
        let body = serde_json::json!({"collection": name, "schema": {}, "meta": {}, "fields": fields});
        self.api.post("/collections", body).await.expect(200);
    }

    /// A pool on the test's database, for counting what should be there.
    pub async fn pool(&self) -> sqlx::PgPool {
        sqlx::postgres::PgPoolOptions::new().max_connections(2).connect(&self.database.url).await.unwrap()
    }

    /// Nothing is owed any more: the relay is at the end of the log and every consumer has applied all.
    pub async fn quiet(&self, within: Duration) {
        let pool = self.pool().await;
        let deadline = Instant::now() + within;
        loop {
            let sql = "SELECT (SELECT coalesce(max(position), 0) FROM eventus.events) AS last, \
                       (SELECT position FROM eventus.relay) AS relayed, \
                       (SELECT min(low_water) FROM eventus.consumers) AS applied, \
                       (SELECT count(*) FROM eventus.consumers) AS consumers, \
                       (SELECT count(*) FROM eventus.webhook_deliveries WHERE state = 'pending') AS deliveries, \
                       (SELECT count(*) FROM eventus.purges WHERE state IN ('pending', 'sending')) AS purges";
            let row: (i64, i64, Option<i64>, i64, i64, i64) =
                sqlx::query_as(sql).fetch_one(&pool).await.unwrap();
            let (last, relayed, applied, _, deliveries, purges) = row;
            if relayed >= last && applied.is_some_and(|applied| applied >= last) && deliveries + purges == 0 {
                let dead: i64 = sqlx::query_scalar("SELECT count(*) FROM eventus.dead_letters")
                    .fetch_one(&pool)
                    .await
                    .unwrap();
                assert_eq!(dead, 0, "unexpected dead letters\n{}", self.logs());
                return;
            }
            assert!(Instant::now() < deadline, "not quiet: {row:?}\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for process in &mut self.processes {
            if let Some(mut child) = process.child.take() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// The users in the file that the server is to include.
fn broker_users(folder: &std::path::Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("users.conf")).unwrap();
    let (_, users) = text.split_once("users: ").unwrap();
    let users: Vec<serde_json::Value> = serde_json::from_str(users).unwrap();
    users.iter().map(serde_json::Value::to_string).collect()
}

/// What all processes of a world are told.
fn settings(
    database: &testkit::TestDatabase,
    nats: &testkit::Nats,
    http: SocketAddr,
) -> Vec<(&'static str, String)> {
    vec![
        ("DATABASE_URL", database.url.clone()),
        ("NATS_URL", nats.url()),
        ("SECRET", SECRET.to_owned()),
        ("ADMIN_EMAIL", "admin@example.com".to_owned()),
        ("ADMIN_PASSWORD", PASSWORD.to_owned()),
        ("ADMIN_TOKEN", TOKEN.to_owned()),
        ("HOST", http.ip().to_string()),
        ("PORT", http.port().to_string()),
        ("LOG_LEVEL", "info".to_owned()),
        ("LOG_STYLE", "json".to_owned()),
        ("EVENTUS_OUTBOUND_ALLOW", "127.0.0.1/32".to_owned()),
        ("EVENTUS_WEBHOOK_SCHEDULE", "200,200,500,1000,2000,2000,2000,2000,2000,2000".to_owned()),
        ("EVENTUS_STOP_GRACE", "5s".to_owned()),
        ("HASH_MEMORY_COST", "1024".to_owned()),
        ("EVENTUS_RELAY_LEASE", "2s".to_owned()),
    ]
}

/// Sends a signal. The shell can do it where there is no program `kill`.
pub fn signal(name: &str, whom: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -s {name} -- {whom}")]).status().unwrap();
    assert!(sent.success());
}

/// Ports below those that the system hands out by itself, a block per test process: children bind them later.
struct Ports;

/// How many ports of the block were handed out.
static HANDED_OUT: AtomicU16 = AtomicU16::new(0);

impl Ports {
    fn new() -> Self {
        Self
    }

    fn next(&mut self) -> SocketAddr {
        let block = u16::try_from(std::process::id() % 250).unwrap();
        loop {
            let port = 10_000 + block * 80 + HANDED_OUT.fetch_add(1, Ordering::Relaxed) % 80;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            if TcpListener::bind(address).is_ok() {
                return address;
            }
        }
    }
}

/// The program under test, beside the tests' own.
pub fn binary() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let found =
        here.ancestors().skip(1).take(3).map(|folder| folder.join("eventus")).find(|path| path.is_file());
    found.expect("the program is not built: run `cargo build` first (script/test does)")
}

//! Everything that a run stands on: servers, proxies, receivers and the fleet between them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::fleet::{Fleet, free_port};
use crate::history::History;
use crate::http::Http;
use crate::plan::{EDGES, ROLES};
use crate::proxy::{Proxy, Upstream};
use crate::sinks::Receiver;

/// The first administrator's static token.
const TOKEN: &str = "torture-admin-token-0001";
/// The first administrator, for logins.
pub const EMAIL: &str = "admin@example.com";
/// The first administrator's password.
pub const PASSWORD: &str = "torture-password";

/// Roles that answer calls, and the setting that names them.
const CALLED: [(&str, &str); 5] = [
    ("items", "EVENTUS_ITEMS_URL"),
    ("auth", "EVENTUS_AUTH_URL"),
    ("hooks", "EVENTUS_HOOKS_URL"),
    ("analytics", "EVENTUS_ANALYTICS_URL"),
    ("webhooks", "EVENTUS_WEBHOOKS_URL"),
];

/// The ground.
pub struct Ground {
    pub fleet: Arc<Fleet>,
    pub postgres: Mutex<testkit::Postgres>,
    pub nats: Mutex<testkit::Nats>,
    pub redis: Mutex<testkit::Redis>,
    pub proxies: BTreeMap<&'static str, Proxy>,
    pub webhooks: Receiver,
    pub cdn: Receiver,
    /// As the administrator, to both gateways.
    pub http: Http,
    /// PostgreSQL, past all proxies.
    pub pool: sqlx::PgPool,
    supervisor: Option<tokio::task::JoinHandle<()>>,
}

impl Ground {
    /// Starts everything; returns when the whole fleet is ready.
    ///
    /// # Panics
    /// When it does not come up: there is nothing to torture.
    pub async fn start(
        program: PathBuf,
        folder: &Path,
        history: Arc<History>,
        more: &[(String, String)],
    ) -> Self {
        let (postgres, nats, redis) =
            tokio::join!(testkit::Postgres::start(), testkit::Nats::start(), testkit::Redis::start());
        let (webhooks, cdn) = tokio::join!(Receiver::start(), Receiver::start());
        let grpc: BTreeMap<&str, [SocketAddr; 2]> =
            CALLED.iter().map(|(role, _)| (*role, [free_port(), free_port()])).collect();
        let places = Places {
            postgres: &postgres,
            nats: &nats,
            redis: &redis,
            webhooks: &webhooks,
            cdn: &cdn,
            grpc: &grpc,
        };
        let mut proxies = BTreeMap::new();
        for edge in EDGES.into_iter().chain(PLAIN) {
            proxies.insert(edge, Proxy::start(places.behind(edge)).await);
        }
        let gateways = vec![free_port(), free_port()];
        let mut fleet = Fleet::new(program, folder, Arc::clone(&history));
        for role in ROLES {
            for which in 0..2 {
                let mut env = settings(role, &proxies, &nats.url());
                env.extend(more.iter().cloned());
                if let Some(addresses) = grpc.get(role) {
                    env.push(("EVENTUS_GRPC_LISTEN".to_owned(), addresses[which].to_string()));
                }
                if role == "gateway" {
                    env.push(("PORT".to_owned(), gateways[which].port().to_string()));
                }
                fleet.add(role, env);
            }
        }
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(4);
        let pool = pool.connect_lazy(postgres.url()).expect("the address of a server is one");
        let http = Http::new(gateways, Some(TOKEN), history);
        let (postgres, nats, redis) = (Mutex::new(postgres), Mutex::new(nats), Mutex::new(redis));
        let (fleet, supervisor) = (Arc::new(fleet), None);
        let mut ground =
            Self { fleet, postgres, nats, redis, proxies, webhooks, cdn, http, pool, supervisor };
        ground.fleet.start_all().await;
        ground.supervisor = Some(crate::spawn(Arc::clone(&ground.fleet).supervise()));
        for index in 0..ground.fleet.processes.len() {
            let name = &ground.fleet.processes[index].name;
            assert!(
                ground.fleet.ready(index).await,
                "{name} does not start: {}",
                ground.fleet.last_words(index)
            );
        }
        ground
    }

    /// Both gateways answer a read, past the history.
    pub async fn serves(&self) -> bool {
        for gateway in 0..2 {
            let answer = self.http.glance(gateway, "/items/things?limit=1&fields=id").await;
            if answer.is_none_or(|answer| answer.status != 200) {
                return false;
            }
        }
        true
    }

    /// Ends the fleet: nothing of it runs on beside the next one.
    pub async fn end(&self) {
        if let Some(supervisor) = &self.supervisor {
            supervisor.abort();
        }
        for index in 0..self.fleet.processes.len() {
            let mut held = self.fleet.hold(index).await;
            self.fleet.kill(&mut held);
        }
    }

    /// Takes away everything that is wrong with connections and receivers.
    pub fn heal(&self) {
        self.proxies.values().for_each(Proxy::heal);
        self.webhooks.set(None);
        self.cdn.set(None);
    }
}

/// Edges at which nothing goes wrong: they only spread calls over the processes of a role.
const PLAIN: [&str; 6] = ["to-items", "to-auth", "to-hooks", "to-analytics", "to-webhooks", "auth-redis"];

struct Places<'a> {
    postgres: &'a testkit::Postgres,
    nats: &'a testkit::Nats,
    redis: &'a testkit::Redis,
    webhooks: &'a Receiver,
    cdn: &'a Receiver,
    grpc: &'a BTreeMap<&'a str, [SocketAddr; 2]>,
}

impl Places<'_> {
    /// What stands at the other end of an edge.
    fn behind(&self, edge: &str) -> Vec<Upstream> {
        let here = |port: u16| vec![Upstream::Tcp(SocketAddr::from(([127, 0, 0, 1], port)))];
        match (edge, edge.rsplit_once('-').map(|(_, to)| to)) {
            ("webhooks-sink", _) => vec![Upstream::Tcp(self.webhooks.sink.address())],
            ("cdn-sink", _) => vec![Upstream::Tcp(self.cdn.sink.address())],
            (_, Some("postgres")) => vec![Upstream::Unix(socket(self.postgres.url()))],
            (_, Some("nats")) => here(self.nats.port()),
            (_, Some("redis")) => {
                let address = self.redis.url();
                let address = address.strip_prefix("redis://").and_then(|text| text.parse().ok());
                vec![Upstream::Tcp(address.expect("the server has an address"))]
            }
            (_, Some(role)) => self.grpc[role].iter().copied().map(Upstream::Tcp).collect(),
            (_, None) => Vec::new(),
        }
    }
}

/// The socket of a server that listens in the file system only.
fn socket(url: &str) -> PathBuf {
    let parameter = |name: &str| {
        let (_, query) = url.split_once('?').expect("the address has parameters");
        let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        found.expect("the address names host and port").to_owned()
    };
    let host = parameter("host");
    let mut folder = Vec::new();
    let mut bytes = host.bytes();
    while let Some(byte) = bytes.next() {
        folder.push(if byte == b'%' {
            let digits = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
            let digits = String::from_utf8_lossy(&digits).into_owned();
            u8::from_str_radix(&digits, 16).expect("the address is encoded")
        } else {
            byte
        });
    }
    let folder = String::from_utf8(folder).expect("folders of ours are text");
    PathBuf::from(folder).join(format!(".s.PGSQL.{}", parameter("port")))
}

/// What the processes of a role are told.
fn settings(role: &str, proxies: &BTreeMap<&'static str, Proxy>, nats: &str) -> Vec<(String, String)> {
    let at = |edge: &str| proxies[edge].address.to_string();
    let own = |target: &str, otherwise: &str| {
        let edge = format!("{role}-{target}");
        if proxies.contains_key(edge.as_str()) { at(&edge) } else { at(otherwise) }
    };
    let credentials = nats.rsplit_once('@').map_or("", |(user, _)| user);
    let mut told: Vec<(String, String)> = CALLED
        .iter()
        .map(|(target, key)| ((*key).to_owned(), format!("http://{}", own(target, &format!("to-{target}")))))
        .collect();
    let redis = if role == "gateway" { at("gateway-redis") } else { at("auth-redis") };
    let pairs: [(&str, String); 22] = [
        (
            "DATABASE_URL",
            format!("postgres://eventus@{}/eventus?sslmode=disable", own("postgres", "workers-postgres")),
        ),
        ("NATS_URL", format!("{credentials}@{}", own("nats", "workers-nats"))),
        ("REDIS", format!("redis://{redis}")),
        ("SECRET", "torture-secret-of-more-than-32-characters".to_owned()),
        ("ADMIN_EMAIL", EMAIL.to_owned()),
        ("ADMIN_PASSWORD", PASSWORD.to_owned()),
        ("ADMIN_TOKEN", TOKEN.to_owned()),
        ("HOST", "127.0.0.1".to_owned()),
        ("LOG_LEVEL", "info".to_owned()),
        ("LOG_STYLE", "json".to_owned()),
        ("RATE_LIMITER_ENABLED", "true".to_owned()),
        ("RATE_LIMITER_POINTS", "100000".to_owned()),
        ("EVENTUS_OUTBOUND_ALLOW", "127.0.0.1/32".to_owned()),
        ("EVENTUS_OUTBOUND_TIMEOUT", "2s".to_owned()),
        ("EVENTUS_WEBHOOK_SCHEDULE", schedule()),
        ("EVENTUS_WEBHOOK_OVERLOAD_DELAY", "1s".to_owned()),
        ("EVENTUS_CDN_PURGE_SCHEDULE", schedule()),
        ("EVENTUS_CDN_PURGE_OVERLOAD_DELAY", "1s".to_owned()),
        ("EVENTUS_CDN_COLLECTIONS", "things".to_owned()),
        ("CDN_URL", format!("http://{}", at("cdn-sink"))),
        ("EVENTUS_STOP_GRACE", "5s".to_owned()),
        ("EVENTUS_RELAY_LEASE", "3s".to_owned()),
    ];
    told.extend(pairs.map(|(key, value)| (key.to_owned(), value)));
    told.push(("HASH_MEMORY_COST".to_owned(), "1024".to_owned()));
    told
}

/// Tries for longer than any fault lasts; fifty pauses are the most.
fn schedule() -> String {
    let mut pauses = vec!["200", "500"];
    pauses.extend(["1s"; 48]);
    pauses.join(",")
}

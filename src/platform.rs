//! Starts any set of roles in one process and wires them: what runs here is called in process, what runs
//! elsewhere over gRPC.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::{BoxError, ConfigError, Runtime};
use model::{Clock, Ids, RandomIds, SystemClock};
use rpc::{Channel, LocalSlot, Signer};
use tokio::net::TcpListener;

use crate::role::Role;

mod roles;
mod settings;

pub use settings::{Settings, first_admin};

/// How long a start waits for a database that is away.
const AWAY: Duration = Duration::from_secs(60);

/// A process that could not start or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is missing or wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address is taken or not ours.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// Anything else, named.
    #[error("{what}: {source}")]
    Part {
        /// What failed.
        what: &'static str,
        /// Why.
        source: BoxError,
    },
}

impl Error {
    /// A part that failed.
    pub fn part(what: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Part { what, source: source.into() }
    }
}

/// Addresses that a started process answers on.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    /// HTTP of the gateway.
    pub http: Option<std::net::SocketAddr>,
    /// gRPC of the services here.
    pub grpc: Option<std::net::SocketAddr>,
    /// Metrics and health.
    pub admin: Option<std::net::SocketAddr>,
}

/// Everything that roles are handed.
struct Wiring {
    db: Option<db::Db>,
    bus: bus::Bus,
    signer: Signer,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    slots: Vec<(Role, LocalSlot)>,
    channels: Vec<(Role, Channel)>,
}

impl Wiring {
    fn db(&self) -> Result<db::Db, Error> {
        self.db.clone().ok_or_else(|| Error::Config(ConfigError::Missing("DATABASE_URL".to_owned())))
    }

    fn slot(&self, role: Role) -> LocalSlot {
        self.slots.iter().find(|(of, _)| *of == role).map(|(_, slot)| slot.clone()).unwrap_or_default()
    }

    fn channel(&self, role: Role) -> Result<Channel, Error> {
        let found = self.channels.iter().find(|(of, _)| *of == role).map(|(_, channel)| channel.clone());
        found
            .ok_or_else(|| Error::Config(ConfigError::Missing(role.url_key().unwrap_or_default().to_owned())))
    }
}

/// Runs the roles until the stop; `started` is told the addresses as soon as they are bound.
pub async fn run(
    settings: Settings,
    runtime: Runtime,
    started: impl FnOnce(&Addresses),
) -> Result<(), Error> {
    // First of all: the admin port must not say ready before there is anything to be ready.
    let database = runtime.health.component("database prepared");
    let wiring = wire(&settings).await?;
    let mut addresses = Addresses::default();
    let admin = listen(&settings.admin).await?;
    addresses.admin = admin.local_addr().ok();
    let (health, shutdown) = (runtime.health.clone(), runtime.shutdown.clone());
    runtime
        .tasks
        .spawn_to_the_end("admin", async move { chassis::admin::serve(admin, health, shutdown).await });
    let http = match &settings.gateway {
        Some(config) => Some(listen(&config.listen()).await?),
        None => None,
    };
    addresses.http = http.as_ref().and_then(|listener| listener.local_addr().ok());
    if let Some(address) = &settings.grpc {
        let listener = listen(address).await?;
        addresses.grpc = listener.local_addr().ok();
        open_door(&settings, &wiring, listener, &runtime);
    }
    prepare_database(&settings, &wiring, &runtime).await?;
    roles::start(settings, &wiring, http, &runtime)?;
    database.up();
    started(&addresses);
    let failed = tokio::select! {
        failure = runtime.tasks.failed() => Some(failure),
        () = runtime.shutdown.soft().cancelled() => None,
    };
    if let Some(failure) = &failed {
        tracing::error!(%failure, "a task ended: going down");
        runtime.shutdown.begin();
    }
    runtime.tasks.drain().await;
    failed.map_or(Ok(()), |failure| Err(Error::part("task", failure)))
}

async fn listen(address: &str) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address: address.to_owned(), source })
}

async fn wire(settings: &Settings) -> Result<Wiring, Error> {
    let name = settings.roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(",");
    let db = settings.db.as_ref().map(|config| db::connect(config, &name));
    let bus = bus::Bus::connect(&settings.bus, &name).await.map_err(|error| Error::part("bus", error))?;
    let served = [Role::Items, Role::Auth, Role::Hooks, Role::Analytics, Role::Webhooks];
    let here = served.into_iter().filter(|role| settings.roles.contains(role));
    let slots: Vec<(Role, LocalSlot)> = here.map(|role| (role, LocalSlot::default())).collect();
    let mut channels: Vec<(Role, Channel)> =
        slots.iter().map(|(role, slot)| (*role, Channel::local(slot))).collect();
    for (role, url) in &settings.urls {
        if let (Some(url), false) = (url, settings.roles.contains(role)) {
            channels.push((
                *role,
                Channel::connect_lazy(url, settings.tls.as_ref())
                    .map_err(|error| Error::part("gRPC address", error))?,
            ));
        }
    }
    Ok(Wiring {
        db,
        bus,
        signer: Signer::of(&settings.fleet_secrets),
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        slots,
        channels,
    })
}

/// gRPC services of a role, by full name.
fn services(role: Role) -> &'static [&'static str] {
    match role {
        Role::Items => &[
            "eventus.items.v1.ItemsService",
            "eventus.schema.v1.SchemaService",
            "eventus.events.v1.EventsService",
            "eventus.history.v1.HistoryService",
            "eventus.imports.v1.ImportsService",
            "eventus.upkeep.v1.UpkeepService",
            "eventus.calls.v1.CallsService",
        ],
        Role::Auth => &[
            "eventus.auth.v1.AuthService",
            "eventus.auth.v1.ApiKeyService",
            "eventus.accounts.v1.AccountsService",
        ],
        Role::Hooks => &["eventus.hooks.v1.HooksService"],
        Role::Analytics => &["eventus.analytics.v1.AnalyticsService"],
        Role::Webhooks => &["eventus.webhooks.v1.WebhooksService"],
        Role::Gateway | Role::CdnPurge => &[],
    }
}

/// The gRPC door: one address for all services that run here.
fn open_door(settings: &Settings, wiring: &Wiring, listener: TcpListener, runtime: &Runtime) {
    let mut door = rpc::Door::default().tls(settings.tls.clone());
    for (role, slot) in &wiring.slots {
        door = services(*role).iter().fold(door, |door, name| door.service(name, slot.clone()));
    }
    let reflection = settings.reflection;
    runtime.tasks.spawn_to_the_end("grpc", door.serve(listener, reflection, runtime.clone()));
}

/// Migrations and the first admin, or waiting for whoever does them.
async fn prepare_database(settings: &Settings, wiring: &Wiring, runtime: &Runtime) -> Result<(), Error> {
    let Some(db) = &wiring.db else { return Ok(()) };
    let stopped = runtime.shutdown.soft().clone();
    let work = async {
        if !settings.migrate {
            return db::wait_migrated(db, &runtime.shutdown)
                .await
                .map_err(|error| Error::part("migrations", error));
        }
        migrate(db, settings.admin_user.as_ref(), &*wiring.ids).await
    };
    tokio::select! {
        done = work => done,
        () = stopped.cancelled() => Ok(()),
    }
}

/// Tries until PostgreSQL answers, up to a minute: it may be starting, or have no connection to give right now.
async fn patiently<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(
    work: impl Fn() -> F,
    is_unavailable: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let until = Instant::now() + AWAY;
    loop {
        match work().await {
            Err(error) if is_unavailable(&error) && Instant::now() < until => {
                tracing::warn!(%error, "waiting for the database");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            outcome => return outcome,
        }
    }
}

/// Runs the migrations and makes the first admin. Tries again while PostgreSQL is away, up to a minute.
pub async fn migrate(
    db: &db::Db,
    admin: Option<&auth_service::FirstAdmin>,
    ids: &dyn Ids,
) -> Result<(), Error> {
    let applied = patiently(|| db::migrate(db), db::Error::is_unavailable).await;
    let applied = applied.map_err(|error| Error::part("migrations", error))?;
    tracing::info!(?applied, "migrated");
    if let Some(admin) = admin {
        let made =
            patiently(|| auth_service::bootstrap(db, admin, ids), auth_service::Error::is_unavailable).await;
        let made = made.map_err(|error| Error::part("first admin", error))?;
        if let Some(password) = made.password {
            println!("first admin: {} with password {} (shown once)", admin.email, password.expose());
        }
    }
    Ok(())
}

//! Starts any set of roles in one process and wires them: what runs here is called in process, what runs
//! elsewhere over gRPC.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use chassis::{BoxError, ConfigError, Env, Runtime};
use model::{Clock, Ids, RandomIds, SystemClock};
use rpc::{Channel, LocalSlot, Signer};
use tokio::net::TcpListener;

use crate::role::Role;

/// How often a starting role is looked at.
const BOUND: Duration = Duration::from_millis(5);

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

/// Settings of every role that is to run, read before anything starts.
pub struct Settings {
    roles: BTreeSet<Role>,
    secret: String,
    db: Option<db::Config>,
    bus: bus::Config,
    grpc: Option<String>,
    admin: String,
    gateway: Option<gateway::Config>,
    items: Option<items_service::Config>,
    auth: Option<auth_service::Config>,
    hooks: Option<hooks_worker::Config>,
    analytics: Option<analytics_worker::Config>,
    webhooks: Option<webhooks_worker::Config>,
    cdn_purge: Option<cdn_purge_worker::Config>,
    urls: Vec<(Role, Option<String>)>,
    migrate: bool,
    reflection: bool,
    grace: Duration,
    admin_user: Option<auth_service::FirstAdmin>,
}

impl Settings {
    /// Reads the settings of these roles. `dev` opens reflection and loopback defaults.
    pub fn from_env(env: &Env, roles: &[Role], dev: bool) -> Result<Self, Error> {
        let roles: BTreeSet<Role> = roles.iter().copied().collect();
        let has = |role: Role| roles.contains(&role);
        let needs_db = roles.iter().any(|role| *role != Role::Gateway);
        let urls = Role::all().into_iter().filter_map(|role| Some((role, role.url_key()?)));
        let urls = urls.map(|(role, key)| Ok((role, env.get(key)?))).collect::<Result<_, ConfigError>>()?;
        know_all(env);
        let default_grpc = dev.then(|| "127.0.0.1:9090".to_owned());
        Ok(Self {
            secret: env.required("SECRET")?,
            db: needs_db.then(|| db::Config::from_env(env)).transpose()?,
            bus: bus::Config::from_env(env)?,
            grpc: env.get("EVENTUS_GRPC_LISTEN")?.or(default_grpc),
            admin: env.get("EVENTUS_ADMIN_LISTEN")?.unwrap_or_else(|| "127.0.0.1:9464".to_owned()),
            gateway: has(Role::Gateway).then(|| gateway::Config::from_env(env)).transpose()?,
            items: has(Role::Items).then(|| items_service::Config::from_env(env)).transpose()?,
            auth: has(Role::Auth).then(|| auth_service::Config::from_env(env)).transpose()?,
            hooks: has(Role::Hooks).then(|| hooks_worker::Config::from_env(env)).transpose()?,
            analytics: has(Role::Analytics).then(|| analytics_worker::Config::from_env(env)).transpose()?,
            webhooks: has(Role::Webhooks).then(|| webhooks_worker::Config::from_env(env)).transpose()?,
            cdn_purge: has(Role::CdnPurge).then(|| cdn_purge_worker::Config::from_env(env)).transpose()?,
            urls,
            migrate: env.flag("MIGRATE_ON_BOOT", true)?,
            reflection: env.flag("EVENTUS_GRPC_REFLECTION", dev)?,
            grace: env.duration("EVENTUS_STOP_GRACE", Duration::from_secs(20))?,
            admin_user: first_admin(env)?,
            roles,
        })
    }

    /// How long a soft stop may take before the hard one.
    pub fn grace(&self) -> Duration {
        self.grace
    }
}

/// Settings of roles that don't run here are known too: a fleet shares one set of them.
fn know_all(env: &Env) {
    let _ = db::Config::from_env(env);
    let _ = gateway::Config::from_env(env);
    let _ = items_service::Config::from_env(env);
    let _ = auth_service::Config::from_env(env);
    let _ = hooks_worker::Config::from_env(env);
    let _ = analytics_worker::Config::from_env(env);
    let _ = webhooks_worker::Config::from_env(env);
    let _ = cdn_purge_worker::Config::from_env(env);
}

/// The first admin, when ADMIN_EMAIL names one.
pub fn first_admin(env: &Env) -> Result<Option<auth_service::FirstAdmin>, ConfigError> {
    let (email, password, token) = (env.get("ADMIN_EMAIL")?, env.get("ADMIN_PASSWORD")?, env.get("ADMIN_TOKEN")?);
    Ok(email.map(|email| auth_service::FirstAdmin { email, password: password.into(), token: token.into() }))
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
        found.ok_or_else(|| Error::Config(ConfigError::Missing(role.url_key().unwrap_or_default().to_owned())))
    }
}

/// Runs the roles until the stop; `started` is told the addresses as soon as they are bound.
pub async fn run(settings: Settings, runtime: Runtime, started: impl FnOnce(&Addresses)) -> Result<(), Error> {
    // First of all: the admin port must not say ready before there is anything to be ready.
    let database = runtime.health.component("database prepared");
    let wiring = wire(&settings).await?;
    let mut addresses = Addresses::default();
    let admin = listen(&settings.admin).await?;
    addresses.admin = admin.local_addr().ok();
    let (health, shutdown) = (runtime.health.clone(), runtime.shutdown.clone());
    runtime.tasks.spawn_to_the_end("admin", async move { chassis::admin::serve(admin, health, shutdown).await });
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
    start_roles(settings, &wiring, http, &runtime)?;
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
    let db = match &settings.db {
        Some(config) => Some(db::connect(config, &name)),
        None => None,
    };
    let bus = bus::Bus::connect(&settings.bus, &name).await.map_err(|error| Error::part("bus", error))?;
    let served = [Role::Items, Role::Auth, Role::Hooks, Role::Analytics, Role::Webhooks];
    let here = served.into_iter().filter(|role| settings.roles.contains(role));
    let slots: Vec<(Role, LocalSlot)> = here.map(|role| (role, LocalSlot::default())).collect();
    let mut channels: Vec<(Role, Channel)> = slots.iter().map(|(role, slot)| (*role, Channel::local(slot))).collect();
    for (role, url) in &settings.urls {
        if let (Some(url), false) = (url, settings.roles.contains(role)) {
            channels.push((*role, Channel::connect_lazy(url).map_err(|error| Error::part("gRPC address", error))?));
        }
    }
    Ok(Wiring {
        db,
        bus,
        signer: Signer::new(&settings.secret),
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        slots,
        channels,
    })
}

/// gRPC services of a role, by full name.
fn services(role: Role) -> &'static [&'static str] {
    match role {
        Role::Items => {
            &["eventus.items.v1.ItemsService", "eventus.schema.v1.SchemaService", "eventus.events.v1.EventsService"]
        }
        Role::Auth => &["eventus.auth.v1.AuthService"],
        Role::Hooks => &["eventus.hooks.v1.HooksService"],
        Role::Analytics => &["eventus.analytics.v1.AnalyticsService"],
        Role::Webhooks => &["eventus.webhooks.v1.WebhooksService"],
        Role::Gateway | Role::CdnPurge => &[],
    }
}

/// The gRPC door: one address for all services that run here.
fn open_door(settings: &Settings, wiring: &Wiring, listener: TcpListener, runtime: &Runtime) {
    let mut door = rpc::Door::default();
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
            return db::wait_migrated(db, &runtime.shutdown).await.map_err(|error| Error::part("migrations", error));
        }
        migrate(db, settings.admin_user.as_ref(), &*wiring.ids).await
    };
    tokio::select! {
        done = work => done,
        () = stopped.cancelled() => Ok(()),
    }
}

/// Runs the migrations and makes the first admin. Tries again while PostgreSQL is away, up to a minute.
pub async fn migrate(
    db: &db::Db,
    admin: Option<&auth_service::FirstAdmin>,
    ids: &dyn Ids,
) -> Result<(), Error> {
    let applied = db::migrate(db).await.map_err(|error| Error::part("migrations", error))?;
    tracing::info!(?applied, "migrated");
    if let Some(admin) = admin {
        let made = auth_service::bootstrap(db, admin, ids).await;
        let made = made.map_err(|error| Error::part("first admin", error))?;
        if let Some(password) = made.password {
            println!("first admin: {} with password {} (shown once)", admin.email, password.expose());
        }
    }
    Ok(())
}

/// Starts a role. The process is not ready before the role has registered what it depends on and, if it serves
/// gRPC, can be called.
fn spawn<F, E>(runtime: &Runtime, role: Role, slot: Option<LocalSlot>, work: F)
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<BoxError> + Send + 'static,
{
    let begun = runtime.health.component(role.name());
    runtime.tasks.spawn_to_the_end(role.name(), async move {
        let mut work = Box::pin(work);
        if let Poll::Ready(done) = futures_util::poll!(&mut work) {
            return done;
        }
        let bound = async {
            while slot.as_ref().is_some_and(|slot| !slot.is_bound()) {
                tokio::time::sleep(BOUND).await;
            }
            begun.up();
            std::future::pending::<std::convert::Infallible>().await
        };
        tokio::select! {
            done = &mut work => done,
            never = bound => match never {},
        }
    });
}

fn start_roles(
    settings: Settings,
    wiring: &Wiring,
    http: Option<TcpListener>,
    runtime: &Runtime,
) -> Result<(), Error> {
    let (bus, signer) = (wiring.bus.clone(), wiring.signer.clone());
    let (clock, ids) = (Arc::clone(&wiring.clock), Arc::clone(&wiring.ids));
    if let Some(config) = settings.auth {
        let links = auth_service::Links {
            db: wiring.db()?,
            bus: bus.clone(),
            signer: signer.clone(),
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
        };
        let face = auth_service::Face { grpc: None, local: wiring.slot(Role::Auth) };
        spawn(runtime, Role::Auth, Some(wiring.slot(Role::Auth)), auth_service::run(config, links, face, runtime.child()));
    }
    if let Some(config) = settings.items {
        let links = items_service::Links {
            db: wiring.db()?,
            bus: bus.clone(),
            signer: signer.clone(),
            auth: wiring.channel(Role::Auth)?,
            hooks: wiring.channel(Role::Hooks)?,
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
        };
        let face = items_service::Face { grpc: None, local: wiring.slot(Role::Items) };
        spawn(runtime, Role::Items, Some(wiring.slot(Role::Items)), items_service::run(config, links, face, runtime.child()));
    }
    start_workers(
        (settings.hooks, settings.analytics, settings.webhooks, settings.cdn_purge),
        wiring,
        runtime,
    )?;
    if let (Some(config), Some(listener)) = (settings.gateway, http) {
        let links = gateway::Links {
            bus,
            signer,
            items: wiring.channel(Role::Items)?,
            auth: wiring.channel(Role::Auth)?,
            hooks: wiring.channel(Role::Hooks)?,
            analytics: wiring.channel(Role::Analytics)?,
            webhooks: wiring.channel(Role::Webhooks)?,
            clock,
            ids,
        };
        spawn(runtime, Role::Gateway, None, gateway::run(config, links, listener, runtime.child()));
    }
    Ok(())
}

type WorkerConfigs = (
    Option<hooks_worker::Config>,
    Option<analytics_worker::Config>,
    Option<webhooks_worker::Config>,
    Option<cdn_purge_worker::Config>,
);

fn start_workers(configs: WorkerConfigs, wiring: &Wiring, runtime: &Runtime) -> Result<(), Error> {
    let (bus, signer) = (wiring.bus.clone(), wiring.signer.clone());
    let (clock, ids) = (Arc::clone(&wiring.clock), Arc::clone(&wiring.ids));
    let (hooks, analytics, webhooks, cdn_purge) = configs;
    if let Some(config) = hooks {
        let links = hooks_worker::Links {
            db: wiring.db()?,
            bus: bus.clone(),
            signer: signer.clone(),
            auth: wiring.channel(Role::Auth)?,
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
        };
        let face = hooks_worker::Face { grpc: None, local: wiring.slot(Role::Hooks) };
        spawn(runtime, Role::Hooks, Some(wiring.slot(Role::Hooks)), hooks_worker::run(config, links, face, runtime.child()));
    }
    if let Some(config) = analytics {
        let links = analytics_worker::Links {
            db: wiring.db()?,
            bus: bus.clone(),
            signer: signer.clone(),
            auth: wiring.channel(Role::Auth)?,
            clock: Arc::clone(&clock),
        };
        let face = analytics_worker::Face { grpc: None, local: wiring.slot(Role::Analytics) };
        spawn(runtime, Role::Analytics, Some(wiring.slot(Role::Analytics)), analytics_worker::run(config, links, face, runtime.child()));
    }
    if let Some(config) = webhooks {
        let links = webhooks_worker::Links {
            db: wiring.db()?,
            bus: bus.clone(),
            signer,
            auth: wiring.channel(Role::Auth)?,
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
        };
        let face = webhooks_worker::Face { grpc: None, local: wiring.slot(Role::Webhooks) };
        spawn(runtime, Role::Webhooks, Some(wiring.slot(Role::Webhooks)), webhooks_worker::run(config, links, face, runtime.child()));
    }
    if let Some(config) = cdn_purge {
        let links = cdn_purge_worker::Links { db: wiring.db()?, bus, clock, ids };
        spawn(runtime, Role::CdnPurge, None, cdn_purge_worker::run(config, links, runtime.child()));
    }
    Ok(())
}

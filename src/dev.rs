//! `eventus dev`: everything on this machine, from nothing, with data that stay.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chassis::telemetry::{self, TelemetryConfig};
use chassis::{Env, Runtime, Shutdown};
use embedded::tools::{NatsInstall, PostgresInstalls};
use embedded::{Launcher, Nats, Postgres, Search};

use crate::platform::{self, Addresses, Settings};
use crate::{Error, Role};

mod banner;
mod demo;
mod secrets;

/// What `eventus dev` can be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Also make a small shop, a hook and a webhook endpoint with a receiver that checks signatures
    #[arg(long)]
    demo: bool,
}

/// What was started beside the roles.
#[derive(Default)]
struct Servers {
    postgres: Option<Postgres>,
    nats: Option<Nats>,
}

/// Starts what is not given, then all roles; ends on Ctrl-C or when a child dies.
pub async fn run(arguments: Arguments, env: Env) -> Result<(), Error> {
    let begun = Instant::now();
    let home = PathBuf::from(env.get("EVENTUS_HOME")?.unwrap_or_else(|| ".eventus".to_owned()));
    let mut servers = Servers::default();
    let (mut pairs, secrets) = secrets::keep(&env, &home)?;
    start_servers(&env, &home, &mut servers, &mut pairs).await?;
    if arguments.demo {
        pairs.extend(demo::settings());
    }
    if env.get("EVENTUS_MAIL_PREVIEW")?.is_none() {
        pairs.push(("EVENTUS_MAIL_PREVIEW".to_owned(), "true".to_owned()));
    }
    let env = env.with(pairs);
    let telemetry = TelemetryConfig::from_env(&env, "eventus")?;
    let settings = Settings::from_env(&env, &Role::all(), true)?;
    env.refuse_unknown()?;
    let telemetry = telemetry::init(&telemetry).map_err(|error| Error::part("telemetry", error))?;
    let shutdown = Shutdown::new();
    shutdown.on_signals(settings.grace()).map_err(|error| Error::part("signals", error))?;
    let runtime = Runtime::new(shutdown.clone());
    let nats_url = servers.nats.as_ref().map(Nats::url).or(env.get("NATS_URL")?).unwrap_or_default();
    let told = {
        let (runtime, token) = (runtime.clone(), secrets.token.clone());
        move |addresses: &Addresses| {
            let (addresses, tasks) = (addresses.clone(), runtime.clone());
            runtime.tasks.detach(async move {
                tell(&addresses, &token, &nats_url, begun, arguments.demo, &tasks).await;
            });
        }
    };
    let outcome = tokio::select! {
        outcome = platform::run(settings, runtime, told) => outcome,
        name = servers.exited() => {
            shutdown.begin_hard();
            Err(Error::part("private server", format!("{name} ended; see its log under {}", home.display())))
        }
    };
    telemetry.shutdown().await;
    servers.stop().await;
    outcome
}

/// Says where everything is as soon as the first request would be answered.
async fn tell(
    addresses: &Addresses,
    token: &str,
    nats_url: &str,
    begun: Instant,
    demo: bool,
    runtime: &Runtime,
) {
    let deadline = begun + Duration::from_secs(60);
    while !runtime.health.ready() {
        if Instant::now() > deadline {
            eprintln!("eventus: not ready after a minute: {:?}", runtime.health.report());
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("eventus: ready after {:.1} s", begun.elapsed().as_secs_f32());
    let shop = match demo {
        true => demo::make(addresses, token).await.map_err(|error| eprintln!("eventus: demo: {error}")).ok(),
        false => None,
    };
    banner::print(addresses, token, nats_url, shop.is_some());
    if let Some(mut receiver) = shop {
        runtime.shutdown.soft().cancelled().await;
        let _ = receiver.kill().await;
    }
}

async fn start_servers(
    env: &Env,
    home: &Path,
    servers: &mut Servers,
    pairs: &mut Vec<(String, String)>,
) -> Result<(), Error> {
    let own_database = env.get("DATABASE_URL")?.is_none() && env.get("DB_HOST")?.is_none();
    let own_bus = env.get("NATS_URL")?.is_none();
    if !own_database && !own_bus {
        return Ok(());
    }
    let bin = env.get("EVENTUS_BIN")?.map_or_else(|| home.join("bin"), PathBuf::from);
    let search = Search::new(bin, env.get("PATH")?.map(Into::into));
    let program = std::env::current_exe().map_err(|error| Error::part("own program", error))?;
    let launcher = Launcher::new(program, ["keep".into()]);
    if own_database {
        println!("eventus: starting a private PostgreSQL under {}/postgres", home.display());
        let options = embedded::postgres::Options::new(launcher.clone());
        let installs = PostgresInstalls::find(&search).map_err(|error| Error::part("PostgreSQL", error))?;
        let started = Postgres::start(&installs, &home.join("postgres"), &options).await;
        let postgres = started.map_err(|error| Error::part("private PostgreSQL", error))?;
        pairs.push(("DATABASE_URL".to_owned(), postgres.url()));
        servers.postgres = Some(postgres);
    }
    if own_bus {
        println!("eventus: starting a private nats-server under {}/nats", home.display());
        let options = embedded::nats::Options::new(launcher);
        let install = NatsInstall::find(&search).map_err(|error| Error::part("nats-server", error))?;
        let started = Nats::start(&install, &home.join("nats"), &options).await;
        let nats = started.map_err(|error| Error::part("private nats-server", error))?;
        pairs.push(("NATS_URL".to_owned(), nats.url()));
        servers.nats = Some(nats);
    }
    Ok(())
}

impl Servers {
    /// Resolves with the name of a server that ended by itself.
    async fn exited(&self) -> &'static str {
        let postgres = async {
            match &self.postgres {
                Some(postgres) => drop(postgres.exited().await),
                None => std::future::pending().await,
            }
        };
        let nats = async {
            match &self.nats {
                Some(nats) => drop(nats.exited().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = postgres => "PostgreSQL",
            () = nats => "nats-server",
        }
    }

    async fn stop(self) {
        if let Some(nats) = self.nats {
            nats.stop().await;
        }
        if let Some(postgres) = self.postgres {
            postgres.stop().await;
        }
    }
}

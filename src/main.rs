//! Arguments in, exit code out.

use std::process::ExitCode;
use std::time::Duration;

use chassis::telemetry::{self, TelemetryConfig};
use chassis::{ConfigError, Env, Runtime, Shutdown};
use clap::{Parser, Subcommand};
use eventus::platform::{self, Settings};
use eventus::{Error, Role, dev, doctor, documents, nats, upkeep};

/// A request is a hundred small allocations, and workers free what others made.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(
    name = "eventus",
    version,
    about = "A headless data platform that speaks Directus's language and loses nothing"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything on this machine: a private PostgreSQL and nats-server where none are given, all roles
    Dev(dev::Arguments),
    /// Run roles: gateway, items, auth, hooks, analytics, webhooks, cdn-purge, or `all`
    Run {
        /// Comma-separated
        roles: String,
    },
    /// Bring the database to the newest schema and make the first admin (ADMIN_EMAIL, ADMIN_PASSWORD, ADMIN_TOKEN)
    Migrate,
    /// Check the configuration of roles without starting them
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Look at database, bus and services and say what is wrong
    Doctor,
    /// The schema as a document: write it, compare it, change the database into it
    Schema {
        #[command(subcommand)]
        command: documents::Command,
    },
    /// The relay: the one road from the log to the bus
    Relay {
        #[command(subcommand)]
        command: RelayCommand,
    },
    /// The event log: look, follow, replay into one consumer
    Events {
        #[command(subcommand)]
        command: upkeep::Events,
    },
    /// Dead letters: events that a consumer has given up
    Dlq {
        #[command(subcommand)]
        command: upkeep::Letters,
    },
    /// Consumers of the event log
    Consumers {
        #[command(subcommand)]
        command: upkeep::Consumers,
    },
    /// Users of the broker
    Nats {
        #[command(subcommand)]
        command: nats::Command,
    },
    /// Types of the collections for programs that use them
    Types {
        #[command(subcommand)]
        command: TypesCommand,
    },
    /// Receive webhooks and check their signatures
    Receive {
        /// The endpoint's secret (`whsec_...`)
        #[arg(long, env = "EVENTUS_RECEIVE_SECRET")]
        secret: String,
        /// Address
        #[arg(long, default_value = "127.0.0.1:8066")]
        listen: String,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Check and say what is wrong
    Check {
        /// Comma-separated
        #[arg(default_value = "all")]
        roles: String,
    },
}

#[derive(Subcommand)]
enum TypesCommand {
    /// TypeScript for the official SDK: `createDirectus<Schema>(url)`
    Typescript {
        /// Where to; printed when there is none
        file: Option<std::path::PathBuf>,
    },
}

#[derive(Subcommand)]
enum RelayCommand {
    /// Purge the stream, begin a new epoch and republish what any consumer still needs
    Reset,
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    // Before any thread exists: this process is about to become a database or a nats-server.
    if args.peek().is_some_and(|first| first == "keep") {
        return embedded::keep::main(args.skip(1));
    }
    let arguments = Arguments::parse();
    let env = Env::from_process();
    let outcome = runtime(&env).and_then(|runtime| runtime.block_on(execute(arguments.command, env)));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("eventus: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Half of the cores by default: one thread passes on what PostgreSQL needs more than two for, and threads that look for
/// work in vain take the cores from those that have it.
fn runtime(env: &Env) -> Result<tokio::runtime::Runtime, Error> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = env.parse("EVENTUS_THREADS", (cores / 2).max(1))?;
    if threads == 0 {
        return Err(ConfigError::invalid("EVENTUS_THREADS", "1 or more").into());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    runtime.map_err(|error| Error::part("runtime", error))
}

async fn execute(command: Command, env: Env) -> Result<ExitCode, Error> {
    let done = match command {
        Command::Schema { command } => return documents::run(command, &env).await,
        Command::Dev(arguments) => dev::run(arguments, env).await,
        Command::Run { roles } => run(&env, &parse_roles(&roles)?).await,
        Command::Migrate => migrate(&env).await,
        Command::Config { command: ConfigCommand::Check { roles } } => check(&env, &parse_roles(&roles)?),
        Command::Doctor => doctor::run(&env).await,
        Command::Relay { command: RelayCommand::Reset } => reset_relay(&env).await,
        Command::Events { command } => upkeep::events(command, &env).await,
        Command::Dlq { command } => upkeep::letters(command, &env).await,
        Command::Consumers { command } => upkeep::consumers(command, &env).await,
        Command::Nats { command } => nats::run(command, &env),
        Command::Types { command: TypesCommand::Typescript { file } } => typescript(&env, file).await,
        Command::Receive { secret, listen } => {
            let listener = tokio::net::TcpListener::bind(&listen).await;
            let listener = listener.map_err(|source| Error::Listen { address: listen, source })?;
            eventus::receiver::serve(listener, &secret).await.map_err(|error| Error::part("receiver", error))
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn parse_roles(text: &str) -> Result<Vec<Role>, Error> {
    if text == "all" {
        return Ok(Role::all());
    }
    let roles = text.split(',').map(|name| name.trim().parse::<Role>());
    roles.collect::<Result<_, _>>().map_err(|error| Error::part("roles", error))
}

async fn run(env: &Env, roles: &[Role]) -> Result<(), Error> {
    let name = if roles.len() == 1 { format!("eventus-{}", roles[0].name()) } else { "eventus".to_owned() };
    let telemetry = TelemetryConfig::from_env(env, &name)?;
    let settings = Settings::from_env(env, roles, false)?;
    env.refuse_unknown()?;
    let telemetry = telemetry::init(&telemetry).map_err(|error| Error::part("telemetry", error))?;
    let shutdown = Shutdown::new();
    shutdown.on_signals(settings.grace()).map_err(|error| Error::part("signals", error))?;
    let outcome = platform::run(settings, Runtime::new(shutdown), |addresses| {
        tracing::info!(http = ?addresses.http, grpc = ?addresses.grpc, admin = ?addresses.admin, "started");
    })
    .await;
    telemetry.shutdown().await;
    outcome
}

fn check(env: &Env, roles: &[Role]) -> Result<(), Error> {
    TelemetryConfig::from_env(env, "eventus")?;
    Settings::from_env(env, roles, false)?;
    env.refuse_unknown()?;
    println!("the configuration is complete");
    Ok(())
}

async fn migrate(env: &Env) -> Result<(), Error> {
    let config = db::Config::from_env(env)?;
    let admin = platform::first_admin(env)?;
    let db = db::connect(&config, "migrate");
    platform::migrate(&db, admin.as_ref(), &model::RandomIds).await?;
    println!("the database is at the newest schema");
    Ok(())
}

async fn reset_relay(env: &Env) -> Result<(), Error> {
    let db = db::connect(&db::Config::from_env(env)?, "relay-reset");
    let config = bus::Config::from_env(env)?;
    let bus = bus::Bus::connect(&config, "relay-reset").await.map_err(|error| Error::part("bus", error))?;
    let reset = tokio::time::timeout(Duration::from_secs(60), items_service::relay::reset(&db, &bus)).await;
    let from =
        reset.map_err(|error| Error::part("bus", error))?.map_err(|error| Error::part("relay", error))?;
    println!("the stream is purged; the relay republishes after position {from}");
    Ok(())
}

async fn typescript(env: &Env, file: Option<std::path::PathBuf>) -> Result<(), Error> {
    let db = db::connect(&db::Config::from_env(env)?, "types");
    let types = items_service::typescript(&db).await.map_err(|error| Error::part("schema", error))?;
    match file {
        Some(file) => tokio::fs::write(&file, types).await.map_err(|error| Error::part("file", error)),
        None => {
            print!("{types}");
            Ok(())
        }
    }
}

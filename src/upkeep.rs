//! `eventus events`, `eventus dlq` and `eventus consumers`: what operators do with the log, on the database itself.
//!
//! Answers are lines of JSON, one per entry, as `/utils/...` has them in `data`: for people, and for `jq`.

use std::sync::Arc;
use std::time::Duration;

use chassis::Env;
use clap::{Args, Subcommand};
use items_service::upkeep::Upkeep;
use model::{Errors, RandomIds};
use proto::upkeep::v1 as pb;
use serde_json::Value;

use crate::Error;

/// How often `tail` and `--wait` look.
const LOOK: Duration = Duration::from_millis(250);
/// How long the bus may take to answer.
const BUS: Duration = Duration::from_secs(5);

/// Which events: all that fit everything that is said.
#[derive(Debug, Args)]
pub struct Which {
    /// Ids of events
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<String>,
    /// Positions
    #[arg(long = "position", value_name = "POSITION")]
    positions: Vec<i64>,
    /// From this position, inclusive
    #[arg(long)]
    from: Option<i64>,
    /// To this position, inclusive
    #[arg(long)]
    to: Option<i64>,
    /// From this moment: 2026-01-31T12:00:00Z
    #[arg(long, default_value = "")]
    since: String,
    /// To this moment
    #[arg(long, default_value = "")]
    until: String,
    /// Of this collection
    #[arg(long, default_value = "")]
    collection: String,
}

impl From<Which> for pb::Selection {
    fn from(which: Which) -> Self {
        let Which { ids, positions, from, to, since, until, collection } = which;
        Self { ids, positions, from, to, since, until, collection }
    }
}

/// What `eventus events` can do.
#[derive(Debug, Subcommand)]
pub enum Events {
    /// Print events as they are committed, without end
    Tail {
        /// Begin with this position instead of now
        #[arg(long)]
        from: Option<i64>,
        /// Of this collection
        #[arg(long, default_value = "")]
        collection: String,
        /// Of this name: items.create
        #[arg(long, default_value = "")]
        event: String,
    },
    /// Print events of the log
    Show {
        #[command(flatten)]
        which: Which,
        /// Of items with this key
        #[arg(long, default_value = "")]
        key: String,
        /// Of this name: items.create
        #[arg(long, default_value = "")]
        event: String,
        /// So many at most
        #[arg(long, default_value_t = 100)]
        limit: i64,
    },
    /// Give events to one consumer once more
    Replay {
        /// Its name: see `eventus consumers ls`
        consumer: String,
        #[command(flatten)]
        which: Which,
        /// What the consumer does is seen outside, and shall happen again
        #[arg(long)]
        effects: bool,
        /// Return when it has ended; exit code 1 when it failed
        #[arg(long)]
        wait: bool,
    },
}

/// What `eventus dlq` can do.
#[derive(Debug, Subcommand)]
pub enum Letters {
    /// Print dead letters, newest first
    Ls {
        /// Of this consumer
        #[arg(long, default_value = "")]
        consumer: String,
        /// Of this collection
        #[arg(long, default_value = "")]
        collection: String,
        /// So many at most
        #[arg(long, default_value_t = 100)]
        limit: i64,
    },
    /// Print the dead letters of one event, and the event
    Show {
        /// Id of the event
        id: String,
    },
    /// Give dead letters to their consumer once more
    Requeue {
        /// Its name
        consumer: String,
        #[command(flatten)]
        which: Which,
        /// All of them
        #[arg(long)]
        all: bool,
        /// Return when it has ended; exit code 1 when it failed
        #[arg(long)]
        wait: bool,
    },
    /// Delete dead letters for good
    Drop {
        /// The consumer's name
        consumer: String,
        #[command(flatten)]
        which: Which,
        /// All of them
        #[arg(long)]
        all: bool,
    },
}

/// What `eventus consumers` can do.
#[derive(Debug, Subcommand)]
pub enum Consumers {
    /// How each consumer stands
    Ls,
    /// Make a read model anew from the log, and put it in the live one's place
    Rebuild {
        /// The consumer that keeps it
        consumer: String,
        /// Return when it has ended; exit code 1 when it failed
        #[arg(long)]
        wait: bool,
    },
    /// Replays, requeues and rebuilds, newest first
    Replays {
        /// Of this consumer
        #[arg(long, default_value = "")]
        consumer: String,
    },
    /// End a replay, requeue or rebuild
    Cancel {
        /// Its id
        id: String,
    },
}

/// Runs `eventus events`.
///
/// # Errors
/// The wish can't be, or the database is away.
pub async fn events(command: Events, env: &Env) -> Result<(), Error> {
    let upkeep = open(env)?;
    match command {
        Events::Tail { from, collection, event } => tail(&upkeep, from, collection, event).await,
        Events::Show { which, key, event, limit } => {
            let selection = Some(which.into());
            let wish = pb::ListEventsRequest { selection, after: 0, key, event, limit };
            print(upkeep.list_events(wish).await)
        }
        Events::Replay { consumer, which, effects, wait } => {
            let wish = pb::StartReplayRequest { consumer, selection: Some(which.into()), effects };
            ended(&upkeep, upkeep.start_replay(wish).await, wait).await
        }
    }
}

/// Runs `eventus dlq`.
///
/// # Errors
/// As [`events`].
pub async fn letters(command: Letters, env: &Env) -> Result<(), Error> {
    let upkeep = open(env)?;
    match command {
        Letters::Ls { consumer, collection, limit } => {
            let wish = pb::ListDeadLettersRequest { consumer, collection, limit, ..Default::default() };
            print(upkeep.list_dead_letters(wish).await)
        }
        Letters::Show { id } => {
            let wish = pb::ListDeadLettersRequest { id, ..Default::default() };
            let letters = upkeep.list_dead_letters(wish).await.map_err(told)?;
            let position = letters[0]["position"].as_i64();
            let position =
                position.ok_or_else(|| Error::part("dlq", "no consumer has given this event up"))?;
            print(Ok(letters))?;
            let selection = Some(pb::Selection { positions: vec![position], ..Default::default() });
            print(upkeep.list_events(pb::ListEventsRequest { selection, ..Default::default() }).await)
        }
        Letters::Requeue { consumer, which, all, wait } => {
            let wish = pb::DeadLettersRequest { consumer, selection: Some(which.into()), all };
            ended(&upkeep, upkeep.requeue_dead_letters(wish).await, wait).await
        }
        Letters::Drop { consumer, which, all } => {
            let wish = pb::DeadLettersRequest { consumer, selection: Some(which.into()), all };
            print(upkeep.drop_dead_letters(wish).await)
        }
    }
}

/// Runs `eventus consumers`.
///
/// # Errors
/// As [`events`].
pub async fn consumers(command: Consumers, env: &Env) -> Result<(), Error> {
    let upkeep = match command {
        Consumers::Ls => open_with_bus(env).await?,
        _ => open(env)?,
    };
    match command {
        Consumers::Ls => print(upkeep.list_consumers(pb::ListConsumersRequest {}).await),
        Consumers::Rebuild { consumer, wait } => {
            let begun = upkeep.rebuild_consumer(pb::RebuildConsumerRequest { consumer }).await;
            ended(&upkeep, begun, wait).await
        }
        Consumers::Replays { consumer } => {
            print(upkeep.list_replays(pb::ListReplaysRequest { consumer, limit: 0 }).await)
        }
        Consumers::Cancel { id } => print(upkeep.cancel_replay(pb::ReplayRequest { id }).await),
    }
}

fn open(env: &Env) -> Result<Upkeep, Error> {
    let db = db::connect(&db::Config::from_env(env)?, "upkeep");
    Ok(Upkeep::new(db, None, Arc::new(RandomIds)))
}

/// What only the bus knows is null where there is none, or it does not answer.
async fn open_with_bus(env: &Env) -> Result<Upkeep, Error> {
    let db = db::connect(&db::Config::from_env(env)?, "upkeep");
    let bus = match env.get("NATS_URL")? {
        None => None,
        Some(_) => {
            let bus = bus::Bus::connect(&bus::Config::from_env(env)?, "upkeep").await;
            let bus = bus.map_err(|error| Error::part("bus", error))?;
            let ready = tokio::time::timeout(BUS, bus.ready()).await;
            ready.is_ok_and(|ready| ready.is_ok()).then_some(bus)
        }
    };
    Ok(Upkeep::new(db, bus, Arc::new(RandomIds)))
}

async fn tail(upkeep: &Upkeep, from: Option<i64>, collection: String, event: String) -> Result<(), Error> {
    let mut after = match from {
        Some(from) => from - 1,
        None => upkeep.end().await.map_err(told)?,
    };
    loop {
        let end = upkeep.end().await.map_err(told)?;
        let selection = pb::Selection {
            from: Some(after + 1),
            to: Some(end.max(after + 1)),
            collection: collection.clone(),
            ..Default::default()
        };
        let wish = pb::ListEventsRequest {
            selection: Some(selection),
            event: event.clone(),
            limit: 1_000,
            ..Default::default()
        };
        let found = upkeep.list_events(wish).await.map_err(told)?;
        let last =
            found.as_array().and_then(|events| events.last()).and_then(|last| last["position"].as_i64());
        print(Ok(found))?;
        match last {
            Some(last) => after = last,
            None => {
                after = after.max(end);
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

/// Prints a replay that was entered; with `wait` as it has ended.
async fn ended(upkeep: &Upkeep, begun: Result<Value, Errors>, wait: bool) -> Result<(), Error> {
    let mut replay = begun.map_err(told)?;
    let id = replay["id"].as_str().unwrap_or_default().to_owned();
    while wait && ["pending", "running"].contains(&replay["state"].as_str().unwrap_or_default()) {
        tokio::time::sleep(LOOK).await;
        replay = upkeep.get_replay(pb::ReplayRequest { id: id.clone() }).await.map_err(told)?;
    }
    let failed = replay["error"].as_str().map(str::to_owned);
    print(Ok(replay))?;
    failed.map_or(Ok(()), |reason| Err(Error::part("replay", reason)))
}

/// A line for each entry.
fn print(found: Result<Value, Errors>) -> Result<(), Error> {
    use std::io::Write as _;

    let found = found.map_err(told)?;
    let entries = match found {
        Value::Array(entries) => entries,
        one => vec![one],
    };
    let mut out = std::io::stdout().lock();
    let written = entries.iter().try_for_each(|entry| writeln!(out, "{entry}")).and_then(|()| out.flush());
    written.map_err(|error| Error::part("terminal", error))
}

/// What is wrong, for people.
fn told(errors: Errors) -> Error {
    let messages: Vec<String> = errors.0.into_iter().map(|error| error.message).collect();
    Error::part("upkeep", messages.join(" "))
}

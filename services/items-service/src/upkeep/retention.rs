//! Retention: old partitions of the log are dropped whole, once nobody needs them. One process at a time looks after it.

use std::time::Duration;

use chassis::Runtime;
use chassis::metrics::{self, IntCounter, IntGauge, IntGaugeVec};
use db::Lease;
use event_store::partitions::{self, Due};
use event_store::{Error, Horizon};

use crate::Config;
use crate::relay::Backlog;
use crate::state::State;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(5);
/// How often it is said again that somebody holds it up.
const REMIND: Duration = Duration::from_secs(3_600);
/// So long a table is still there after the horizon has moved: longer than a request may take to look.
const GRACE: Duration = Duration::from_secs(60);
/// A holder that is mute for so long is replaced.
const LEASE: Duration = Duration::from_secs(30);

/// Starts it, wherever the lease is held.
pub fn start(state: &State, config: &Config, runtime: &Runtime) {
    let (state, retention, shutdown) = (state.clone(), config.log_retention, runtime.shutdown.clone());
    let holder = state.ids.random().to_string();
    runtime.tasks.spawn("retention", async move {
        let soft = shutdown.soft().clone();
        let work = |_lease: Lease| {
            let (state, soft) = (state.clone(), soft.clone());
            async move {
                let mut keeper = Keeper::new(state.clone(), retention);
                let mut mirrored = true;
                while tokio::time::timeout(LOOK, soft.cancelled()).await.is_err() {
                    mirrored = mirror(&state, mirrored).await;
                    if let Err(error) = keeper.look().await {
                        tracing::warn!(%error, "the log's retention is looked after later");
                    }
                }
                Ok::<(), crate::Error>(())
            }
        };
        db::leases::hold(&state.db, "retention", &holder, LEASE, &shutdown, work).await
    });
}

/// Dead letters on the bus; whether that went well. Said once, as long as it does not.
async fn mirror(state: &State, before: bool) -> bool {
    match super::mirror::reflect(state).await {
        Ok(()) => true,
        // Others say so.
        Err(_) if state.bus.health() != bus::State::Up => before,
        Err(error) => {
            if before {
                tracing::warn!(%error, "dead letters are not told on the bus; trying again");
            }
            false
        }
    }
}

struct Keeper {
    state: State,
    retention: Duration,
    horizon: IntGauge,
    held: IntGauge,
    dropped: IntCounter,
    letters: IntGaugeVec,
    backlog: Backlog,
    /// Who was last said to hold it up, and when.
    said: Option<(String, tokio::time::Instant)>,
}

impl Keeper {
    fn new(state: State, retention: Duration) -> Self {
        let horizon = metrics::gauge("eventus_log_horizon", "Position behind which the log begins.", &[]);
        let help = "1 while a partition of the log could go by its age and somebody still needs it.";
        let held = metrics::gauge("eventus_log_held", help, &[]);
        let help = "Partitions of the log that were dropped.";
        let dropped = metrics::counter("eventus_log_partitions_dropped_total", help, &[]);
        let letters =
            metrics::gauge("eventus_dead_letters", "Dead letters that wait for a person.", &["consumer"]);
        Self {
            state,
            retention,
            horizon: horizon.with_label_values::<&str>(&[]),
            held: held.with_label_values::<&str>(&[]),
            dropped: dropped.with_label_values::<&str>(&[]),
            letters,
            backlog: Backlog::new(),
            said: None,
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        let db = &self.state.db;
        self.backlog.tell(db).await?;
        const LETTERS: &str =
            "SELECT c.name, (SELECT count(*) FROM eventus.dead_letters d WHERE d.consumer = c.name)
            FROM eventus.consumers c";
        let letters: Vec<(String, i64)> = sqlx::query_as(LETTERS).fetch_all(db).await?;
        for (consumer, count) in letters {
            self.letters.with_label_values(&[consumer.as_str()]).set(count);
        }
        self.dropped.inc_by(partitions::drop_old(db, GRACE).await?.into());
        let due = match self.retention.is_zero() {
            true => Due::No,
            false => partitions::due(db, self.retention).await?,
        };
        self.held.set(i64::from(matches!(due, Due::Held { .. })));
        match due {
            Due::No => {}
            Due::Yes(upto) => {
                if partitions::move_horizon(db, upto).await? {
                    tracing::info!(upto, "the log begins later now: what read models need was kept");
                }
            }
            Due::Held { by, position } => self.say(by, position),
        }
        self.horizon.set(Horizon::load(&self.state.db).await?.position);
        Ok(())
    }

    /// Once an hour, and when it is somebody else.
    fn say(&mut self, by: String, position: i64) {
        if self.said.as_ref().is_some_and(|(before, at)| *before == by && at.elapsed() < REMIND) {
            return;
        }
        tracing::warn!(by, position, "an old partition of the log is kept: it is still needed");
        self.said = Some((by, tokio::time::Instant::now()));
    }
}

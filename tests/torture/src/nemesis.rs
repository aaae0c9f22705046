//! Does what the plan says, each fault in a task of its own at its time, and notes when all was well again after it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::task::JoinSet;

use crate::ground::Ground;
use crate::history::History;
use crate::plan::{Answer, Fault, Kind, WORKERS};
use crate::records::Heal;

/// How long a process may take to come to a step at which it is to die: others may hold what it needs to get there.
const REACHED: Duration = Duration::from_secs(25);

/// How often the fleet is looked at after a fault.
const LOOK: Duration = Duration::from_millis(100);

/// Runs the whole plan; returns when every fault is over and the fleet has been well again after it, or too late.
pub async fn run(plan: &[Fault], ground: &Arc<Ground>, history: &Arc<History>, bound: Duration) {
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for fault in plan {
        tokio::time::sleep_until((begun + fault.at).into()).await;
        let (fault, ground, history) = (fault.clone(), Arc::clone(ground), Arc::clone(history));
        running.spawn(one(fault, ground, history, bound));
    }
    while let Some(done) = running.join_next().await {
        done.expect("a nemesis does not panic");
    }
}

async fn one(fault: Fault, ground: Arc<Ground>, history: Arc<History>, bound: Duration) {
    let begun = history.now();
    history.note("fault", &fault);
    let told = Nemesis { ground: &ground }.inject(&fault).await;
    let healed = history.now();
    let recovered = recovered(&ground, bound).await.then(|| history.now());
    let code = fault.kind.code();
    let heal = Heal { number: fault.number, code, begun, healed, recovered, told };
    history.note("heal", &heal);
    history.records().heals.push(heal);
}

/// Waits until every process is ready and a read goes through both gateways. Other faults may be going on.
async fn recovered(ground: &Ground, bound: Duration) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < bound {
        if ground.fleet.unready().await.is_empty() && ground.serves().await {
            return true;
        }
        tokio::time::sleep(LOOK).await;
    }
    false
}

struct Nemesis<'a> {
    ground: &'a Ground,
}

impl Nemesis<'_> {
    /// Injects a fault and takes it away again; gives what there is to tell.
    async fn inject(&self, fault: &Fault) -> String {
        let (ground, lasts) = (self.ground, fault.lasts);
        match &fault.kind {
            Kind::Kill { role, which } => {
                let index = ground.fleet.find(role, *which);
                self.kill(&[index], lasts).await;
                ground.fleet.processes[index].name.clone()
            }
            Kind::KillWorkers => {
                let all = WORKERS.iter().flat_map(|role| [(role, 0), (role, 1)]);
                let indexes: Vec<usize> = all.map(|(role, which)| ground.fleet.find(role, which)).collect();
                self.kill(&indexes, lasts).await;
                "all workers".to_owned()
            }
            Kind::Freeze { role, which } => self.freeze(ground.fleet.find(role, *which), lasts).await,
            Kind::Roll { role } => self.roll(role).await,
            Kind::NatsKill | Kind::NatsWipe => {
                let mut nats = ground.nats.lock().await;
                nats.kill9().await;
                if fault.kind == Kind::NatsWipe {
                    nats.wipe_store();
                }
                tokio::time::sleep(lasts).await;
                nats.restart().await;
                String::new()
            }
            Kind::PostgresStop { kill } => {
                let mut postgres = ground.postgres.lock().await;
                if *kill {
                    postgres.kill9().await;
                    tokio::time::sleep(lasts).await;
                }
                postgres.restart().await;
                if *kill { "killed" } else { "immediate" }.to_owned()
            }
            Kind::Terminate { backends } => self.terminate(*backends, lasts).await,
            Kind::Redis { flush } => {
                let mut redis = ground.redis.lock().await;
                if *flush {
                    return format!("flushed: {}", redis.ask("FLUSHALL").await.unwrap_or_default().trim());
                }
                redis.kill9();
                tokio::time::sleep(lasts).await;
                redis.restart().await;
                "killed".to_owned()
            }
            Kind::Link { edge, wrong } => {
                let proxy = &ground.proxies[edge];
                let before = proxy.hurt();
                proxy.harm(*wrong);
                tokio::time::sleep(lasts).await;
                proxy.heal();
                format!("{edge}: {wrong:?}, {} times", proxy.hurt() - before)
            }
            Kind::Sink { cdn, answer } => self.sink(*cdn, *answer, lasts).await,
            Kind::Point { role, point, time } => self.point(role, point, *time).await,
            Kind::Poison { items } => self.poison(fault.number, *items).await,
            Kind::Duplicate { messages, consumer } => self.duplicate(*messages, consumer).await,
        }
    }

    async fn kill(&self, indexes: &[usize], lasts: Duration) {
        let mut held = Vec::new();
        for index in indexes {
            let mut one = self.ground.fleet.hold(*index).await;
            self.ground.fleet.kill(&mut one);
            held.push(one);
        }
        tokio::time::sleep(lasts).await;
        for (index, mut one) in indexes.iter().zip(held) {
            self.ground.fleet.start(*index, &mut one);
        }
    }

    async fn freeze(&self, index: usize, lasts: Duration) -> String {
        let fleet = &self.ground.fleet;
        let held = fleet.hold(index).await;
        fleet.signal(&held, Signal::SIGSTOP);
        tokio::time::sleep(lasts).await;
        fleet.signal(&held, Signal::SIGCONT);
        format!("{} for {lasts:.1?}", fleet.processes[index].name)
    }

    async fn roll(&self, role: &str) -> String {
        let fleet = &self.ground.fleet;
        let mut ended_well = 0;
        for which in 0..2 {
            let index = fleet.find(role, which);
            let mut held = fleet.hold(index).await;
            ended_well += usize::from(fleet.stop(&mut held).await);
            fleet.start(index, &mut held);
            drop(held);
            fleet.ready(index).await;
        }
        format!("{role}, {ended_well} of 2 ended well")
    }

    async fn point(&self, role: &str, point: &str, time: usize) -> String {
        let fleet = &self.ground.fleet;
        let (first, second) = (fleet.find(role, 0), fleet.find(role, 1));
        let (mut one, mut two) = (fleet.hold(first).await, fleet.hold(second).await);
        fleet.kill(&mut one);
        fleet.kill(&mut two);
        fleet.start_with(first, &mut one, &[("TORTURE_POINT", format!("{point}:{time}"))]);
        let died = fleet.ended(&mut one, REACHED).await;
        fleet.kill(&mut one);
        fleet.start(first, &mut one);
        fleet.start(second, &mut two);
        let came = if died { "died" } else { "never came there" };
        format!("{role} at {point}, time {time}: {came}")
    }

    async fn terminate(&self, backends: usize, lasts: Duration) -> String {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' \
                   ORDER BY (state <> 'idle') DESC, random() LIMIT $1) AS chosen";
        let (begun, mut ended) = (Instant::now(), 0);
        loop {
            let limit = i64::try_from(backends).unwrap_or(1);
            // The database may be away by another fault.
            ended +=
                sqlx::query_scalar::<_, i64>(sql).bind(limit).fetch_one(&self.ground.pool).await.unwrap_or(0);
            if begun.elapsed() >= lasts {
                return format!("{ended} backends");
            }
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    }

    async fn sink(&self, cdn: bool, answer: Answer, lasts: Duration) -> String {
        let (name, edge) = if cdn { ("cdn", "cdn-sink") } else { ("webhooks", "webhooks-sink") };
        let receiver = if cdn { &self.ground.cdn } else { &self.ground.webhooks };
        let proxy = &self.ground.proxies[edge];
        if answer == Answer::Garbage {
            proxy.babble();
        } else {
            receiver.set(Some(answer));
        }
        tokio::time::sleep(lasts).await;
        if answer == Answer::Garbage {
            proxy.heal();
        }
        receiver.set(None);
        format!("{name}: {answer:?}")
    }

    /// Creates items that the hook of the program under test can't stand, until each is surely there.
    async fn poison(&self, number: usize, items: usize) -> String {
        let mut made = 0;
        for index in 0..items {
            let id = format!("p{number}-{index}");
            let body = json!({"id": id, "token": id});
            for attempt in 0..60 {
                let headers = [("idempotency-key", id.as_str()), ("x-request-id", id.as_str())];
                let path = "/items/poisons";
                let answer =
                    self.ground.http.ask(attempt, http::Method::POST, path, &headers, Some(&body)).await;
                if answer.is_some_and(|answer| answer.status == 200) {
                    made += 1;
                    break;
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        format!("{made} items")
    }

    /// Publishes the youngest messages once more, as a client that got no answer does, and deletes a durable consumer.
    async fn duplicate(&self, messages: usize, consumer: &str) -> String {
        let again = async {
            let context = jetstream::new(self.ground.nats.lock().await.client().await);
            let stream = context.get_stream("EVENTS").await.ok()?;
            let last = stream.cached_info().state.last_sequence;
            let (mut swallowed, mut refused) = (0, 0);
            for sequence in last.saturating_sub(messages as u64 - 1).max(1)..=last {
                let Ok(message) = stream.get_raw_message(sequence).await else { continue };
                // With all its headers: where the broker has forgotten the id, the chain refuses it.
                let sent = context.publish_with_headers(message.subject, message.headers, message.payload);
                match sent.await.ok()?.await {
                    Ok(ack) => swallowed += usize::from(ack.duplicate),
                    Err(_) => refused += 1,
                }
            }
            let forgotten = stream.delete_consumer(consumer).await.is_ok();
            Some(format!("{swallowed} swallowed, {refused} refused, {consumer} forgotten: {forgotten}"))
        };
        let again = tokio::time::timeout(Duration::from_secs(10), again).await;
        again.ok().flatten().unwrap_or_else(|| "the broker was away".to_owned())
    }
}

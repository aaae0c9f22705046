//! What will be done to the fleet, when, to whom and for how long: made from the seed alone, before anything runs.

use std::time::Duration;

use faults::Point;
use serde::Serialize;

use crate::rng::Rng;
use crate::tier::Tier;

/// Connections that are cut, slowed and lied on.
pub const EDGES: [&str; 11] = [
    "gateway-items",
    "gateway-auth",
    "gateway-redis",
    "items-postgres",
    "items-nats",
    "auth-postgres",
    "auth-items",
    "workers-postgres",
    "workers-nats",
    "webhooks-sink",
    "cdn-sink",
];

/// Roles of the fleet, two processes each.
pub const ROLES: [&str; 7] = ["gateway", "items", "auth", "hooks", "analytics", "webhooks", "cdn-purge"];

/// Those that only follow the log.
pub const WORKERS: [&str; 4] = ["hooks", "analytics", "webhooks", "cdn-purge"];

/// Faults that can't be injected on an ordinary machine, or are not built; the report says so.
pub const ABSENT: [(&str, &str); 7] = [
    ("N2", "power cut of nats: not yet (needs a loop device)"),
    ("P2", "power cut of PostgreSQL: not yet (needs a loop device)"),
    ("D1", "disk full: not yet (needs a loop device)"),
    ("D2", "read-only remount: not yet (needs a loop device)"),
    ("C1", "clock: not possible here without libfaketime"),
    ("M3", "out-of-order publish: only the relay may publish; the broker's rights refuse others"),
    ("V1", "old version beside the new one: not yet"),
];

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Its number within the plan, from 0.
    pub number: usize,
    /// When it begins, after the load has begun.
    pub at: Duration,
    /// How long it lasts.
    pub lasts: Duration,
    /// What it is.
    pub kind: Kind,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Kind {
    /// K1: SIGKILL to one process, started again after a while.
    Kill { role: &'static str, which: usize },
    /// K2: SIGKILL to all workers at once.
    KillWorkers,
    /// K3: SIGSTOP, later SIGCONT.
    Freeze { role: &'static str, which: usize },
    /// K4: SIGTERM to the processes of a role, one after the other, each waited for.
    Roll { role: &'static str },
    /// N1: SIGKILL to nats-server.
    NatsKill,
    /// N3: the same, and its store is deleted.
    NatsWipe,
    /// P1: PostgreSQL stops at once (`immediate`), or is killed.
    PostgresStop { kill: bool },
    /// P3: backends are terminated, again and again.
    Terminate { backends: usize },
    /// R1: Redis is gone, or empty.
    Redis { flush: bool },
    /// L1-L6: a connection.
    Link { edge: &'static str, wrong: Wrong },
    /// S1, S2: a receiver.
    Sink { cdn: bool, answer: Answer },
    /// M1: items that a hook can't stand.
    Poison { items: usize },
    /// F1: both processes of a role are killed; the first comes back, dies the given time that it comes to a step, and
    /// comes back again; then the second.
    Point { role: &'static str, point: &'static str, time: usize },
    /// M2: old messages are published again, under their old ids, and the broker forgets what a consumer has acknowledged.
    Duplicate { messages: usize, consumer: &'static str },
}

/// What is wrong with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Wrong {
    /// L1: every part of it is late, more or less.
    Delay { ms: u64, jitter: u64 },
    /// L2: nothing gets through in one direction.
    Drop { up: bool },
    /// L3: it is reset, and so is every new one.
    Reset,
    /// L4: the other end is gone and nobody says so.
    HalfOpen,
    /// L5: it is narrow.
    Slow { bytes: usize },
    /// L6: it breaks after so many bytes.
    Cut { after: usize },
}

/// How a receiver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Answer {
    /// S1: late, sometimes later than anybody waits.
    Late { ms: u64 },
    /// S2: with this status.
    Status(u16),
    /// S2: with what is no HTTP.
    Garbage,
}

impl Kind {
    /// The name of the nemesis in the specification.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "K1",
            Self::KillWorkers => "K2",
            Self::Freeze { .. } => "K3",
            Self::Roll { .. } => "K4",
            Self::NatsKill => "N1",
            Self::NatsWipe => "N3",
            Self::PostgresStop { .. } => "P1",
            Self::Terminate { .. } => "P3",
            Self::Redis { .. } => "R1",
            Self::Link { wrong, .. } => match wrong {
                Wrong::Delay { .. } => "L1",
                Wrong::Drop { .. } => "L2",
                Wrong::Reset => "L3",
                Wrong::HalfOpen => "L4",
                Wrong::Slow { .. } => "L5",
                Wrong::Cut { .. } => "L6",
            },
            Self::Sink { answer: Answer::Late { .. }, .. } => "S1",
            Self::Sink { .. } => "S2",
            Self::Poison { .. } => "M1",
            Self::Point { .. } => "F1",
            Self::Duplicate { .. } => "M2",
        }
    }
}

/// The plan of a seed. `armed`: the program under test is built to be poisoned and to die at named steps.
pub fn make(seed: u64, tier: &Tier, armed: bool) -> Vec<Fault> {
    let mut rng = Rng::of(seed, "plan");
    let mut codes = codes(armed);
    let mut deck: Vec<&str> = Vec::new();
    let mut plan = Vec::new();
    let mut at = Duration::from_secs(3);
    // The last faults heal before the load ends, so that clients see what comes after.
    let end = tier.load - tier.load / 12;
    loop {
        if deck.is_empty() {
            // Every nemesis once before any comes again.
            shuffle(&mut codes, &mut rng);
            deck.clone_from(&codes);
        }
        let code = deck.pop().unwrap_or("K1");
        let kind = kind(code, &mut rng);
        let lasts = lasts(&kind, tier, &mut rng);
        if at + lasts > end {
            return plan;
        }
        plan.push(Fault { number: plan.len(), at, lasts, kind });
        at += rng.gap(tier.gap) + Duration::from_millis(100);
    }
}

fn codes(armed: bool) -> Vec<&'static str> {
    let mut codes = vec![
        "K1", "K1", "K1", "K2", "K2", "K3", "K4", "N1", "N3", "P1", "P3", "R1", "L1", "L2", "L3", "L4", "L5",
        "L6", "S1", "S2", "M2",
    ];
    if armed {
        codes.extend(["M1", "M1", "F1", "F1", "F1", "F1", "F1", "F1"]);
    }
    codes
}

fn shuffle(codes: &mut [&str], rng: &mut Rng) {
    for last in (1..codes.len()).rev() {
        codes.swap(last, rng.below(last + 1));
    }
}

fn kind(code: &str, rng: &mut Rng) -> Kind {
    let link = |wrong, rng: &mut Rng| Kind::Link { edge: rng.pick(&EDGES), wrong };
    match code {
        "K2" => Kind::KillWorkers,
        "K3" => Kind::Freeze { role: rng.pick(&ROLES), which: rng.below(2) },
        "K4" => Kind::Roll { role: rng.pick(&ROLES) },
        "N1" => Kind::NatsKill,
        "N3" => Kind::NatsWipe,
        "P1" => Kind::PostgresStop { kill: rng.chance(50) },
        "P3" => Kind::Terminate { backends: 1 + rng.below(6) },
        "R1" => Kind::Redis { flush: rng.chance(50) },
        "L1" => {
            let wrong = Wrong::Delay { ms: 20 + rng.below(200) as u64, jitter: rng.below(100) as u64 };
            link(wrong, rng)
        }
        "L2" => link(Wrong::Drop { up: rng.chance(50) }, rng),
        "L3" => link(Wrong::Reset, rng),
        "L4" => link(Wrong::HalfOpen, rng),
        "L5" => link(Wrong::Slow { bytes: 2_000 + rng.below(30_000) }, rng),
        "L6" => link(Wrong::Cut { after: 100 + rng.below(20_000) }, rng),
        "S1" => {
            Kind::Sink { cdn: rng.chance(30), answer: Answer::Late { ms: 200 + rng.below(4_000) as u64 } }
        }
        "S2" => {
            let answers = [Answer::Status(500), Answer::Status(429), Answer::Status(302), Answer::Garbage];
            Kind::Sink { cdn: rng.chance(30), answer: rng.pick(&answers) }
        }
        "F1" => point(rng),
        "M1" => Kind::Poison { items: 1 + rng.below(3) },
        "M2" => Kind::Duplicate { messages: 5 + rng.below(30), consumer: rng.pick(&WORKERS) },
        _ => Kind::Kill { role: rng.pick(&ROLES), which: rng.below(2) },
    }
}

fn point(rng: &mut Rng) -> Kind {
    let point = rng.pick(&faults::Point::ALL);
    let role = match point {
        Point::BeforeEffect | Point::AfterEffect | Point::BeforeRaise => rng.pick(&WORKERS),
        Point::AfterClaim => rng.pick(&["hooks", "webhooks", "cdn-purge"]),
        Point::BeforeAttempt | Point::AfterAttempt => "webhooks",
        _ => "items",
    };
    Kind::Point { role, point: point.name(), time: 1 + rng.below(5) }
}

fn lasts(kind: &Kind, tier: &Tier, rng: &mut Rng) -> Duration {
    let (least, most) = tier.fault;
    match kind {
        Kind::Freeze { .. } => rng.between(Duration::from_millis(100), tier.freeze),
        // Away for a while; long enough that leases and time-outs of others run out now and then.
        Kind::Kill { .. } | Kind::KillWorkers if rng.chance(50) => Duration::from_millis(50),
        Kind::Roll { .. } | Kind::Point { .. } | Kind::Poison { .. } | Kind::Duplicate { .. } => {
            Duration::ZERO
        }
        _ => rng.between(least, most),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::tier::Name;

    #[test]
    fn the_same_seed_is_the_same_plan() {
        let tier = Tier::of(Name::Smoke, 0);
        assert_eq!(make(7, &tier, false), make(7, &tier, false));
        assert_ne!(make(7, &tier, false), make(8, &tier, false));
    }

    #[test]
    fn a_smoke_plan_has_most_of_them() {
        let tier = Tier::of(Name::Smoke, 0);
        for seed in 0..50 {
            let plan = make(seed, &tier, false);
            assert!(plan.len() >= 18, "seed {seed}: {}", plan.len());
        }
    }

    #[test]
    fn a_standard_plan_has_every_nemesis_and_heals_in_time() {
        let tier = Tier::of(Name::Standard, 0);
        for seed in 0..50 {
            let plan = make(seed, &tier, true);
            let had: BTreeSet<_> = plan.iter().map(|fault| fault.kind.code()).collect();
            assert_eq!(had, codes(true).into_iter().collect(), "seed {seed}");
            assert!(plan.len() >= 60, "{}", plan.len());
            assert!(plan.iter().all(|fault| fault.at + fault.lasts < tier.load));
        }
    }
}

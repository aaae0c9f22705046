//! One run from its beginning to its report.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::check::{self, Verdict};
use crate::follow::Follower;
use crate::ground::Ground;
use crate::history::History;
use crate::load::{self, Load};
use crate::report::Report;
use crate::tier::Tier;
use crate::{nemesis, observe, plan, quiet, rebuild};

/// What a run is to be.
#[derive(Debug, Clone)]
pub struct Order {
    pub seed: u64,
    pub tier: Tier,
    /// The program under test.
    pub program: PathBuf,
    /// Where history and logs go.
    pub folder: PathBuf,
    /// The program is built to be poisoned and to die at named steps.
    pub armed: bool,
    /// What is broken in the program on purpose.
    pub mutant: Option<String>,
}

/// What came of it.
pub struct Outcome {
    /// The report.
    pub text: String,
    /// Why it has failed.
    pub failures: Vec<String>,
    /// Invariants that were violated.
    pub violated: Vec<&'static str>,
}

/// Runs it.
///
/// # Panics
/// When there is nothing to torture: the servers or the fleet don't start.
pub async fn run(order: &Order) -> Outcome {
    let (begun, tier) = (Instant::now(), &order.tier);
    std::fs::create_dir_all(&order.folder).expect("the folder can be made");
    let history = History::begin(&order.folder.join("history.jsonl")).expect("the history can be written");
    let history = Arc::new(history);
    let plan = plan::make(order.seed, tier, order.armed);
    let more: Vec<(String, String)> =
        order.mutant.iter().map(|mutant| ("TORTURE_MUTANT".to_owned(), mutant.clone())).collect();
    let ground = Ground::start(order.program.clone(), &order.folder, Arc::clone(&history), &more).await;
    let ground = Arc::new(ground);
    let secret = load::prepare(&ground).await;
    say(&format!("the fleet is up after {:.1?}, {} faults are planned", begun.elapsed(), plan.len()));
    let follower = Follower::start(ground.http.clone());
    let load = Load::start(tier, order.seed, &ground, &history);
    let (before, ()) = tokio::join!(warm(&ground, tier), rage(&plan, &ground, &history, tier));
    load.end().await;
    ground.heal();
    say("the load has ended");
    let quiet = quiet::wait(&ground, tier.quiesce).await;
    let mut facts = observe::look(&ground, &history, &secret).await;
    let last = facts.events.last().map_or(0, |event| event.position);
    facts.followed = follower.end(last, tier.quiesce / 2).await;
    let after = ground.fleet.weigh().await;
    let rebuilt = rebuild::run(&ground, &facts, tier.quiesce).await;
    ground.end().await;
    let records = history.end();
    let panics = ground.fleet.panics();
    let verdicts = check::all(&check::Run {
        seed: order.seed,
        tier,
        plan: &plan,
        records: &records,
        facts: &facts,
        weights: (&before, &after),
        restless: quiet.as_ref().err().map(String::as_str),
        panics: &panics,
        rebuilt: &rebuilt,
    });
    let judged = serde_json::to_vec_pretty(&verdicts).expect("verdicts are JSON");
    std::fs::write(order.folder.join("verdicts.json"), judged).expect("the verdicts can be written");
    let (mutant, took) = (order.mutant.as_deref(), begun.elapsed());
    let report = Report {
        seed: order.seed,
        tier,
        mutant,
        plan: &plan,
        records: &records,
        verdicts: &verdicts,
        quiet,
        took,
    };
    std::fs::write(order.folder.join("report.md"), report.text()).expect("the report can be written");
    let violated = verdicts.iter().filter(|verdict| !verdict.violations.is_empty());
    let violated = violated.map(|verdict: &Verdict| verdict.code).collect();
    Outcome { text: report.text(), failures: report.failures(), violated }
}

/// What the processes weigh while they warm up, looked at again and again: one that has just been started is light.
async fn warm(ground: &Ground, tier: &Tier) -> Vec<crate::fleet::Weight> {
    let (end, mut weights) = (Instant::now() + (tier.load / 3).min(Duration::from_secs(120)), Vec::new());
    while Instant::now() < end {
        weights.extend(ground.fleet.weigh().await);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    weights
}

/// The faults, and the load around them for as long as the tier says.
async fn rage(plan: &[plan::Fault], ground: &Arc<Ground>, history: &Arc<History>, tier: &Tier) {
    let ((), ()) =
        tokio::join!(nemesis::run(plan, ground, history, tier.quiesce), tokio::time::sleep(tier.load),);
    let longer = Instant::now();
    while history.acknowledged() < tier.writes && longer.elapsed() < tier.load {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Tells whoever watches.
pub fn say(text: &str) {
    eprintln!("torture: {text}");
}

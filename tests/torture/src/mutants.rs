//! The harness on trial: each known way to break the program must be noticed, by the invariant that speaks of it.

use std::process::ExitCode;

use faults::Mutant;

use crate::run::{self, Order};
use crate::{Settings, order, temporary};

/// The invariants of which one has to be violated.
fn caught_by(mutant: Mutant) -> &'static [&'static str] {
    match mutant {
        Mutant::MarkBeforeEffect => &["I3", "I5", "I6"],
        Mutant::NoInbox => &["I6"],
        Mutant::NoGapRule | Mutant::MarkBeforeAck => &["I4"],
        Mutant::DropDeadLetters => &["I11"],
        Mutant::NoIdempotency => &["I2"],
        Mutant::NoIfMatch => &["I12"],
        Mutant::StaleSessions => &["I13"],
        Mutant::NoOrder => &["I3"],
    }
}

/// Some mutants need a coincidence (a kill while events are under way) that a short run of one seed may not have.
const SEEDS: u64 = 4;

/// Runs a mutant until its invariant is violated; whether it was, and a line that tells of it.
async fn on_trial(settings: &Settings, mutant: Mutant) -> (bool, String) {
    let wanted = caught_by(mutant);
    let line = |verdict: &str, seed: u64, violated: &[&str]| {
        let (name, wanted, violated) = (mutant.name(), wanted.join(" or "), violated.join(", "));
        format!("| `{name}` | {wanted} | {verdict} | {seed} | {violated} |")
    };
    let mut violated = Vec::new();
    for seed in settings.seed..settings.seed + SEEDS {
        let temporary = temporary();
        let folder = settings.folder.as_deref().unwrap_or(temporary.path());
        let as_said = order(settings, folder.join(format!("{}-{seed}", mutant.name())));
        let order = Order { seed, mutant: Some(mutant.name().to_owned()), armed: true, ..as_said };
        violated = run::run(&order).await.violated;
        if violated.iter().any(|code| wanted.contains(code)) {
            return (true, line("caught", seed, &violated));
        }
    }
    (false, line("MISSED", settings.seed + SEEDS - 1, &violated))
}

/// Runs every mutant, or the one that the settings name.
pub async fn run(settings: Settings) -> ExitCode {
    let wanted = |one: &Mutant| settings.mutant.as_deref().is_none_or(|name| name == one.name());
    let (mut lines, mut missed) = (Vec::new(), 0);
    for mutant in Mutant::ALL.into_iter().filter(wanted) {
        let (caught, line) = on_trial(&settings, mutant).await;
        missed += usize::from(!caught);
        run::say(&line);
        lines.push(line);
    }
    let tier = order(&settings, ".".into()).tier.name;
    let text = format!(
        "# Torture: self-test, {tier} tier, seed {}\n\n| mutant | must violate | | by seed | violated |\n|---|---|---|---|---|\n{}\n",
        settings.seed,
        lines.join("\n")
    );
    println!("{text}");
    if let Some(path) = settings.report {
        std::fs::write(path, &text).expect("the report can be written");
    }
    if missed == 0 && !lines.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

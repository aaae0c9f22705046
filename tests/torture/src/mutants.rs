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

/// Runs every mutant, or the one that the settings name.
pub async fn run(settings: Settings) -> ExitCode {
    let wanted = |one: &Mutant| settings.mutant.as_deref().is_none_or(|name| name == one.name());
    let (mut lines, mut missed) = (Vec::new(), 0);
    for mutant in Mutant::ALL.into_iter().filter(wanted) {
        let folder = temporary();
        let mutated = Some(mutant.name().to_owned());
        let order = Order { mutant: mutated, poison: true, ..order(&settings, folder.path().to_owned()) };
        let outcome = run::run(&order).await;
        let wanted = caught_by(mutant);
        let caught = outcome.violated.iter().any(|code| wanted.contains(code));
        missed += usize::from(!caught);
        let (verdict, violated) = (if caught { "caught" } else { "MISSED" }, outcome.violated.join(", "));
        let line = format!("| `{}` | {} | {verdict} | {violated} |", mutant.name(), wanted.join(" or "));
        run::say(&line);
        lines.push(line);
    }
    let tier = order(&settings, ".".into()).tier.name;
    let text = format!(
        "# Torture: self-test, {tier} tier, seed {}\n\n| mutant | must violate | | violated |\n|---|---|---|---|\n{}\n",
        settings.seed,
        lines.join("\n")
    );
    println!("{text}");
    if let Some(path) = settings.report {
        std::fs::write(path, &text).expect("the report can be written");
    }
    if missed == 0 && !lines.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

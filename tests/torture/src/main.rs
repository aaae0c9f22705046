//! The torture harness: a fleet of two processes per role on servers of its own, seeded faults, clients that keep what
//! they were told, and invariants that must hold nevertheless. See README.md.

mod check;
mod fleet;
mod follow;
mod ground;
mod history;
mod http;
mod load;
mod mutants;
mod nemesis;
mod observe;
mod plan;
mod proxy;
mod quiet;
mod rebuild;
mod records;
mod report;
mod rng;
mod run;
mod sinks;
mod tier;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::run::Order;
use crate::tier::{Name, Tier};

#[derive(Parser)]
#[command(name = "torture", about = "Seeded faults against a whole fleet, and what must hold nevertheless")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a seed and tells what it showed; ends with 1 when an invariant was violated or less was shown than planned
    Run(Settings),
    /// Prints the plan of a seed
    Plan(Settings),
    /// Runs each mutant and sees that its invariant catches it; the program has to be built with the feature `mutants`
    SelfTest(Settings),
}

#[derive(clap::Args)]
struct Settings {
    /// Chances of plan and clients
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, value_enum, default_value = "smoke")]
    tier: Name,
    /// Length of the tier `long`
    #[arg(long, default_value_t = 480)]
    minutes: u64,
    /// The program under test; `eventus` beside this one
    #[arg(long)]
    program: Option<PathBuf>,
    /// The program is built with the feature `mutants`: it can be poisoned, and dies at named steps
    #[arg(long)]
    armed: bool,
    /// Breaks the program on purpose; for `self-test` only this mutant
    #[arg(long)]
    mutant: Option<String>,
    /// Where history, verdicts and logs go; a temporary folder, kept when the run fails
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Also writes the report there
    #[arg(long)]
    report: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    match command {
        Command::Plan(settings) => {
            let tier = Tier::of(settings.tier, settings.minutes);
            for fault in plan::make(settings.seed, &tier, settings.armed) {
                println!("{}", serde_json::to_string(&fault).expect("a fault is JSON"));
            }
            ExitCode::SUCCESS
        }
        // In a task: a process of the fleet dies with the thread that started it, and workers live as long as we do.
        Command::Run(settings) => runtime.block_on(settled(one(settings))),
        Command::SelfTest(settings) => runtime.block_on(settled(mutants::run(settings))),
    }
}

async fn settled(work: impl Future<Output = ExitCode> + Send + 'static) -> ExitCode {
    spawn(work).await.expect("the run does not panic")
}

async fn one(settings: Settings) -> ExitCode {
    let temporary = temporary();
    let order = order(&settings, settings.folder.clone().unwrap_or_else(|| temporary.path().to_owned()));
    let outcome = run::run(&order).await;
    println!("{}", outcome.text);
    if let Some(path) = settings.report {
        std::fs::write(path, &outcome.text).expect("the report can be written");
    }
    if outcome.failures.is_empty() {
        return ExitCode::SUCCESS;
    }
    if order.folder == temporary.path() {
        run::say(&format!("history and logs are kept in {}", temporary.keep().display()));
    }
    ExitCode::FAILURE
}

fn temporary() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("eventus-torture-").tempdir().expect("a temporary folder")
}

fn order(settings: &Settings, folder: PathBuf) -> Order {
    Order {
        seed: settings.seed,
        tier: Tier::of(settings.tier, settings.minutes),
        program: settings.program.clone().unwrap_or_else(beside),
        folder,
        armed: settings.armed,
        mutant: settings.mutant.clone(),
    }
}

/// The program that was built with this one.
fn beside() -> PathBuf {
    std::env::current_exe().expect("a process has a program").with_file_name("eventus")
}

/// A task of the harness.
#[expect(
    clippy::disallowed_methods,
    reason = "tasks of the harness live as long as the run; there is no chassis"
)]
fn spawn<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::spawn(work)
}

//! The invariants: each is a pure look at what clients know and what is there, and says how many facts it compared.

mod answers;
mod effects;
mod graph;
mod lists;
mod log;
mod order;
mod wellness;

use std::collections::HashMap;

use serde::Serialize;

use crate::fleet::Weight;
use crate::history::Records;
use crate::observe::{Event, Facts};
use crate::plan::Fault;
use crate::records::Write;
use crate::tier::Tier;

/// What came of an invariant.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// `I4`.
    pub code: &'static str,
    /// What must hold.
    pub statement: &'static str,
    /// How many facts were compared.
    pub facts: usize,
    /// How many had to be.
    pub planned: usize,
    /// What does not hold.
    pub violations: Vec<String>,
}

impl Verdict {
    fn new(code: &'static str, statement: &'static str, planned: usize) -> Self {
        Self { code, statement, facts: 0, planned, violations: Vec::new() }
    }

    /// One more fact.
    fn fact(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        self.facts += 1;
        if !holds {
            self.violations.push(otherwise());
        }
    }
}

/// Everything that is known of a run.
pub struct Run<'a> {
    pub seed: u64,
    pub tier: &'a Tier,
    pub plan: &'a [Fault],
    pub records: &'a Records,
    pub facts: &'a Facts,
    /// What the processes weighed after the warm-up, and in the end.
    pub weights: (&'a [Weight], &'a [Weight]),
    /// What was not quiet within the bound, if anything.
    pub restless: Option<&'a str>,
    /// Panics that no poison explains.
    pub panics: &'a [String],
    /// The fleet could be rebuilt; what differed, and how much was compared.
    pub rebuilt: &'a (usize, Vec<String>),
}

/// Invariants that are not looked at, and why.
pub const ABSENT: [(&str, &str); 3] = [
    ("I9", "flows: not yet (no flows)"),
    ("I14", "limits while Redis is away: not yet (the load stays below every limit)"),
    ("I20", "mixed versions: not yet"),
];

/// Looks at every invariant.
pub fn all(run: &Run<'_>) -> Vec<Verdict> {
    let by_token = by_token(run);
    let mut verdicts = vec![
        log::no_lost_write(run, &by_token),
        log::no_phantom(run, &by_token),
        order::per_item(run),
        log::complete(run),
        effects::webhooks(run),
        effects::aggregates(run),
        effects::purges(run),
        answers::no_stale_read(run, &by_token),
        effects::schedule(run),
        effects::dead_letters(run),
        lists::appends(run),
        answers::sessions(run),
        wellness::liveness(run),
        wellness::resources(run),
        wellness::traces(run, &by_token),
        answers::no_lies(run),
        wellness::rebuild(run),
    ];
    for (code, told) in &run.records.found {
        if let Some(verdict) = verdicts.iter_mut().find(|verdict| verdict.code == *code) {
            verdict.fact(false, || told.clone());
        }
    }
    verdicts
}

/// The events that a request has made.
type ByToken<'a> = HashMap<&'a str, Vec<&'a Event>>;

fn by_token<'a>(run: &Run<'a>) -> ByToken<'a> {
    let mut events: ByToken<'a> = HashMap::new();
    for event in &run.facts.events {
        if let Some(token) = &event.request_id {
            events.entry(token).or_default().push(event);
        }
    }
    events
}

/// What a write has made of the log.
fn made<'a, 'b>(by_token: &'b ByToken<'a>, write: &Write) -> &'b [&'a Event] {
    by_token.get(write.token.as_str()).map_or(&[], Vec::as_slice)
}

//! I3: of one item, everybody sees versions in their order.

use std::collections::HashMap;

use super::log::is_change;
use super::{Run, Verdict};

/// Where the last version of an item stood in the stream, when hooks ran for it, and which it was.
type Stand = (Option<usize>, Option<f64>, i64);

/// I3.
pub fn per_item(run: &Run<'_>) -> Verdict {
    let statement = "order per item: the stream and the hooks' transactions have versions in order; the last is the item's";
    let mut verdict = Verdict::new("I3", statement, run.tier.writes);
    let place: HashMap<&str, usize> =
        run.facts.stream.iter().enumerate().map(|(place, (id, _))| (id.as_str(), place)).collect();
    let mut before: HashMap<(&str, &str), Stand> = HashMap::new();
    for event in run.facts.events.iter().filter(|event| is_change(event)) {
        let item = (event.collection.as_str(), event.key.as_str());
        let (at, ran) = (place.get(event.id.as_str()).copied(), run.facts.runs.get(&event.id).copied());
        let told =
            |by: &str| format!("{item:?}: version {} came before the one before it {by}", event.version);
        verdict.fact(ran.is_some(), || format!("{item:?}: no hook ran for version {}", event.version));
        if let Some((stood, had_run, version)) = before.insert(item, (at, ran, event.version)) {
            verdict.fact(stood < at || at.is_none(), || told("in the stream"));
            verdict.fact(had_run <= ran || ran.is_none(), || told("at the hooks"));
            verdict.fact(version < event.version, || told("in the log"));
        }
    }
    for (item, (_, _, version)) in before {
        if let Some(head) = run.facts.heads.get(&(item.0.to_owned(), item.1.to_owned())) {
            verdict.fact(*head == version, || format!("{item:?}: version {version}, its head says {head}"));
        }
    }
    verdict
}

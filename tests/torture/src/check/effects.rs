//! I5, I6, I7, I10, I11: what consumers made of events.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{Run, Verdict};
use crate::observe::Receipt;
use crate::plan::Kind;

/// I5.
pub fn webhooks(run: &Run<'_>) -> Verdict {
    let statement = "webhooks: one delivery per matching event, succeeded; receipts signed, under one id, of matching events only";
    let mut verdict = Verdict::new("I5", statement, run.tier.writes / 2);
    let mut receipts: HashMap<&str, Vec<&Receipt>> = HashMap::new();
    for receipt in &run.facts.receipts {
        verdict.fact(receipt.signed, || format!("a receipt of {} is not signed", receipt.event));
        receipts.entry(&receipt.event).or_default().push(receipt);
    }
    let mut matching = HashSet::new();
    let wanted =
        |event: &&crate::observe::Event| event.collection == "things" && event.name.starts_with("items.");
    for event in run.facts.events.iter().filter(wanted) {
        matching.insert(event.id.as_str());
        let states = run.facts.deliveries.get(&event.id).map_or(&[][..], Vec::as_slice);
        verdict.fact(*states == ["succeeded"], || format!("event {}: deliveries {states:?}", event.position));
        let got = receipts.get(event.id.as_str()).map_or(&[][..], Vec::as_slice);
        verdict.fact(got.iter().any(|one| one.accepted), || {
            format!("event {} was not received", event.position)
        });
        let ids: BTreeSet<&str> = got.iter().map(|one| one.webhook.as_str()).collect();
        verdict.fact(ids.len() <= 1, || format!("event {} has {} webhook ids", event.position, ids.len()));
    }
    for event in receipts.keys() {
        verdict.fact(matching.contains(event), || format!("{event} was received and does not match"));
    }
    verdict
}

/// I6.
pub fn aggregates(run: &Run<'_>) -> Verdict {
    let statement =
        "aggregates: counts per day, collection and action are those of the log; facts are counted events";
    let mut verdict = Verdict::new("I6", statement, run.tier.writes);
    let mut counted: BTreeMap<(String, String, String), i64> = BTreeMap::new();
    for event in run.facts.events.iter().filter(|event| event.name.starts_with("items.")) {
        let action = event.name.rsplit('.').next().unwrap_or_default().to_owned();
        *counted.entry((event.day.clone(), event.collection.clone(), action)).or_default() += 1;
    }
    for (of, count) in &counted {
        let is = run.facts.daily.get(of).copied().unwrap_or(0);
        verdict.facts += usize::try_from(*count).unwrap_or(0);
        if is != *count {
            verdict.violations.push(format!("{of:?}: {is} counted, {count} in the log"));
        }
    }
    verdict
}

/// I7.
pub fn purges(run: &Run<'_>) -> Verdict {
    let statement = "purges: of each changed item one was accepted after its last change";
    let mut verdict = Verdict::new("I7", statement, run.tier.writes / 10);
    let mut purged: HashMap<&str, u64> = HashMap::new();
    for (key, at) in &run.facts.purges {
        let last = purged.entry(key).or_default();
        *last = (*last).max(*at);
    }
    let mut changed: BTreeMap<&str, i64> = BTreeMap::new();
    for event in run
        .facts
        .events
        .iter()
        .filter(|event| event.collection == "things" && event.name.starts_with("items."))
    {
        changed.insert(&event.key, event.at);
    }
    for (key, at) in changed {
        let last = purged.get(key).and_then(|at| i64::try_from(*at).ok());
        verdict.fact(last.is_some_and(|last| last >= at), || {
            format!("things/{key}: changed at {at} ns, purged at {last:?}")
        });
    }
    verdict
}

/// I10.
pub fn schedule(run: &Run<'_>) -> Verdict {
    let statement = "schedule: from a hook's first run on each tick ran once and ended (every ten minutes; a short run may meet none)";
    let mut verdict = Verdict::new("I10", statement, 0);
    // A hook that has never run is not owed what fell into an outage: nobody knows since when it is there.
    let first = run.facts.ticks.first().map(|(_, tick, _)| tick);
    for due in run.facts.due.iter().filter(|due| first.is_some_and(|first| *due >= first)) {
        let ran: Vec<_> = run.facts.ticks.iter().filter(|(_, tick, _)| tick == due).collect();
        verdict.fact(ran.len() == 1 && ran[0].2, || format!("tick {due}: {ran:?}"));
    }
    verdict
}

/// I11.
pub fn dead_letters(run: &Run<'_>) -> Verdict {
    let poisoned = run.plan.iter().any(|fault| matches!(fault.kind, Kind::Poison { .. }));
    let statement = "dead letters: each event that a hook can't stand, once, of that consumer; no other";
    let mut verdict = Verdict::new("I11", statement, usize::from(poisoned));
    let poison: BTreeSet<&str> = run
        .facts
        .events
        .iter()
        .filter(|event| event.collection == "poisons")
        .map(|event| event.id.as_str())
        .collect();
    for id in poison.iter().filter(|_| poisoned) {
        let letters = run.facts.dead.iter().filter(|(_, event)| event == id);
        let consumers: Vec<&str> = letters.map(|(consumer, _)| consumer.as_str()).collect();
        verdict.fact(consumers == ["hooks"], || format!("{id}: dead letters of {consumers:?}"));
    }
    for (consumer, event) in &run.facts.dead {
        verdict.fact(poison.contains(event.as_str()), || format!("{consumer} gave up {event}"));
    }
    verdict
}

//! I1, I2, I4: what was acknowledged is there, what is there was sent, and the log tells all of it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{ByToken, Run, Verdict, made};
use crate::observe::{Event, TOKENS};
use crate::records::{Change, Outcome, Write};

/// I1.
pub fn no_lost_write(run: &Run<'_>, by_token: &ByToken<'_>) -> Verdict {
    let statement =
        "no lost write: each acknowledged write is in the log, whole, at the version that was told";
    let mut verdict = Verdict::new("I1", statement, run.tier.writes);
    for write in run.records.writes.iter().filter(|write| write.outcome == Outcome::Ok) {
        let events = made(by_token, write);
        let missing = missing(write, events);
        verdict.fact(missing.is_empty(), || format!("{}: lost {missing:?}", write.token));
        if let (Some(version), [event]) = (write.version, events) {
            let told = || format!("{}: version {version} was told, {} it is", write.token, event.version);
            verdict.fact(event.version == version, told);
        }
    }
    verdict
}

fn missing<'a>(write: &'a Write, events: &[&Event]) -> Vec<&'a Change> {
    let there = |change: &&Change| events.iter().any(|event| is(event, change));
    write.changes.iter().filter(|change| !there(change)).collect()
}

fn is(event: &Event, change: &Change) -> bool {
    (event.name.as_str(), event.collection.as_str(), event.key.as_str())
        == (change.name, change.collection, change.key.as_str())
}

/// I2.
pub fn no_phantom(run: &Run<'_>, by_token: &ByToken<'_>) -> Verdict {
    let statement = "no phantom: every event is of a sent write, once; refused writes left nothing, others all or nothing";
    let mut verdict = Verdict::new("I2", statement, run.tier.writes);
    let writes = &run.records.writes;
    let sent: HashSet<&str> = writes.iter().map(|write| write.token.as_str()).collect();
    for event in run.facts.events.iter().filter(|event| TOKENS.contains(&event.collection.as_str())) {
        let known = event.request_id.as_deref().is_some_and(|token| sent.contains(token));
        verdict
            .fact(known, || format!("event {} of {:?}, which nobody sent", event.position, event.request_id));
    }
    for write in writes {
        let events = made(by_token, write);
        let (are, wanted) = (events.len(), write.changes.len());
        let whole = are == wanted && missing(write, events).is_empty();
        let right = match write.outcome {
            // What is missing is I1's matter.
            Outcome::Ok => are <= wanted,
            Outcome::Fail(_) => are == 0,
            Outcome::Unknown => are == 0 || whole || (!write.whole && are <= wanted),
        };
        verdict.fact(right, || {
            format!(
                "{} ({:?}, {} tries): {are} events, {wanted} wanted",
                write.token, write.outcome, write.attempts
            )
        });
    }
    verdict
}

/// I4.
pub fn complete(run: &Run<'_>) -> Verdict {
    let statement = "the log is complete: versions without gaps, in the order of positions; items, stream and server-sent events are what it tells";
    let mut verdict = Verdict::new("I4", statement, run.tier.writes);
    let mut last: BTreeMap<(&str, &str), &Event> = BTreeMap::new();
    for event in run.facts.events.iter().filter(|event| is_change(event)) {
        let item = (event.collection.as_str(), event.key.as_str());
        let expected = last.get(&item).map_or(1, |before| before.version + 1);
        verdict.fact(event.version == expected, || {
            format!("{item:?}: version {} at {}, not {expected}", event.version, event.position)
        });
        last.insert(item, event);
    }
    items(run, &mut verdict, &last);
    stream(run, &mut verdict);
    followed(run, &mut verdict);
    verdict
}

/// A change of an item of ours, by the load.
pub fn is_change(event: &Event) -> bool {
    event.name.starts_with("items.")
        && (TOKENS.contains(&event.collection.as_str()) || event.collection == "lists")
}

/// The items are what the log makes of them.
fn items(run: &Run<'_>, verdict: &mut Verdict, last: &BTreeMap<(&str, &str), &Event>) {
    let with_token = |((collection, _), _): &(&(&str, &str), &&Event)| TOKENS.contains(collection);
    for ((collection, key), event) in last.iter().filter(with_token) {
        let row = run.facts.rows.get(&((*collection).to_owned(), (*key).to_owned()));
        let wanted = event.request_id.as_deref().filter(|_| event.name != "items.delete");
        verdict.fact(row.map(String::as_str) == wanted, || {
            format!("{collection}/{key}: {row:?}, the log says {wanted:?}")
        });
    }
    for (collection, key) in run.facts.rows.keys() {
        let known = last.contains_key(&(collection.as_str(), key.as_str()));
        verdict.fact(known, || format!("{collection}/{key} is not in the log"));
    }
}

/// Who has followed the log over server-sent events has seen each event once, in its order.
fn followed(run: &Run<'_>, verdict: &mut Verdict) {
    let mut seen = run.facts.followed.iter();
    for event in &run.facts.events {
        let next = seen.next().copied();
        let told = || format!("server-sent events: {next:?} came where {} was next", event.position);
        verdict.fact(next == Some(event.position), told);
        if next != Some(event.position) {
            // One difference moves all that follows.
            return;
        }
    }
    verdict.fact(seen.next().is_none(), || "server-sent events: more came than there is".to_owned());
}

/// The stream has every event of the log once, in its order.
fn stream(run: &Run<'_>, verdict: &mut Verdict) {
    let streamed: BTreeSet<&str> = run.facts.stream.iter().map(|(id, _)| id.as_str()).collect();
    for event in &run.facts.events {
        verdict.fact(streamed.contains(event.id.as_str()), || {
            format!("event {} ({}) is not in the stream", event.position, event.name)
        });
    }
    let (messages, events) = (run.facts.stream.len(), run.facts.events.len());
    verdict.fact(messages == events, || format!("{messages} messages of {events} events"));
    for pair in run.facts.stream.windows(2) {
        verdict.fact(pair[0].1 < pair[1].1, || {
            format!("in the stream {} stands before {}", pair[0].1, pair[1].1)
        });
    }
}

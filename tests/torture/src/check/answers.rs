//! I8, I13, I18: what clients were told was true when they were told.

use std::collections::HashMap;

use super::{ByToken, Run, Verdict, made};
use crate::records::Outcome;

/// So long after a fault an error may still be its echo.
const ECHO: u64 = 10_000_000_000;

/// I8.
pub fn no_stale_read(run: &Run<'_>, by_token: &ByToken<'_>) -> Verdict {
    let statement = "no stale read: who reads through any gateway sees every change that was acknowledged before he asked";
    let mut verdict = Verdict::new("I8", statement, run.tier.writes / 20);
    let mut acknowledged: HashMap<&str, Vec<(u64, i64)>> = HashMap::new();
    for write in run.records.writes.iter().filter(|write| write.outcome == Outcome::Ok) {
        for event in made(by_token, write).iter().filter(|event| event.collection == "things") {
            acknowledged.entry(&event.key).or_default().push((write.ended, event.version));
        }
    }
    for read in &run.records.reads {
        let Some(version) = read.version else { continue };
        let known = acknowledged.get(read.key.as_str()).map_or(&[][..], Vec::as_slice);
        let floor = known.iter().filter(|(ended, _)| *ended < read.begun).map(|(_, version)| *version).max();
        verdict.fact(floor.is_none_or(|floor| version >= floor), || {
            format!(
                "{}: read at version {version} at {} ns, {floor:?} was acknowledged",
                read.key, read.begun
            )
        });
    }
    verdict
}

/// I13.
pub fn sessions(run: &Run<'_>) -> Verdict {
    let statement =
        "sessions: a second after a logout was acknowledged nobody is let in under it, at any gateway";
    let mut verdict = Verdict::new("I13", statement, 4);
    for session in run.records.sessions.iter().filter(|session| session.status.is_some()) {
        let let_in = session.status.is_some_and(|status| status < 300);
        verdict
            .fact(!let_in, || format!("let in at {} ns, logged out at {} ns", session.asked, session.ended));
    }
    verdict
}

/// I18.
pub fn no_lies(run: &Run<'_>) -> Verdict {
    let statement = "no lies: outages are 503 with Retry-After, never another 5xx; none outside faults; answers under a key repeat";
    let mut verdict = Verdict::new("I18", statement, run.tier.writes);
    // A fault is over when all was well again; what was not, is not over.
    let windows: Vec<(u64, u64)> = run
        .records
        .heals
        .iter()
        .map(|heal| (heal.begun, heal.recovered.map_or(u64::MAX, |at| at.saturating_add(ECHO))))
        .collect();
    for response in &run.records.responses {
        let in_fault =
            windows.iter().any(|(begun, over)| *begun <= response.ended && response.begun <= *over);
        match response.status {
            Some(503) => {
                verdict.fact(response.retry_after, || format!("{}: 503 without Retry-After", response.path));
                verdict.fact(in_fault, || {
                    format!("{}: 503 at {} ns, far from any fault", response.path, response.begun)
                });
            }
            // A gateway that was killed answers nobody.
            None => verdict.fact(in_fault, || {
                format!("{}: no answer at {} ns, far from any fault", response.path, response.begun)
            }),
            Some(status) => verdict.fact(status < 500, || format!("{}: {status}", response.path)),
        }
    }
    verdict
}

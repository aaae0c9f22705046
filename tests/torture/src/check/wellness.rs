//! I15, I16, I17, I19: the fleet itself.

use super::{ByToken, Run, Verdict, made};
use crate::fleet::Weight;
use crate::load::trace;
use crate::records::Outcome;

/// I15.
pub fn liveness(run: &Run<'_>) -> Verdict {
    let statement = "liveness: after every fault, and after the last, all is well and nothing is owed within the bound, without hands";
    let mut verdict = Verdict::new("I15", statement, run.plan.len() + 1);
    for heal in &run.records.heals {
        verdict.fact(heal.recovered.is_some(), || {
            format!("not well after fault {} ({}, {})", heal.number, heal.code, heal.told)
        });
    }
    verdict.fact(run.restless.is_none(), || run.restless.unwrap_or_default().to_owned());
    for panic in run.panics {
        verdict.fact(false, || panic.clone());
    }
    verdict
}

/// I16.
pub fn resources(run: &Run<'_>) -> Verdict {
    let statement = "resources: memory at the end at most 1.5 times that after the warm-up (and 48 MiB), 256 more open files";
    let (before, after) = run.weights;
    let mut verdict = Verdict::new("I16", statement, after.len().max(1));
    let role = |weight: &Weight| weight.process.rsplit_once('-').map(|(role, _)| role.to_owned());
    for weight in after {
        let of_role = || before.iter().filter(|was| role(was) == role(weight));
        let kib = of_role().map(|was| was.kib).max().unwrap_or(0);
        let open = of_role().map(|was| was.files).max().unwrap_or(0);
        let (most, files) = (kib * 3 / 2 + 48 * 1024, open + 256);
        verdict.fact(weight.kib <= most && weight.files <= files, || {
            format!(
                "{}: {} KiB and {} files, was {} and {}",
                weight.process, weight.kib, weight.files, kib, open
            )
        });
    }
    verdict
}

/// I17.
pub fn traces(run: &Run<'_>, by_token: &ByToken<'_>) -> Verdict {
    let statement = "traces: events and webhooks carry the trace that the client began";
    let mut verdict = Verdict::new("I17", statement, run.tier.writes);
    let mut begun = std::collections::HashMap::new();
    for write in run.records.writes.iter().filter(|write| !matches!(write.outcome, Outcome::Fail(_))) {
        let trace = trace(run.seed, &write.token);
        for event in made(by_token, write) {
            let carried = event.traceparent.as_deref().is_some_and(|parent| parent.contains(&trace));
            verdict.fact(carried, || format!("event {}: {:?}", event.position, event.traceparent));
            begun.insert(event.id.as_str(), trace.clone());
        }
    }
    for receipt in &run.facts.receipts {
        if let Some(trace) = begun.get(receipt.event.as_str()) {
            verdict.fact(receipt.traceparent.contains(trace), || {
                format!("a webhook of {}: {:?}", receipt.event, receipt.traceparent)
            });
        }
    }
    verdict
}

/// I19.
pub fn rebuild(run: &Run<'_>) -> Verdict {
    let statement =
        "rebuild: with the stream wiped and the counts dropped, both come back from the log as they were";
    let mut verdict = Verdict::new("I19", statement, run.tier.writes);
    let (facts, differences) = run.rebuilt;
    verdict.facts = *facts;
    verdict.violations.clone_from(differences);
    verdict
}

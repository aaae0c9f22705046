//! What a run showed, for people: invariants, faults, recovery, and what was not looked at.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::check::{ABSENT, Verdict};
use crate::history::Records;
use crate::plan::{self, Fault};
use crate::records::Outcome;
use crate::tier::Tier;

/// Everything that the report tells.
pub struct Report<'a> {
    pub seed: u64,
    pub tier: &'a Tier,
    pub mutant: Option<&'a str>,
    pub plan: &'a [Fault],
    pub records: &'a Records,
    pub verdicts: &'a [Verdict],
    /// Until nothing was owed any more after the last fault.
    pub quiet: Result<Duration, String>,
    /// The whole run.
    pub took: Duration,
}

impl Report<'_> {
    /// Why the run has failed; empty when it has not.
    pub fn failures(&self) -> Vec<String> {
        let mut failures: Vec<String> = Vec::new();
        for verdict in self.verdicts {
            if !verdict.violations.is_empty() {
                failures.push(format!("{}: {} violations", verdict.code, verdict.violations.len()));
            }
            if verdict.facts < verdict.planned {
                failures.push(format!(
                    "{}: {} of {} planned facts",
                    verdict.code, verdict.facts, verdict.planned
                ));
            }
        }
        if self.records.heals.len() < self.plan.len() {
            failures.push(format!("{} of {} planned faults", self.records.heals.len(), self.plan.len()));
        }
        failures
    }

    /// The report as Markdown.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let failures = self.failures();
        let verdict = if failures.is_empty() {
            "passed".to_owned()
        } else {
            format!("FAILED ({})", failures.join("; "))
        };
        let mutant = self.mutant.map(|mutant| format!(", mutant `{mutant}`")).unwrap_or_default();
        let _ = writeln!(text, "# Torture: {}, seed {}{mutant}: {verdict}\n", self.tier.name, self.seed);
        self.figures(&mut text);
        self.invariants(&mut text);
        self.faults(&mut text);
        text
    }

    fn figures(&self, text: &mut String) {
        let of = |wanted: fn(&Outcome) -> bool| {
            self.records.writes.iter().filter(|write| wanted(&write.outcome)).count()
        };
        let (ok, unknown) =
            (of(|outcome| *outcome == Outcome::Ok), of(|outcome| *outcome == Outcome::Unknown));
        let (writes, retried) = (
            self.records.writes.len(),
            self.records.writes.iter().filter(|write| write.attempts > 1).count(),
        );
        let quiet = match &self.quiet {
            Ok(quiet) => format!("nothing was owed {:.1} s after the last", quiet.as_secs_f64()),
            Err(owed) => owed.clone(),
        };
        let _ = writeln!(
            text,
            "{writes} writes ({ok} acknowledged, {} refused, {unknown} in doubt; {retried} sent more than once), {} reads, \
             {} looks at and appends to lists, {} requests under ended sessions, {} answers in all; {} faults; {quiet}; {:.0} s.\n",
            writes - ok - unknown,
            self.records.reads.len(),
            self.records.appends.len(),
            self.records.sessions.len(),
            self.records.responses.len(),
            self.records.heals.len(),
            self.took.as_secs_f64(),
        );
        if !self.records.ended.is_empty() {
            let _ =
                writeln!(text, "Processes that ended by themselves: {}.\n", self.records.ended.join(", "));
        }
    }

    fn invariants(&self, text: &mut String) {
        let _ = writeln!(text, "| invariant | checked facts | planned | violations |\n|---|---|---|---|");
        let mut lines: Vec<(u32, String)> = Vec::new();
        let number = |code: &str| code.trim_start_matches('I').parse().unwrap_or(0);
        for verdict in self.verdicts {
            let Verdict { code, statement, facts, planned, violations } = verdict;
            let line = format!("| {code} {statement} | {facts} | {planned} | {} |", violations.len());
            lines.push((number(code), line));
        }
        lines.extend(ABSENT.iter().map(|(code, why)| (number(code), format!("| {code} {why} | | | |"))));
        lines.sort();
        lines.iter().for_each(|(_, line)| _ = writeln!(text, "{line}"));
        for verdict in self.verdicts.iter().filter(|verdict| !verdict.violations.is_empty()) {
            let _ = writeln!(text, "\n{}:\n", verdict.code);
            for violation in verdict.violations.iter().take(10) {
                let _ = writeln!(text, "- {violation}");
            }
        }
    }

    fn faults(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "\n| fault | planned | injected | well again after: median | slowest |\n|---|---|---|---|---|"
        );
        let mut planned: BTreeMap<&str, usize> = BTreeMap::new();
        for fault in self.plan {
            *planned.entry(fault.kind.code()).or_default() += 1;
        }
        for (code, count) in planned {
            let heals: Vec<_> = self.records.heals.iter().filter(|heal| heal.code == code).collect();
            let mut times: Vec<f64> = heals
                .iter()
                .filter_map(|heal| Some(heal.recovered?.saturating_sub(heal.healed) as f64 / 1e9))
                .collect();
            times.sort_by(f64::total_cmp);
            let time = |at: usize| times.get(at).map_or("never".to_owned(), |time| format!("{time:.1} s"));
            let (median, slowest) = (time(times.len() / 2), time(times.len().saturating_sub(1)));
            let _ = writeln!(text, "| {code} | {count} | {} | {median} | {slowest} |", heals.len());
        }
        for (code, why) in plan::ABSENT {
            let _ = writeln!(text, "| {code} {why} | | | | |");
        }
        let _ = writeln!(
            text,
            "\nFaults overlap: \"well again\" (every process ready, both gateways serve) may wait for another's end."
        );
    }
}

//! Gaps in the positions that were read, and the rule by which one is given up.
//!
//! A gap is given up when none of the appenders that were there after it was seen is left, and a read after that
//! did not find it. Transactions that began later cannot own it: positions are taken in order.

use std::collections::HashSet;

use model::Event;

/// Positions `first..=last` that were taken and are not visible.
#[derive(Debug, Clone)]
struct Gap {
    first: i64,
    last: i64,
    /// Appenders that may own a position of it. `None`: not looked up yet.
    owners: Option<HashSet<String>>,
}

/// All open gaps, in order.
#[derive(Debug, Default)]
pub(super) struct Gaps(Vec<Gap>);

impl Gaps {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lowest missing position.
    pub fn first(&self) -> Option<i64> {
        self.0.first().map(|gap| gap.first)
    }

    /// First and last positions of all gaps.
    pub fn ranges(&self) -> (Vec<i64>, Vec<i64>) {
        self.0.iter().map(|gap| (gap.first, gap.last)).unzip()
    }

    /// Notes what is missing in `events`, which were read behind `seen`.
    pub fn note(&mut self, seen: i64, events: &[Event]) {
        let mut expected = seen + 1;
        for event in events {
            if event.position > expected {
                self.0.push(Gap { first: expected, last: event.position - 1, owners: None });
            }
            expected = event.position + 1;
        }
    }

    /// Takes notice of who is appending, asked after the gaps were noted.
    pub fn mark(&mut self, appenders: &HashSet<String>) {
        for gap in &mut self.0 {
            match &mut gap.owners {
                None => gap.owners = Some(appenders.clone()),
                Some(owners) => {
                    owners.retain(|owner| appenders.contains(owner));
                    // A prepared transaction (its name begins so) was another one of our owners before.
                    owners.extend(appenders.iter().filter(|other| other.starts_with("-1/")).cloned());
                }
            }
        }
    }

    /// Fills the gaps with what was read in them after `mark`, and gives up those without owners as far as they were
    /// read (`whole`).
    pub fn close(&mut self, late: &[Event], whole: i64) {
        let mut open = Vec::with_capacity(self.0.len());
        let mut late = late.iter().map(|event| event.position).peekable();
        for gap in self.0.drain(..) {
            let mut first = gap.first;
            let mut keep = |first: i64, last: i64| {
                let given_up = gap.owners.as_ref().is_some_and(HashSet::is_empty);
                let first = if given_up { first.max(whole.saturating_add(1)) } else { first };
                if first <= last {
                    open.push(Gap { first, last, owners: gap.owners.clone() });
                }
            };
            while let Some(found) = late.next_if(|position| *position <= gap.last) {
                keep(first, found - 1);
                first = found + 1;
            }
            keep(first, gap.last);
        }
        self.0 = open;
    }
}

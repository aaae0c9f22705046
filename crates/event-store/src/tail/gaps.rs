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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use model::Event;

    use super::Gaps;

    fn at(positions: &[i64]) -> Vec<Event> {
        positions.iter().copied().map(testkit::event).collect()
    }

    fn holders(names: &[&str]) -> HashSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn open(gaps: &Gaps) -> Vec<(i64, i64)> {
        let (firsts, lasts) = gaps.ranges();
        firsts.into_iter().zip(lasts).collect()
    }

    #[test]
    fn a_gap_lasts_as_long_as_one_of_its_owners() {
        let mut gaps = Gaps::default();
        gaps.note(10, &at(&[11, 14, 15, 17]));
        assert_eq!(open(&gaps), [(12, 13), (16, 16)]);
        gaps.mark(&holders(&["3/1", "4/7"]));
        gaps.close(&[], i64::MAX);
        gaps.note(17, &at(&[19]));
        // The first owner has ended; a newcomer owns nothing of the old gaps, but may own the new one.
        gaps.mark(&holders(&["4/7", "5/1"]));
        gaps.close(&[], i64::MAX);
        assert_eq!(open(&gaps), [(12, 13), (16, 16), (18, 18)]);
        gaps.mark(&holders(&["5/1"]));
        gaps.close(&[], i64::MAX);
        assert_eq!(open(&gaps), [(18, 18)]);
        gaps.mark(&holders(&[]));
        gaps.close(&[], i64::MAX);
        assert!(gaps.is_empty());
    }

    #[test]
    fn what_was_found_is_taken_out_and_the_rest_stays() {
        let mut gaps = Gaps::default();
        gaps.note(0, &at(&[10]));
        gaps.mark(&holders(&["3/1"]));
        gaps.close(&at(&[1, 4, 5, 9]), i64::MAX);
        assert_eq!(open(&gaps), [(2, 3), (6, 8)]);
        // The last owner ended, but the read that followed was cut at 7: behind it nothing is known yet.
        gaps.mark(&holders(&[]));
        gaps.close(&at(&[3, 7]), 7);
        assert_eq!(open(&gaps), [(8, 8)]);
        gaps.close(&[], i64::MAX);
        assert!(gaps.is_empty());
    }

    #[test]
    fn a_gap_is_never_given_up_before_its_owners_were_asked_for() {
        let mut gaps = Gaps::default();
        gaps.note(0, &at(&[2]));
        gaps.close(&[], i64::MAX);
        assert_eq!(open(&gaps), [(1, 1)]);
    }

    #[test]
    fn a_prepared_transaction_is_an_owner_by_its_new_name() {
        let mut gaps = Gaps::default();
        gaps.note(0, &at(&[2]));
        gaps.mark(&holders(&["3/1"]));
        gaps.mark(&holders(&["-1/812"]));
        gaps.close(&[], i64::MAX);
        assert_eq!(open(&gaps), [(1, 1)]);
        gaps.mark(&holders(&[]));
        gaps.close(&[], i64::MAX);
        assert!(gaps.is_empty());
    }
}

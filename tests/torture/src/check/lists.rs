//! I12: appends to lists under `If-Match`. Lists tell the order of their writers, so what every client saw gives a graph
//! of who came before whom; a circle in it is an anomaly.

use std::collections::{BTreeMap, HashMap};

use super::graph::Graph;
use super::{Run, Verdict};
use crate::records::{Append, Outcome, digest, longer};

/// I12.
pub fn appends(run: &Run<'_>) -> Verdict {
    let statement = "lists: acknowledged appends are there once, refused ones are not, nothing was undone, looks are prefixes, no circle";
    let mut verdict = Verdict::new("I12", statement, 40);
    let mut by_list: BTreeMap<&str, Vec<&Append>> = BTreeMap::new();
    for append in &run.records.appends {
        by_list.entry(&append.list).or_default().push(append);
    }
    for (list, appends) in by_list {
        match run.facts.lists.get(list) {
            Some(is) => one(&mut verdict, list, &appends, is),
            None => verdict.fact(false, || format!("{list} is gone")),
        }
    }
    verdict
}

fn one(verdict: &mut Verdict, list: &str, appends: &[&Append], is: &[String]) {
    let mut place: HashMap<&str, usize> = HashMap::new();
    for (index, element) in is.iter().enumerate() {
        let twice = place.insert(element, index);
        verdict.fact(twice.is_none(), || format!("{list}: {element} is there twice"));
    }
    let mut prefixes = vec![digest([])];
    prefixes.extend(is.iter().scan(prefixes[0], |known, element| {
        *known = longer(*known, element);
        Some(*known)
    }));
    for append in appends {
        let is_prefix = prefixes.get(append.length) == Some(&append.digest);
        let Some(element) = &append.element else {
            verdict.fact(is_prefix, || {
                format!("{list}: somebody saw other {} elements at {} ns", append.length, append.begun)
            });
            continue;
        };
        let there = place.contains_key(element.as_str());
        match append.outcome {
            Outcome::Ok => verdict.fact(there, || format!("{list}: {element} is lost")),
            Outcome::Fail(status) => {
                verdict.fact(!there, || format!("{list}: {element} was refused ({status})"))
            }
            Outcome::Unknown => {}
        }
        if there {
            verdict.fact(is_prefix, || format!("{list}: {element} undid another's append"));
        }
    }
    let circles = circles(appends, &place);
    verdict.fact(circles.is_empty(), || format!("{list}: a circle among {circles:?}"));
}

/// Operations that can't have happened one after the other.
fn circles(appends: &[&Append], place: &HashMap<&str, usize>) -> Vec<String> {
    // What an operation saw: so many elements; an append has added the one behind them.
    let seen = |append: &Append| append.element.as_deref().map_or(append.length, |element| place[element]);
    let happened = |append: &&&Append| {
        append.element.as_deref().map_or(append.outcome == Outcome::Ok, |element| place.contains_key(element))
    };
    let operations: Vec<&Append> = appends.iter().filter(happened).copied().collect();
    let mut writer: HashMap<usize, usize> = HashMap::new();
    for (index, operation) in operations.iter().enumerate() {
        if operation.element.is_some() {
            writer.insert(seen(operation), index);
        }
    }
    let mut times: Vec<u64> = operations.iter().map(|operation| operation.ended).collect();
    times.sort_unstable();
    let mut graph = Graph::new(operations.len() + times.len());
    for moment in 1..times.len() {
        graph.arrow(operations.len() + moment - 1, operations.len() + moment);
    }
    for (index, operation) in operations.iter().enumerate() {
        let length = seen(operation);
        // Whoever wrote the last element that it saw came before, whoever wrote the next one after.
        if let Some(before) = length.checked_sub(1).and_then(|at| writer.get(&at)) {
            graph.arrow(*before, index);
        }
        let next = if operation.element.is_some() { length + 1 } else { length };
        if let Some(after) = writer.get(&next) {
            graph.arrow(index, *after);
        }
        // The clock: what had ended before another began. An append in doubt may end whenever it likes.
        if operation.outcome == Outcome::Ok {
            let moment = times.partition_point(|time| *time < operation.ended);
            graph.arrow(index, operations.len() + moment);
        }
        if let Some(moment) = times.partition_point(|time| *time < operation.begun).checked_sub(1) {
            graph.arrow(operations.len() + moment, index);
        }
    }
    let name = |index: &usize| {
        let operation = operations.get(*index)?;
        Some(operation.element.clone().unwrap_or_else(|| format!("a look at {} ns", operation.begun)))
    };
    graph.circles().iter().flatten().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(begun: u64, values: &[&str]) -> Append {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        let (length, digest, outcome) = (values.len(), digest(&values), Outcome::Ok);
        Append { list: "l".to_owned(), begun, ended: begun + 1, length, digest, element: None, outcome }
    }

    fn append(begun: u64, values: &[&str], outcome: Outcome) -> Append {
        let element = values.last().map(|element| (*element).to_owned());
        Append { element, outcome, ..look(begun, values) }
    }

    fn judged(appends: &[Append], is: &[&str]) -> Vec<String> {
        let mut verdict = Verdict::new("I12", "", 0);
        let is: Vec<String> = is.iter().map(|element| (*element).to_owned()).collect();
        one(&mut verdict, "l", &appends.iter().collect::<Vec<_>>(), &is);
        verdict.violations
    }

    #[test]
    fn what_could_have_happened_is_well() {
        let history = [
            look(0, &[]),
            append(10, &["a"], Outcome::Ok),
            append(10, &["b"], Outcome::Fail(412)),
            look(20, &["a"]),
            append(30, &["a", "c"], Outcome::Unknown),
            look(40, &["a"]),
            look(50, &["a", "c"]),
            append(60, &["a", "c", "d"], Outcome::Unknown),
        ];
        assert_eq!(judged(&history, &["a", "c"]), Vec::<String>::new());
    }

    #[test]
    fn each_anomaly_is_named() {
        for (history, is, word) in [
            (vec![append(0, &["a"], Outcome::Ok)], vec![], "lost"),
            (vec![append(0, &["a"], Outcome::Fail(412))], vec!["a"], "refused"),
            (vec![append(0, &["a"], Outcome::Ok), append(0, &["b"], Outcome::Ok)], vec!["a", "b"], "undid"),
            (vec![look(0, &["a", "b"])], vec!["b"], "saw"),
            (vec![append(0, &["a"], Outcome::Ok), look(10, &[])], vec!["a"], "circle"),
            (vec![append(10, &["a"], Outcome::Ok), look(0, &["a"])], vec!["a"], "circle"),
        ] {
            let told = judged(&history, &is);
            assert!(told.iter().any(|told| told.contains(word)), "{word}: {told:?}");
        }
    }
}

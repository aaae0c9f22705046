//! What a query may cost, counted before anything is done for it.

use std::collections::HashSet;

use model::{Error, Filter};
use serde_json::Value;

use crate::Query;

/// Comparisons, groups and relations in all filters together.
pub const CONDITIONS: usize = 100;
/// Levels of one filter: groups and relations within each other.
pub const CONDITION_DEPTH: usize = 10;
/// Levels of `deep`.
pub const DEPTH: usize = 10;
/// Relations that are named in fields, order, groups and filters.
pub const RELATIONS: usize = 100;
/// Names and conditions of all kinds.
pub const NODES: usize = 1_000;

/// What a query costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Fields, aliases, sort keys, groups, figures and conditions.
    pub nodes: usize,
    /// Conditions of its filters.
    pub conditions: usize,
    /// Levels of its deepest filter.
    pub condition_depth: usize,
    /// Levels of `deep`.
    pub depth: usize,
    /// Relations that it names.
    pub relations: usize,
}

impl Cost {
    /// Counts a query, with all that is asked of related items.
    pub fn of(query: &Query) -> Self {
        let mut cost = Self::default();
        cost.add(query, 0);
        cost
    }

    /// # Errors
    /// `INVALID_QUERY`, naming the budget that is exceeded.
    pub fn check(&self) -> Result<(), Error> {
        for (spent, budget, of) in [
            (self.conditions, CONDITIONS, "conditions in filters"),
            (self.condition_depth, CONDITION_DEPTH, "levels in a filter"),
            (self.depth, DEPTH, "levels in deep"),
            (self.relations, RELATIONS, "relations"),
            (self.nodes, NODES, "names and conditions"),
        ] {
            if spent > budget {
                let reason = format!("The query has {spent} {of}: its budget is {budget}");
                return Err(Error::invalid_query(reason));
            }
        }
        Ok(())
    }

    fn add(&mut self, query: &Query, depth: usize) {
        self.depth = self.depth.max(depth);
        let sort = query.sort.iter().map(|sort| &sort.field);
        let names = query.fields.iter().flatten().chain(sort).chain(&query.group);
        let mut ways = HashSet::new();
        for name in names {
            self.nodes += 1;
            ways.extend(ways_of(name));
        }
        self.relations += ways.len();
        self.nodes += query.alias.len() + query.aggregate.len() + query.deep.len();
        if let Some(filter) = &query.filter {
            self.filter(filter, 0);
        }
        for below in query.deep.values() {
            self.add(below, depth + 1);
        }
    }

    /// A condition that stands in so many others.
    fn filter(&mut self, filter: &Filter, within: usize) {
        self.nodes += 1;
        self.conditions += 1;
        let parts = match filter {
            Filter::Compare { value, .. } => {
                self.conditions += variables_of(value);
                return;
            }
            Filter::And(parts) | Filter::Or(parts) => parts.as_slice(),
            Filter::Related { filter, .. } => {
                self.relations += 1;
                std::slice::from_ref(&**filter)
            }
        };
        self.condition_depth = self.condition_depth.max(within + 1);
        parts.iter().for_each(|part| self.filter(part, within + 1));
    }
}

/// What a list holds that can't go to the database as one array: each variable is a condition of its own.
fn variables_of(value: &Value) -> usize {
    let is_variable = |value: &&Value| value.as_str().is_some_and(|text| text.starts_with('$'));
    value.as_array().map_or(0, |values| values.iter().filter(is_variable).count())
}

/// What a name leads through: of `a.b.c` it is `a` and `a.b`.
fn ways_of(name: &str) -> impl Iterator<Item = &str> {
    // Dots behind a comma are those of a path inside json.
    let path = name.split(',').next().unwrap_or_default();
    path.match_indices('.').map(|(at, _)| &path[..at])
}

#[cfg(test)]
mod tests {
    use super::{CONDITION_DEPTH, CONDITIONS, Cost, DEPTH, NODES, RELATIONS};
    use crate::Query;

    fn cost(text: &str) -> Cost {
        Cost::of(&Query::from_query_string(text).unwrap())
    }

    fn refused(text: &str) -> String {
        Query::from_query_string(text)
            .map_or_else(|error| error.message, |query| format!("{:?}", Cost::of(&query)))
    }

    #[test]
    fn everything_is_counted() {
        assert_eq!(cost(""), Cost::default());
        let fields =
            cost("fields=id,author.name,author.city.name,json(meta, a.b.c)&sort=-author.name,id&alias[x]=id");
        assert_eq!(fields, Cost { nodes: 7, relations: 2, ..Cost::default() });
        let filter = cost(r#"filter={"_and":[{"a":1},{"_or":[{"b":2},{"author":{"name":{"_eq":"x"}}}]}]}"#);
        assert_eq!(filter, Cost { nodes: 6, conditions: 6, condition_depth: 3, relations: 1, depth: 0 });
        let deep = cost(r#"deep={"tags":{"_filter":{"a":1},"of":{"_filter":{"_and":[{"b":1}]}}}}"#);
        assert_eq!(deep, Cost { nodes: 5, conditions: 3, condition_depth: 1, depth: 2, relations: 0 });
    }

    #[test]
    fn each_budget_ends_somewhere_and_is_named() {
        let many = |count: usize, one: &str| vec![one; count].join(",");
        let list = |count| format!(r#"filter={{"_or":[{}]}}"#, many(count, r#"{"a":1}"#));
        assert!(!refused(&list(CONDITIONS - 1)).contains("budget"));
        assert_eq!(
            refused(&list(CONDITIONS)),
            "Invalid query. The query has 101 conditions in filters: its budget is 100."
        );
        let one_of = |one: &str| format!(r#"filter={{"a":{{"_in":[{}]}}}}"#, many(CONDITIONS, one));
        assert!(!refused(&one_of(r#""x""#)).contains("budget"));
        assert!(refused(&one_of(r#""$NOW""#)).contains("101 conditions in filters"));
        // Not by parts either: what is asked of related items counts with the rest.
        let half = many(CONDITIONS / 2, r#"{"a":1}"#);
        let parts = format!(r#"filter={{"_or":[{half}]}}&deep={{"tags":{{"_filter":{{"_and":[{half}]}}}}}}"#);
        assert!(refused(&parts).contains("conditions in filters"), "{}", refused(&parts));
        let nested = |levels: usize| {
            let (open, close) = (r#"{"_and":["#.repeat(levels), "]}".repeat(levels));
            format!(r#"{open}{{"a":1}}{close}"#)
        };
        assert!(!refused(&format!("filter={}", nested(CONDITION_DEPTH))).contains("budget"));
        assert_eq!(
            refused(&format!("filter={}", nested(CONDITION_DEPTH + 1))),
            "Invalid query. The query has 11 levels in a filter: its budget is 10."
        );
        let below = format!(r#"deep={{"tags":{{"_filter":{}}}}}"#, nested(CONDITION_DEPTH + 1));
        assert!(refused(&below).contains("levels in a filter"));
        let ways = |count: usize| (0..count).map(|n| format!("r{n}.id")).collect::<Vec<_>>().join(",");
        assert!(!refused(&format!("fields={}", ways(RELATIONS))).contains("budget"));
        assert!(refused(&format!("fields={}", ways(RELATIONS + 1))).contains("relations: its budget is 100"));
        let names = (0..NODES / 2).map(|n| format!("f{n}")).collect::<Vec<_>>().join(",");
        assert!(!refused(&format!("fields={names}&sort={names}")).contains("budget"));
        let more = refused(&format!("fields={names}&sort={names}&alias[x]=id"));
        assert!(more.contains("names and conditions"), "{more}");
        let deep = |levels: usize| format!("deep={}{}", r#"{"a":"#.repeat(levels) + "{}", "}".repeat(levels));
        assert!(!refused(&deep(DEPTH - 1)).contains("Invalid"), "{}", refused(&deep(DEPTH - 1)));
        assert!(refused(&deep(DEPTH + 2)).contains("Max relational depth"));
    }

    #[test]
    fn bytes_from_elsewhere_are_counted_too() {
        let many = vec![r#"{"compare":{"field":"a","operator":"_eq","value":1}}"#; CONDITIONS + 1].join(",");
        let error = Query::from_bytes(format!(r#"{{"filter":{{"or":[{many}]}}}}"#).as_bytes()).unwrap_err();
        assert!(error.message.contains("budget is 100"), "{}", error.message);
    }
}

//! Which of its own fields an answer shows. Several rules may show an item, each other fields of it: who asks for some
//! fields sees the items of those rules only that show any of them, as an item without anything in it would say that it
//! is there.

use std::collections::BTreeMap;

use model::Error;
use query::{Path, Query, Selected, select};

/// Names of fields; nothing where any field will do.
pub(crate) type Shown = Option<Vec<String>>;

/// Those of a query's answer: its groups, or its fields. Figures over all items show none of them.
pub(crate) fn shown(query: &Query) -> Result<Shown, Error> {
    if !query.group.is_empty() {
        let first = |name: &String| {
            let path = Path::parse(name)?;
            let step = path.steps.into_iter().next().unwrap_or(path.last);
            Ok(step.name)
        };
        return query.group.iter().map(first).collect::<Result<Vec<_>, Error>>().map(Some);
    }
    match &query.fields {
        Some(fields) if query.aggregate.is_empty() => Ok(shown_of(&select(fields)?, &query.alias)),
        _ => Ok(None),
    }
}

/// Those of a level of an answer.
pub(crate) fn shown_of(fields: &[Selected], alias: &BTreeMap<String, String>) -> Shown {
    if fields.iter().any(|selected| selected.name == "*") {
        return None;
    }
    let own = |selected: &Selected| alias.get(&selected.name).unwrap_or(&selected.name).clone();
    Some(fields.iter().map(own).collect())
}

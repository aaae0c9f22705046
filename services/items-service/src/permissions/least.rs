//! What everybody may do whose policies grant the app: shipped as data, see `system-data/VERSION`.

use std::sync::LazyLock;

use access::Action;
use bytes::Bytes;
use model::Filter;
use query::{Item, Judge};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::line::{Line, Parts};

/// One of them.
#[derive(Debug)]
pub struct Least {
    /// As `/permissions` shows it.
    pub shown: Map<String, Value>,
    /// As a rule.
    pub line: Line,
}

/// All of them, in their order.
pub static LEAST: LazyLock<Vec<Least>> = LazyLock::new(|| {
    // The file is part of the program, and the test below reads all of it: it is a list of objects.
    let rows: Vec<Map<String, Value>> =
        serde_json::from_str(include_str!("../../system-data/permissions.json")).unwrap_or_default();
    rows.into_iter().filter_map(read).collect()
});

fn read(shown: Map<String, Value>) -> Option<Least> {
    let part = |name: &str| shown.get(name).cloned().unwrap_or_default();
    let collection = shown.get("collection")?.as_str()?.to_owned();
    let action = Action::parse(shown.get("action")?.as_str()?)?;
    let fields = shown.get("fields")?.as_array()?.iter().filter_map(|name| name.as_str().map(str::to_owned));
    let parts = Parts {
        fields: fields.collect(),
        items: part("permissions"),
        validation: part("validation"),
        presets: part("presets"),
    };
    let line = Line::new((0, Uuid::nil()), (collection, action), parts);
    Some(Least { shown, line })
}

/// A list of `directus_permissions`, with those that stand in no table behind it, as far as they fit the filter.
pub fn with_least(items: Bytes, filter: Option<&Filter>) -> Bytes {
    let mut judge = Judge::default();
    let nothing = Map::new();
    let mut fits = |least: &&Least| {
        let item = Item { sent: &least.shown, held: &nothing, whole: false };
        filter.is_none_or(|filter| judge.failures(filter, item).is_empty())
    };
    let shown: Vec<&Map<String, Value>> =
        LEAST.iter().filter(|least| fits(least)).map(|least| &least.shown).collect();
    let (Ok(shown), Some(items)) = (serde_json::to_string(&shown), items.strip_suffix(b"]")) else {
        return items;
    };
    let comma = if items == b"[" || shown == "[]" { "" } else { "," };
    [items, comma.as_bytes(), &shown.as_bytes()[1..]].concat().into()
}

#[cfg(test)]
mod tests {
    use super::LEAST;

    #[test]
    fn each_is_a_rule() {
        assert_eq!(LEAST.len(), 20);
        assert!(LEAST.iter().all(|least| least.line.rule.is_some() && !least.line.fields.is_empty()));
        let own = LEAST.iter().find(|least| least.line.collection == "directus_users").unwrap();
        assert!(own.line.partial);
    }
}

//! Who is told of what happened: which states of items somebody would have seen, and with which fields, by the rules of
//! today.
//!
//! An event leads from one state of its item to another. A state is the item of now, rewound by the earliest `previous` that
//! the log has of each of its fields from a position on ([`crate::as_of`] does the same for a whole collection at one
//! position); rules look at that row. What rules ask of other items is asked of them as they are now.

use std::collections::BTreeSet;

use access::{Access, Action, Reach};
use model::{Collection, Error, Field, quote_identifier};

use crate::history::visible;
use crate::past::{joined, literal, rewound};
use crate::read::{SOURCE, key_field, table};
use crate::reader::Reader;
use crate::rights::check_collection;
use crate::statement::{Binding, Builder, Statement};

/// What somebody is told of the events of a collection's items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Telling {
    /// Nothing.
    Nothing,
    /// Of each of them these fields.
    Fields(BTreeSet<String>),
    /// What the item says: see [`plan_told`].
    ByItem,
}

/// A state of an item: as the events at this position and behind it found it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ItemState {
    /// The item's key, as events have it.
    pub key: String,
    /// The first position that does not count any more.
    pub from: i64,
}

/// What can be said without looking at items.
pub fn telling(collection: &Collection, access: &Access) -> Telling {
    let name = &collection.name;
    if !access.allows(name, Action::Read) {
        return Telling::Nothing;
    }
    let stored = collection.fields.iter().filter(|field| field.is_stored());
    let seen: Vec<&Field> =
        stored.filter(|field| access.allows_field(name, &field.name, Action::Read)).collect();
    let always = |field: &&Field| access.items_with(name, &field.name, Action::Read) == Reach::All;
    if access.items(name, Action::Read) == Reach::All && seen.iter().all(always) {
        return Telling::Fields(seen.into_iter().map(|field| field.name.clone()).collect());
    }
    Telling::ByItem
}

/// Plans the look at states of items: rows of `key text`, `since bigint` and `fields text[]`, the names of the fields that
/// he sees; of states that he does not see, none. One statement, however many states.
///
/// # Errors
/// `FORBIDDEN`: collection out of reach.
pub fn plan_told(
    states: &[ItemState],
    collection: &Collection,
    reader: Reader<'_>,
) -> Result<Statement, Error> {
    check_collection(collection, reader.access, Action::Read)?;
    let key = key_field(collection)?;
    let mut b = Builder::of(reader);
    let keys = b.bind(Binding::Texts(states.iter().map(|state| Some(state.key.clone())).collect()));
    let from = b.bind(Binding::Texts(states.iter().map(|state| Some(state.from.to_string())).collect()));
    let seen = reader.reach(collection, Action::Read, SOURCE, &mut b).unwrap_or_else(|| "true".to_owned());
    let fields = visible(collection, reader, &mut b);
    let (name, scope) = (literal(&collection.name), collection.scope());
    let [changed, gone] = ["update", "delete"].map(|action| literal(&format!("{scope}.{action}")));
    let stored = collection.fields.iter().filter(|field| field.is_stored());
    // The names of `past`: `n` for the item of now, `w.body` for what it was, `k.key` for its key.
    let columns: Vec<String> = stored
        .map(|field| format!("{} AS {}", rewound(field, key, "n"), quote_identifier(&field.name)))
        .collect();
    b.push(&format!(
        "WITH asked AS MATERIALIZED (SELECT DISTINCT u.key, u.since FROM unnest({keys}::text[], \
         {from}::text[]::bigint[]) u(key, since)), \
         was AS MATERIALIZED (SELECT a.key, a.since, \
         (SELECT json_object_agg(x.field, x.value) FROM (SELECT DISTINCT ON (f.key) f.key AS field, f.value \
         FROM eventus.events s CROSS JOIN LATERAL \
         json_each(CASE WHEN json_typeof(s.previous) = 'object' THEN s.previous END) f \
         WHERE s.collection = {name} AND s.key = a.key AND s.position >= a.since AND s.version >= {first} \
         AND s.name IN ({changed}, {gone}) ORDER BY f.key, s.position) x) AS body, \
         EXISTS (SELECT FROM eventus.events s WHERE s.collection = {name} AND s.key = a.key \
         AND s.position >= a.since AND s.version >= {first} AND s.name = {gone}) AS gone FROM asked a) \
         SELECT k.key, k.since, {fields} AS fields FROM was k CROSS JOIN LATERAL (SELECT k.body) w \
         LEFT JOIN {own} n ON NOT k.gone AND {joined} \
         CROSS JOIN LATERAL (SELECT {columns}) {SOURCE} \
         WHERE (k.gone OR n.{key_name} IS NOT NULL) AND {seen}",
        first = collection.first_version,
        own = table(collection),
        joined = joined(key, "n"),
        columns = columns.join(", "),
        key_name = quote_identifier(&key.name),
    ));
    Ok(b.finish("events.told"))
}

#[cfg(test)]
mod tests {
    use access::{Access, Action, Fields, Rule};
    use model::{Filter, Operator};

    use super::{ItemState, Telling, plan_told, telling};
    use crate::Reader;
    use crate::shape::tests::shop;
    use crate::snapshots::{admin, shown};

    fn rule(fields: &[&str], title: Option<&str>) -> Rule {
        let fields = match fields {
            ["*"] => Fields::All,
            names => Fields::Named(names.iter().map(|name| (*name).to_owned()).collect()),
        };
        let items = title.map(|title| Filter::Compare {
            field: "title".to_owned(),
            function: None,
            operator: Operator::Eq,
            value: title.into(),
        });
        Rule::new("posts", Action::Read, items, fields)
    }

    #[test]
    fn items_are_looked_at_where_rules_look_at_them() {
        let schema = shop();
        let posts = schema.collection("posts").unwrap();
        let of = |rules: Vec<Rule>| telling(posts, &Access::by(rules));
        assert_eq!(of(Vec::new()), Telling::Nothing);
        assert_eq!(
            of(vec![rule(&["id", "title", "no_such_field"], None)]),
            Telling::Fields(["id".to_owned(), "title".to_owned()].into())
        );
        assert_eq!(of(vec![rule(&["*"], Some("x"))]), Telling::ByItem);
        assert_eq!(of(vec![rule(&["id"], None), rule(&["*"], Some("x"))]), Telling::ByItem);
        assert_ne!(telling(posts, &Access::admin()), Telling::ByItem);
    }

    #[test]
    fn states_are_one_statement() {
        let schema = shop();
        let posts = schema.collection("posts").unwrap();
        let access = Access::by([rule(&["id", "title"], Some("x")), rule(&["*"], Some("$CURRENT_USER"))]);
        let reader = Reader { schema: &schema, access: &access, ..admin() };
        let states = [("1", 7), ("2", 9)].map(|(key, from)| ItemState { key: key.to_owned(), from });
        let plan = plan_told(&states, posts, reader).unwrap();
        assert!(plan.uses.caller);
        insta::assert_snapshot!(shown(&plan));
        let none = Access::none();
        plan_told(&states, posts, Reader { access: &none, ..reader }).unwrap_err();
    }
}

//! Appending: the events of a write of several statements, all at its end.

use std::collections::HashMap;

use uuid::Uuid;

use crate::stamp::Stamp;
use crate::statement::{Binding, Builder, Statement};

/// What is to be appended for one item.
#[derive(Debug, Clone, PartialEq)]
pub struct Appended {
    /// Its id.
    pub id: Uuid,
    /// `items.create` ...
    pub name: String,
    /// The item's collection.
    pub collection: String,
    /// The item's key.
    pub key: String,
    /// The item's version after it.
    pub version: i64,
    /// New values, as JSON.
    pub payload: Option<String>,
    /// Old values, as JSON.
    pub previous: Option<String>,
    /// Names of the fields that changed.
    pub fields: Option<Vec<String>>,
    /// The event that caused it.
    pub causation_id: Option<Uuid>,
    /// Length of the chain of causes.
    pub depth: i16,
}

/// The events in the order in which they are appended: as given, but those of one item by its versions, whatever the
/// order in which it was reached.
pub fn in_order(mut events: Vec<Appended>) -> Vec<Appended> {
    let mut places: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    for (place, event) in events.iter().enumerate() {
        places.entry((&event.collection, &event.key)).or_default().push(place);
    }
    let several: Vec<Vec<usize>> = places.into_values().filter(|places| places.len() > 1).collect();
    for places in several {
        let mut own: Vec<Appended> = places.iter().map(|place| events[*place].clone()).collect();
        own.sort_by_key(|event| event.version);
        for (place, event) in places.into_iter().zip(own) {
            events[place] = event;
        }
    }
    events
}

/// Plans the append of some events of a batch, in this order: no rows.
pub fn plan_append(events: &[Appended], stamp: &Stamp) -> Statement {
    let mut b = Builder::default();
    let ids = b.bind(Binding::Uuids(events.iter().map(|event| event.id).collect()));
    let mut texts = |of: &dyn Fn(&Appended) -> Option<String>| {
        format!("{}::text[]", b.bind(Binding::Texts(events.iter().map(of).collect())))
    };
    let json = |names: &Vec<String>| serde_json::to_string(names).unwrap_or_default();
    let columns = [
        texts(&|event| Some(event.name.clone())),
        texts(&|event| Some(event.collection.clone())),
        texts(&|event| Some(event.key.clone())),
        texts(&|event| Some(event.version.to_string())),
        texts(&|event| event.payload.clone()),
        texts(&|event| event.previous.clone()),
        texts(&|event| event.fields.as_ref().map(json)),
        texts(&|event| event.causation_id.map(|id| id.to_string())),
        texts(&|event| Some(event.depth.to_string())),
    ];
    let index = stamp.batch_index("u.ord", &mut b);
    let stamped = stamp.values_caused(("u.causation_id::uuid", "u.depth::smallint"), "u.ord", &mut b);
    b.push(&format!(
        "INSERT INTO eventus.events (id, name, collection, key, version, payload, previous, fields, batch_index, {}) \
         SELECT u.id, u.name, u.collection, u.key, u.version::bigint, u.payload::json, u.previous::json, \
         CASE WHEN u.fields IS NOT NULL THEN ARRAY(SELECT json_array_elements_text(u.fields::json)) END, \
         {index}, {stamped} FROM unnest({ids}::uuid[], {}) WITH ORDINALITY \
         AS u(id, name, collection, key, version, payload, previous, fields, causation_id, depth, ord) ORDER BY u.ord",
        Stamp::COLUMNS,
        columns.join(", ")
    ));
    b.finish("events.append")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{Appended, in_order};

    #[test]
    fn versions_of_one_item_ascend_and_the_rest_stays() {
        let event = |collection: &str, key: &str, version| Appended {
            id: Uuid::nil(),
            name: "items.update".to_owned(),
            collection: collection.to_owned(),
            key: key.to_owned(),
            version,
            payload: None,
            previous: None,
            fields: None,
            causation_id: None,
            depth: 0,
        };
        let events = vec![event("a", "1", 3), event("b", "1", 2), event("a", "1", 2), event("b", "2", 9)];
        let ordered = in_order(events);
        let shown: Vec<_> =
            ordered.iter().map(|event| (&*event.collection, &*event.key, event.version)).collect();
        assert_eq!(shown, [("a", "1", 2), ("b", "1", 2), ("a", "1", 3), ("b", "2", 9)]);
    }
}

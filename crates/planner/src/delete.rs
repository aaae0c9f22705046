//! Deleting: keys -> one data-modifying statement that removes the items and appends their events.

use access::Action;
use model::{Collection, Error, Errors, Field, Filter, quote_identifier};
use uuid::Uuid;

use crate::column::json_row;
use crate::condition::still_fits;
use crate::keys::{Beside, Keys};
use crate::once;
use crate::read::{answer_key, key_field, table};
use crate::reader::Reader;
use crate::references::{Reference, referring};
use crate::rights::check_collection;
use crate::stamp::Stamp;
use crate::statement::{Binding, Builder, Statement};
use crate::update::head;
use crate::version::versions_of;

/// What a deletion is made of.
#[derive(Debug, Clone, Copy)]
pub enum Deletion<'a> {
    /// Items go and their events are appended: one statement.
    Whole,
    /// The same, if nothing hangs on any of them; else nothing goes, and the column `alone` says so. The items must be
    /// locked: from then on nobody can refer to them anew.
    Alone(Hanging<'a>),
    /// Their events are appended, the items stay: for items that PostgreSQL might take along with others before their
    /// own statement came. [`plan_removal`] takes them afterwards, in the same transaction.
    Log,
}

/// What may hang on items.
#[derive(Debug, Clone, Copy)]
pub struct Hanging<'a> {
    /// References to them.
    pub references: &'a [Reference<'a>],
    /// The collection that their versions stand in, if they have any.
    pub versions: Option<&'a Collection>,
}

/// Plans a deletion: items that, once locked, still fit `filter` (a deletion by query). One statement with
/// the columns `keys text[]` (those that were there), `version bigint` (the greatest, with which they went), and
/// `free boolean` under a key ([`once`]). All or none.
pub fn plan_delete(
    deletion: Deletion<'_>,
    keys: &[String],
    event_ids: &[Uuid],
    filter: Option<&Filter>,
    collection: &Collection,
    reader: Reader<'_>,
    stamp: &Stamp,
) -> Result<Statement, Errors> {
    check_collection(collection, reader.access, Action::Delete)?;
    let key = key_field(collection)?;
    let mut b = Builder::default();
    let fits = still_fits(filter, (collection, Action::Delete), reader, &mut b)?;
    let name = table(collection);
    let key_name = quote_identifier(&key.name);
    let bound = Keys::bind(keys, key, &mut b);
    let doomed = bound.rows(vec![("event_id".to_owned(), Beside::Ids(event_ids.to_vec()))], &mut b);
    let hold = bound.hold(&format!("t.{key_name}"));
    let all: Vec<&Field> = collection.fields.iter().filter(|field| field.is_stored()).collect();
    let once = stamp.once.as_ref();
    once::open(&mut b, once);
    let alone = match deletion {
        Deletion::Alone(hanging) => {
            let hangs = hangs(hanging, (collection, keys), (&bound, key), &mut b);
            b.push(&format!("lone AS MATERIALIZED (SELECT {hangs} AS alone), "));
            " AND (SELECT alone FROM lone)"
        }
        Deletion::Whole | Deletion::Log => "",
    };
    b.push(&format!(
        "doomed AS MATERIALIZED ({doomed}), \
         target AS MATERIALIZED (SELECT t.* FROM {name} t WHERE {hold}{fits}{}{alone} \
         ORDER BY t.{key_name} FOR UPDATE), ",
        once::and_gate(once)
    ));
    b.push(&match deletion {
        Deletion::Whole | Deletion::Alone(_) => format!(
            "item AS (DELETE FROM {name} t USING target o JOIN doomed d ON d.key = o.{key_name} \
             WHERE t.{key_name} = o.{key_name} AND {hold} \
             RETURNING t.{key_name} AS key, {} AS name, d.event_id AS event_id, d.ord AS ord, {} AS old)",
            answer_key(key, "t"),
            json_row(all, "t"),
        ),
        Deletion::Log => format!(
            "item AS (SELECT o.{key_name} AS key, {} AS name, d.event_id AS event_id, d.ord AS ord, {} AS old \
             FROM target o JOIN doomed d ON d.key = o.{key_name})",
            answer_key(key, "o"),
            json_row(all, "o"),
        ),
    });
    let collection_name = b.bind(Binding::Text(Some(collection.name.clone())));
    let event = b.bind(Binding::Text(Some(format!("{}.delete", collection.scope()))));
    let index = stamp.batch_index("item.ord", &mut b);
    let stamped = stamp.values("item.ord", &mut b);
    b.push(&head(&collection_name, collection.first_version));
    b.push(&format!(
        ", event AS (INSERT INTO eventus.events (id, name, collection, key, version, previous, batch_index, {}) \
         SELECT item.event_id, {event}::text, {collection_name}::text, item.name, head.version, item.old, \
         {index}, {stamped} FROM item JOIN head ON head.key = item.name ORDER BY item.ord)",
        Stamp::COLUMNS
    ));
    let mut answer = "SELECT coalesce(array_agg(item.name ORDER BY item.key), '{}') AS keys, \
         (SELECT max(head.version) FROM head) AS version"
        .to_owned();
    if !alone.is_empty() {
        answer += ", (SELECT alone FROM lone) AS alone";
    }
    once::close(&mut b, once, (None, &(answer + " FROM item")));
    Ok(b.finish("items.delete"))
}

/// That nothing hangs on the items with these keys.
fn hangs(
    Hanging { references, versions }: Hanging<'_>,
    (collection, keys): (&Collection, &[String]),
    (bound, key): (&Keys, &Field),
    b: &mut Builder,
) -> String {
    let mut any: Vec<String> = references
        .iter()
        .map(|reference| format!("EXISTS (SELECT FROM {})", referring(reference, bound, key)))
        .collect();
    if let Some(versions) = versions {
        any.push(format!("EXISTS (SELECT FROM {})", versions_of(keys, collection, versions, b)));
    }
    if any.is_empty() { "true".to_owned() } else { format!("NOT ({})", any.join(" OR ")) }
}

/// Plans the removal of items whose deletion was logged: no rows.
pub fn plan_removal(keys: &[String], collection: &Collection) -> Result<Statement, Error> {
    let key = key_field(collection)?;
    let mut b = Builder::default();
    let keys = Keys::bind(keys, key, &mut b);
    let column = format!("t.{}", quote_identifier(&key.name));
    b.push(&format!("DELETE FROM {} t WHERE {}", table(collection), keys.hold(&column)));
    Ok(b.finish("items.remove"))
}

//! Deleting: keys -> one data-modifying statement that removes the items and appends their events.

use access::Action;
use model::{Collection, Error, Errors, Field, Filter, quote_identifier};
use uuid::Uuid;

use crate::column::{json_row, sql_type};
use crate::condition::still_fits;
use crate::once;
use crate::read::{answer_key, key_field, table};
use crate::reader::Reader;
use crate::rights::check_collection;
use crate::stamp::Stamp;
use crate::statement::{Binding, Builder, Statement};
use crate::update::head;

/// What a deletion is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// Items go and their events are appended: one statement.
    Whole,
    /// Their events are appended, the items stay: for items that PostgreSQL might take along with others before their
    /// own statement came. [`plan_removal`] takes them afterwards, in the same transaction.
    Log,
}

/// Plans a deletion: items that, once locked, still fit `filter` (a deletion by query). One statement with
/// the columns `keys text[]` (those that were there), `version bigint` (the greatest, with which they went), and
/// `free boolean` under a key ([`once`]). All or none.
pub fn plan_delete(
    deletion: Deletion,
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
    let list = b.bind(Binding::Texts(keys.iter().cloned().map(Some).collect()));
    let ids = b.bind(Binding::Uuids(event_ids.to_vec()));
    let key_list = format!("{list}::text[]::{}[]", sql_type(key));
    let all: Vec<&Field> = collection.fields.iter().filter(|field| field.is_stored()).collect();
    let once = stamp.once.as_ref();
    once::open(&mut b, once);
    b.push(&format!(
        "doomed AS MATERIALIZED (SELECT u.* FROM unnest({key_list}, {ids}::uuid[]) \
         WITH ORDINALITY AS u(key, event_id, ord)), \
         target AS MATERIALIZED (SELECT t.* FROM {name} t WHERE t.{key_name} = ANY({key_list}){fits}{} \
         ORDER BY t.{key_name} FOR UPDATE), ",
        once::and_gate(once)
    ));
    b.push(&match deletion {
        Deletion::Whole => format!(
            "item AS (DELETE FROM {name} t USING target o JOIN doomed d ON d.key = o.{key_name} \
             WHERE t.{key_name} = o.{key_name} AND t.{key_name} = ANY({key_list}) \
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
    let stamped = stamp.values(&mut b);
    b.push(&head(&collection_name, collection.first_version));
    b.push(&format!(
        ", event AS (INSERT INTO eventus.events (id, name, collection, key, version, previous, batch_index, {}) \
         SELECT item.event_id, {event}::text, {collection_name}::text, item.name, head.version, item.old, \
         {index}, {stamped} FROM item JOIN head ON head.key = item.name ORDER BY item.ord)",
        Stamp::COLUMNS
    ));
    let answer = "SELECT coalesce(array_agg(item.name ORDER BY item.key), '{}') AS keys, \
         (SELECT max(head.version) FROM head) AS version FROM item";
    once::close(&mut b, once, (None, answer));
    Ok(b.finish("items.delete"))
}

/// Plans the removal of items whose deletion was logged: no rows.
pub fn plan_removal(keys: &[String], collection: &Collection) -> Result<Statement, Error> {
    let key = key_field(collection)?;
    let mut b = Builder::default();
    let list = b.bind(Binding::Texts(keys.iter().cloned().map(Some).collect()));
    let column = quote_identifier(&key.name);
    b.push(&format!(
        "DELETE FROM {} t WHERE t.{column} = ANY({list}::text[]::{}[])",
        table(collection),
        sql_type(key)
    ));
    Ok(b.finish("items.remove"))
}

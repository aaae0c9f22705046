//! Changing: keys and changes -> one data-modifying statement that changes the items and appends their events.

use access::{Access, Action};
use model::{Collection, Error, ErrorCode, Errors, Field, Filter, Special, quote_identifier};
use query::Query;
use uuid::Uuid;

use crate::answer::answer_written;
use crate::column::{json_row, sql_type};
use crate::condition::still_fits;
use crate::keys::{Beside, Keys};
use crate::once::{self, Once};
use crate::order::place;
use crate::payload::Payload;
use crate::read::{answer_key, key_field, table};
use crate::reader::Reader;
use crate::rights::and;
use crate::rights::check_collection;
use crate::stamp::Stamp;
use crate::statement::{Binding, Builder, Statement};
use crate::value::payload_text;

/// Changes that name the same fields.
#[derive(Debug)]
pub struct UpdateChange<'a> {
    /// Checked keys, without doubles, in any order.
    pub keys: &'a [String],
    /// One payload for all keys, or one per key in the same order. All name the same fields.
    pub payloads: &'a [Payload],
    /// One event id per key; none where the events are appended later.
    pub event_ids: &'a [Uuid],
    /// What the items must still fit once they are locked (a change by query).
    pub filter: Option<&'a Filter>,
}

struct Column<'a> {
    field: &'a Field,
    /// One text for all keys or one per key.
    texts: Vec<Option<String>>,
}

/// Plans a change: one statement with the columns `items text` (JSON array in the items' own order; in key order when they
/// are of several requests), `keys text[]` (those that were there, in key order), `version bigint` (the greatest; of several
/// requests `versions bigint[]`, one per key), and `free boolean` under a key ([`once`]). All or none. `None` when the
/// payload changes nothing that is stored.
pub fn plan_update(
    change: &UpdateChange<'_>,
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
    stamp: &Stamp,
) -> Result<Option<Statement>, Errors> {
    check_collection(collection, reader.access, Action::Update)?;
    let key = key_field(collection)?;
    let columns = columns(change.payloads, collection, reader.access, stamp)?;
    if columns.is_empty() {
        return Ok(None);
    }
    let mut b = Builder::default();
    let answer = answer_written(query, collection, reader, "t", &mut b)?;
    let fits = fits(change, &columns, collection, reader, &mut b)?;
    let own = change.keys.len() > 1 && stamp.each.is_empty();
    let place = if own { place(collection, reader, "t", &mut b) } else { None };
    let by = if place.is_some() { "item.place, item.key" } else { "item.key" };
    let place = place.map_or_else(String::new, |place| format!(", {place} AS place"));
    let answer = format!(", {answer} AS answer{place}");
    let shape = Shape { key, answer, collection, fits, once: stamp.once.as_ref() };
    let changed = write(&mut b, change, &columns, &shape);
    Ok(Some(logged(b, (&changed, by), collection, stamp)))
}

/// Plans the look at items of a batch that are named and not changed: columns as [`plan_update`], without items.
pub fn plan_untouched(
    keys: &[String],
    collection: &Collection,
    reader: Reader<'_>,
) -> Result<Statement, Errors> {
    check_collection(collection, reader.access, Action::Update)?;
    let key = key_field(collection)?;
    let mut b = Builder::default();
    let fits = still_fits(None, (collection, Action::Update), reader, &mut b)?;
    let list = b.bind(Binding::Texts(keys.iter().cloned().map(Some).collect()));
    let (name, column) = (answer_key(key, "o"), quote_identifier(&key.name));
    b.push(&format!(
        "SELECT NULL::text AS items, coalesce(array_agg({name} ORDER BY o.{column}), '{{}}') AS keys, \
         NULL::bigint AS version FROM (SELECT t.* FROM {} t WHERE t.{column} = ANY({list}::text[]::{}[]){fits} \
         ORDER BY t.{column} FOR UPDATE) o",
        table(collection),
        sql_type(key),
    ));
    Ok(b.finish("items.lock"))
}

/// A change whose events are appended later in the same transaction ([`crate::plan_append`]).
#[derive(Debug)]
pub struct Unlogged {
    /// Rows of `key text`, `version bigint`, `payload text` and `previous text` (what the event holds), of those that
    /// were there.
    pub statement: Statement,
    /// Names of the fields that change.
    pub fields: Vec<String>,
}

/// Plans such a change. `None` when nothing that is stored changes and the items are not `touched`
/// otherwise: then they get a new version all the same.
pub fn plan_update_unlogged(
    change: &UpdateChange<'_>,
    touched: bool,
    collection: &Collection,
    reader: Reader<'_>,
    stamp: &Stamp,
) -> Result<Option<Unlogged>, Errors> {
    check_collection(collection, reader.access, Action::Update)?;
    let key = key_field(collection)?;
    let columns = columns(change.payloads, collection, reader.access, stamp)?;
    if !touched && columns.is_empty() {
        return Ok(None);
    }
    let mut b = Builder::default();
    let fits = fits(change, &columns, collection, reader, &mut b)?;
    let shape = Shape { key, answer: String::new(), collection, fits, once: None };
    let changed = write(&mut b, change, &columns, &shape);
    let collection_name = b.bind(Binding::Text(Some(collection.name.clone())));
    b.push(&head(&collection_name, collection.first_version));
    b.push(
        " SELECT item.name AS key, head.version AS version, item.new::text AS payload, item.old::text AS previous \
         FROM item JOIN head ON head.key = item.name ORDER BY item.ord",
    );
    let fields = changed.iter().map(|field| field.name.clone()).collect();
    Ok(Some(Unlogged { statement: b.finish("items.update_nested"), fields }))
}

/// ` AND ...` over the locked items: what they must still fit, and that he may change what he changes.
fn fits(
    change: &UpdateChange<'_>,
    columns: &[Column<'_>],
    collection: &Collection,
    reader: Reader<'_>,
    b: &mut Builder,
) -> Result<String, Errors> {
    let reached = |column: &Column<'_>| {
        let name = &column.field.name;
        let preset = change.payloads.iter().all(|payload| payload.is_preset(name));
        let by_client = !is_stamped(column.field) && !preset;
        by_client.then(|| reader.reach_with(name, collection, Action::Update, "t", b)).flatten()
    };
    let mut masks: Vec<String> = columns.iter().filter_map(reached).collect();
    masks.dedup();
    Ok(still_fits(change.filter, (collection, Action::Update), reader, b)? + &and(masks))
}

/// What the statement is about, beside the change itself.
struct Shape<'a> {
    key: &'a Field,
    /// What is shown of an item, as columns.
    answer: String,
    collection: &'a Collection,
    /// ` AND ...` over the locked items, or nothing.
    fits: String,
    /// The key that it comes under.
    once: Option<&'a Once>,
}

fn is_stamped(field: &Field) -> bool {
    field.has(Special::DateUpdated) || field.has(Special::UserUpdated) || field.has(Special::RoleUpdated)
}

fn columns<'a>(
    payloads: &[Payload],
    collection: &'a Collection,
    access: &Access,
    stamp: &Stamp,
) -> Result<Vec<Column<'a>>, Errors> {
    let mut columns = Vec::new();
    let mut failures = Vec::new();
    let writable =
        |field: &&Field| field.is_stored() && !field.generated && field.name != collection.primary_key;
    for field in collection.fields.iter().filter(writable) {
        let stamped = if field.has(Special::DateUpdated) {
            Some(Some(stamp.now_text()))
        } else if field.has(Special::UserUpdated) {
            Some(stamp.user.map(|id| id.to_string()))
        } else if field.has(Special::RoleUpdated) {
            Some(stamp.role.map(|id| id.to_string()))
        } else {
            None
        };
        if let Some(text) = stamped {
            columns.push(Column { field, texts: vec![text; payloads.len()] });
            continue;
        }
        if !payloads.iter().any(|payload| payload.get(&field.name).is_some()) {
            continue;
        }
        let mut texts = Vec::with_capacity(payloads.len());
        for payload in payloads {
            match value(payload, field, collection, access) {
                Ok(text) => texts.push(text),
                Err(error) => failures.push(error),
            }
        }
        columns.push(Column { field, texts });
    }
    failures.dedup();
    if failures.is_empty() { Ok(columns) } else { Err(Errors(failures)) }
}

fn value(
    payload: &Payload,
    field: &Field,
    collection: &Collection,
    access: &Access,
) -> Result<Option<String>, Error> {
    if !payload.is_preset(&field.name) && !access.allows_field(&collection.name, &field.name, Action::Update)
    {
        return Err(Error::forbidden_field(&collection.name, &field.name));
    }
    let raw = payload.get(&field.name).ok_or_else(Error::internal)?;
    let text = payload_text(raw, field, &collection.name)?;
    if text.is_none() && !field.nullable {
        // Other fields were judged before; these fill themselves, but not in a change.
        let (name, of) = (&field.name, &collection.name);
        return Err(Error::new(ErrorCode::NotNullViolation)
            .with_message(format!("Value for field \"{name}\" in collection \"{of}\" can't be null."))
            .with("collection", of.as_str())
            .with("field", name.as_str()));
    }
    Ok(text)
}

/// `target` locks the items in key order and holds the old values, `item` changes them and reads back. Gives the fields
/// that change.
fn write<'c>(
    b: &mut Builder,
    change: &UpdateChange<'_>,
    columns: &[Column<'c>],
    shape: &Shape<'_>,
) -> Vec<&'c Field> {
    let Shape { key, answer, collection, fits, once } = shape;
    let name = table(collection);
    let key_name = quote_identifier(&key.name);
    once::open(b, *once);
    let keys = input(b, change, columns, key);
    let one_for_all = change.payloads.len() == 1;
    let sets: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let value = match (one_for_all, column.texts.first()) {
                (true, Some(text)) => b.bind(Binding::Text(text.clone())) + "::text",
                _ => format!("c.c{index}"),
            };
            format!("{} = {value}::{}", quote_identifier(&column.field.name), sql_type(column.field))
        })
        .collect();
    let changed: Vec<&Field> = columns.iter().map(|column| column.field).collect();
    b.push(&format!(
        ", target AS MATERIALIZED (SELECT t.* FROM {name} t WHERE {}{fits}{} \
         ORDER BY t.{key_name} FOR UPDATE), item AS (",
        keys.hold(&format!("t.{key_name}")),
        once::and_gate(*once)
    ));
    let event_id = if change.event_ids.is_empty() { "" } else { "c.event_id AS event_id, " };
    // Without a column to set there is nothing to write: what hangs on the items changes.
    let (from, new) = match sets.as_slice() {
        [] => (format!(" FROM target o JOIN change c ON c.key = o.{key_name}"), "o"),
        _ => {
            b.push(&format!(
                "UPDATE {name} t SET {} FROM target o JOIN change c ON c.key = o.{key_name} \
                 WHERE t.{key_name} = o.{key_name} AND {} ",
                sets.join(", "),
                keys.hold(&format!("t.{key_name}"))
            ));
            (String::new(), "t")
        }
    };
    b.push(&format!(
        "{} {new}.{key_name} AS key, {} AS name, {event_id}c.ord AS ord, {} AS new, {} AS old{answer}{from})",
        if sets.is_empty() { "SELECT" } else { "RETURNING" },
        answer_key(key, new),
        json_row(changed.iter().copied(), new),
        json_row(changed.iter().copied(), "o"),
    ));
    changed
}

/// `head` counts the versions up, `event` appends after the locks are held.
fn logged(
    mut b: Builder,
    (changed, by): (&[&Field], &str),
    collection: &Collection,
    stamp: &Stamp,
) -> Statement {
    let collection_name = b.bind(Binding::Text(Some(collection.name.clone())));
    let event = b.bind(Binding::Text(Some(format!("{}.update", collection.scope()))));
    let fields = b.bind(Binding::Texts(changed.iter().map(|field| Some(field.name.clone())).collect()));
    let index = stamp.batch_index("item.ord", &mut b);
    let stamped = stamp.values("item.ord", &mut b);
    b.push(&head(&collection_name, collection.first_version));
    b.push(&format!(
        ", event AS (INSERT INTO eventus.events (id, name, collection, key, version, payload, previous, fields, \
         batch_index, {}) SELECT item.event_id, {event}::text, {collection_name}::text, item.name, head.version, \
         item.new, item.old, {fields}::text[], {index}, {stamped} \
         FROM item JOIN head ON head.key = item.name ORDER BY item.ord)",
        Stamp::COLUMNS
    ));
    let answer = format!(
        "SELECT '[' || coalesce(string_agg(item.answer::text, ',' ORDER BY {by}), '') || ']' AS items, \
         coalesce(array_agg(item.name ORDER BY item.key), '{{}}') AS keys, "
    );
    // Of several requests each is told the version of its own item.
    let version = match stamp.each.as_slice() {
        [] => "(SELECT max(head.version) FROM head) AS version FROM item",
        _ => {
            "coalesce(array_agg(head.version ORDER BY item.key), '{}') AS versions \
             FROM item JOIN head ON head.key = item.name"
        }
    };
    once::close(&mut b, stamp.once.as_ref(), (Some("items"), &(answer + version)));
    b.finish("items.update")
}

/// The heads of the items in `item`, one version further; an item without a head had the first.
pub(crate) fn head(collection_name: &str, first_version: i64) -> String {
    let second = first_version.saturating_add(1);
    format!(
        ", head AS (INSERT INTO eventus.heads AS h (collection, key, version) \
         SELECT {collection_name}::text, item.name, {second} FROM item ORDER BY item.name \
         ON CONFLICT (collection, key) DO UPDATE SET version = h.version + 1 RETURNING h.key, h.version)"
    )
}

/// Writes `change` and gives the keys.
fn input(b: &mut Builder, change: &UpdateChange<'_>, columns: &[Column<'_>], key: &Field) -> Keys {
    let keys = Keys::bind(change.keys, key, b);
    let mut beside = Vec::new();
    if !change.event_ids.is_empty() {
        beside.push(("event_id".to_owned(), Beside::Ids(change.event_ids.to_vec())));
    }
    if change.payloads.len() != 1 {
        let own = columns.iter().enumerate();
        beside.extend(own.map(|(index, column)| (format!("c{index}"), Beside::Texts(column.texts.clone()))));
    }
    let rows = keys.rows(beside, b);
    b.push(&format!("change AS MATERIALIZED ({rows})"));
    keys
}

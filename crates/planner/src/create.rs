//! Creating: payloads -> one data-modifying statement that makes the items, their events and the answer.

use access::{Access, Action};
use model::{Collection, Error, ErrorCode, Errors, Field, FieldType, KeySource, Special, quote_identifier};
use query::Query;
use uuid::Uuid;

use crate::answer::answer_written;
use crate::column::{json_row, sql_type};
use crate::once::{self, Once};
use crate::order::place;
use crate::payload::Payload;
use crate::read::{answer_key, key_field, table};
use crate::reader::Reader;
use crate::rights::check_collection;
use crate::stamp::Stamp;
use crate::statement::{Binding, Builder, Statement};
use crate::value::payload_text;

/// Ids that the plan uses up, made by the caller because a plan makes none.
#[derive(Debug)]
pub struct CreateNeeds<'a> {
    /// One event id per payload, in order; none where the events are appended later.
    pub event_ids: &'a [Uuid],
    /// One fresh key per payload, for collections whose keys we make.
    pub fresh_keys: &'a [Uuid],
}

/// One column of the INSERT over all payloads.
struct Column<'a> {
    field: &'a Field,
    texts: Vec<Option<String>>,
    /// Which payloads give a value; the others get the column's default.
    given: Vec<bool>,
}

/// Plans the creation of items: one statement with the columns `items text` (JSON array in the items' own order; in that of
/// the payloads when they are of several requests), `keys text[]` (in key order; of several requests as the items),
/// `version bigint` (the greatest), and `free boolean` under a key ([`once`]). All or none.
pub fn plan_create(
    payloads: &[Payload],
    needs: &CreateNeeds<'_>,
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
    stamp: &Stamp,
) -> Result<Statement, Errors> {
    check_collection(collection, reader.access, Action::Create)?;
    let key = key_field(collection)?;
    let columns = columns(payloads, collection, reader.access, stamp)?;
    let keys = keys(payloads, needs, key, collection)?;
    let mut b = Builder::default();
    let json = answer_written(query, collection, reader, "t", &mut b)?;
    let own = payloads.len() > 1 && stamp.each.is_empty();
    let place = if own { place(collection, reader, "t", &mut b) } else { None };
    let creation = Creation { columns: &columns, keys: &keys, key, collection, needs };
    Ok(creation.logged(b, &Shown { json, place }, stamp))
}

/// Plans the creation of items whose events are appended later in the same transaction ([`crate::plan_append`]): rows
/// of `key text`, `version bigint` and `payload text` (the item as its event holds it), in the order of the payloads.
pub fn plan_create_unlogged(
    payloads: &[Payload],
    needs: &CreateNeeds<'_>,
    collection: &Collection,
    access: &Access,
    stamp: &Stamp,
) -> Result<Statement, Errors> {
    check_collection(collection, access, Action::Create)?;
    let key = key_field(collection)?;
    let columns = columns(payloads, collection, access, stamp)?;
    let keys = keys(payloads, needs, key, collection)?;
    let creation = Creation { columns: &columns, keys: &keys, key, collection, needs };
    Ok(creation.unlogged(Builder::default()))
}

/// What the answer shows of an item.
struct Shown {
    json: String,
    /// What the items are ordered by, before their keys.
    place: Option<String>,
}

/// Checked payloads, as columns.
struct Creation<'a> {
    columns: &'a [Column<'a>],
    keys: &'a KeyTexts,
    key: &'a Field,
    collection: &'a Collection,
    needs: &'a CreateNeeds<'a>,
}

/// Keys that the payloads give or that we made; `None` = the sequence gives it.
struct KeyTexts {
    texts: Vec<Option<String>>,
    /// Given by the client: such an item may have lived before, so its version comes from its head.
    given: Vec<bool>,
}

fn keys(
    payloads: &[Payload],
    needs: &CreateNeeds<'_>,
    key: &Field,
    collection: &Collection,
) -> Result<KeyTexts, Errors> {
    let mut keys =
        KeyTexts { texts: Vec::with_capacity(payloads.len()), given: Vec::with_capacity(payloads.len()) };
    for (index, payload) in payloads.iter().enumerate() {
        let given = match payload.get(&key.name) {
            Some(raw) => payload_text(raw, key, &collection.name).map_err(|error| no_key(error, key))?,
            None => None,
        };
        if given.as_deref() == Some("") {
            // No path can name it.
            return Err(Error::invalid_payload(format!("\"{}\" must not be empty", key.name)).into());
        }
        keys.given.push(given.is_some());
        keys.texts.push(match (given, &collection.key_source) {
            (Some(text), _) => Some(text),
            (None, KeySource::Sequence(_)) => None,
            (None, KeySource::Uuid) => {
                Some(needs.fresh_keys.get(index).ok_or_else(Error::internal)?.to_string())
            }
            (None, KeySource::Client) => return Err(Error::failed_validation(&key.name, "required").into()),
        });
    }
    Ok(keys)
}

/// What can be no number or uuid is answered as a key that is out of reach.
fn no_key(error: Error, key: &Field) -> Error {
    match key.kind {
        FieldType::Integer | FieldType::BigInteger | FieldType::Uuid
            if error.code == ErrorCode::InvalidPayload =>
        {
            Error::forbidden()
        }
        _ => error,
    }
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
        let mut column = Column { field, texts: Vec::with_capacity(payloads.len()), given: Vec::new() };
        for payload in payloads {
            match value(payload, field, collection, access, stamp) {
                Ok(text) => {
                    column.given.push(text.is_some());
                    column.texts.push(text.flatten());
                }
                Err(error) => failures.push(error),
            }
        }
        if column.given.contains(&true) {
            columns.push(column);
        }
    }
    failures.dedup();
    if failures.is_empty() { Ok(columns) } else { Err(Errors(failures)) }
}

/// The value of a field of a new item: `None` = not given, `Some(None)` = null.
fn value(
    payload: &Payload,
    field: &Field,
    collection: &Collection,
    access: &Access,
    stamp: &Stamp,
) -> Result<Option<Option<String>>, Error> {
    let stamped = if field.has(Special::DateCreated) {
        Some(Some(stamp.now_text()))
    } else if field.has(Special::UserCreated) {
        Some(stamp.user.map(|id| id.to_string()))
    } else if field.has(Special::RoleCreated) {
        Some(stamp.role.map(|id| id.to_string()))
    } else {
        None
    };
    if stamped.is_some() {
        return Ok(stamped);
    }
    let Some(raw) = payload.get(&field.name) else {
        let filled = field.default.is_some();
        if !field.nullable && !filled {
            return Err(Error::failed_validation(&field.name, "required"));
        }
        return Ok(None);
    };
    if !payload.is_preset(&field.name) && !access.allows_field(&collection.name, &field.name, Action::Create)
    {
        return Err(Error::forbidden_field(&collection.name, &field.name));
    }
    let text = payload_text(raw, field, &collection.name)?;
    if text.is_none() && !field.nullable {
        return Err(Error::failed_validation(&field.name, "nnull"));
    }
    Ok(Some(text))
}

impl Creation<'_> {
    /// `input` fixes the keys before anything is inserted, `item` inserts and reads back.
    fn items(&self, b: &mut Builder, (body, more): (&str, &str), once: Option<&Once>) {
        let Self { columns, keys, key, collection, needs } = self;
        let key_name = quote_identifier(&key.name);
        once::open(b, once);
        input(b, columns, keys, key, self.sequence(), needs);
        let names: String =
            columns.iter().map(|column| format!(", {}", quote_identifier(&column.field.name))).collect();
        let values: String = (0..columns.len()).map(|index| format!(", i.v{index}")).collect();
        b.push(&format!(", item AS (INSERT INTO {} AS t ({key_name}{names})", table(collection)));
        let gate = once::gate(once);
        // Keys that always count by themselves are taken from their sequence by us.
        b.push(&format!(" OVERRIDING SYSTEM VALUE SELECT i.key{values} FROM input i{gate} ORDER BY i.ord"));
        let name = answer_key(key, "t");
        b.push(&format!(" RETURNING t.{key_name} AS key, {name} AS name, {body} AS body{more})"));
    }

    /// `head` gives versions to items that may have lived before. The expression of an item's version, and what it is
    /// joined from.
    fn head(&self, b: &mut Builder, collection_name: &str) -> (String, &'static str) {
        let first = self.collection.first_version;
        if !self.any_given() {
            return (first.to_string(), "");
        }
        b.push(&format!(
            ", head AS (INSERT INTO eventus.heads AS h (collection, key, version) \
             SELECT {collection_name}::text, item.name, {first} FROM item JOIN input i ON i.key = item.key \
             WHERE i.given ORDER BY item.name \
             ON CONFLICT (collection, key) DO UPDATE SET version = h.version + 1 RETURNING h.key, h.version)"
        ));
        (format!("coalesce(head.version, {first})"), " LEFT JOIN head ON head.key = item.name")
    }

    /// `event` appends after the items' locks are held.
    fn logged(&self, mut b: Builder, Shown { json, place }: &Shown, stamp: &Stamp) -> Statement {
        let body = self.body();
        let same = body == *json;
        let once = stamp.once.as_ref();
        let more = if same { String::new() } else { format!(", {json} AS answer") };
        let more = more + &place.as_ref().map_or_else(String::new, |place| format!(", {place} AS place"));
        self.items(&mut b, (&body, &more), once);
        let collection_name = b.bind(Binding::Text(Some(self.collection.name.clone())));
        let (version, head) = self.head(&mut b, &collection_name);
        let event = b.bind(Binding::Text(Some(format!("{}.create", self.collection.scope()))));
        let index = stamp.batch_index("i.ord", &mut b);
        let stamped = stamp.values("i.ord", &mut b);
        b.push(&format!(
            ", event AS (INSERT INTO eventus.events (id, name, collection, key, version, payload, batch_index, {}) \
             SELECT i.event_id, {event}::text, {collection_name}::text, item.name, {version}, item.body, \
             {index}, {stamped} FROM item JOIN input i ON i.key = item.key{head} ORDER BY i.ord)",
            Stamp::COLUMNS
        ));
        let shown = if same { "item.body" } else { "item.answer" };
        let last = if self.any_given() { "(SELECT max(head.version) FROM head)" } else { "NULL::bigint" };
        // Of several requests each finds its own item in its place.
        let (order, by_key, from) = match (stamp.each.as_slice(), place) {
            ([], None) => ("item.key", "item.key", "item"),
            ([], Some(_)) => ("item.place, item.key", "item.key", "item"),
            _ => ("i.ord", "i.ord", "item JOIN input i ON i.key = item.key"),
        };
        let mut answer = format!(
            "SELECT '[' || coalesce(string_agg({shown}::text, ',' ORDER BY {order}), '') || ']' AS items, \
             array_agg(item.name ORDER BY {by_key}) AS keys, coalesce({last}, {}) AS version",
            self.collection.first_version
        );
        if let Some(sequence) = self.passed_sequence() {
            let sequence = b.bind(Binding::Text(Some(sequence.clone())));
            answer +=
                &format!(", eventus.advance_sequence({sequence}::text::regclass, max(item.key)::bigint)");
        }
        once::close(&mut b, once, (Some("items"), &(answer + " FROM " + from)));
        b.finish("items.create")
    }

    /// The same without `event`.
    fn unlogged(&self, mut b: Builder) -> Statement {
        self.items(&mut b, (&self.body(), ""), None);
        let collection_name = b.bind(Binding::Text(Some(self.collection.name.clone())));
        let (version, head) = self.head(&mut b, &collection_name);
        let mut moved = "";
        if let Some(sequence) = self.passed_sequence() {
            let sequence = b.bind(Binding::Text(Some(sequence.clone())));
            b.push(&format!(
                ", moved AS MATERIALIZED (SELECT eventus.advance_sequence({sequence}::text::regclass, \
                 max(item.key)::bigint) FROM item)"
            ));
            moved = " CROSS JOIN moved";
        }
        b.push(&format!(
            " SELECT item.name AS key, {version}::bigint AS version, item.body::text AS payload \
             FROM item JOIN input i ON i.key = item.key{head}{moved} ORDER BY i.ord"
        ));
        b.finish("items.create_nested")
    }

    /// The whole item, as its event holds it.
    fn body(&self) -> String {
        json_row(self.collection.fields.iter().filter(|field| field.is_stored()), "t")
    }

    fn any_given(&self) -> bool {
        self.keys.given.contains(&true)
    }

    fn sequence(&self) -> Option<&String> {
        match &self.collection.key_source {
            KeySource::Sequence(sequence) => Some(sequence),
            _ => None,
        }
    }

    /// The sequence, where keys were given that it must be moved past.
    fn passed_sequence(&self) -> Option<&String> {
        self.sequence().filter(|_| self.any_given())
    }
}

/// The columns of `input` have names of our own (`key`, `event_id`, `given`, `ord`, `v0` ...): a field of the client's
/// may be called like any of them.
fn input(
    b: &mut Builder,
    columns: &[Column<'_>],
    keys: &KeyTexts,
    key: &Field,
    sequence: Option<&String>,
    needs: &CreateNeeds<'_>,
) {
    let key_type = sql_type(key);
    let mut arrays = Vec::with_capacity(columns.len() + 3);
    let mut names = Vec::with_capacity(columns.len() + 3);
    let mut chosen = Vec::with_capacity(columns.len());
    arrays.push(format!("{}::text[]", b.bind(Binding::Texts(keys.texts.clone()))));
    arrays.push(format!("{}::boolean[]", b.bind(Binding::Bools(keys.given.clone()))));
    names.extend(["k".to_owned(), "given".to_owned()]);
    let event_id = if needs.event_ids.is_empty() {
        ""
    } else {
        arrays.push(format!("{}::uuid[]", b.bind(Binding::Uuids(needs.event_ids.to_vec()))));
        names.push("event_id".to_owned());
        "u.event_id AS event_id, "
    };
    for (index, column) in columns.iter().enumerate() {
        arrays.push(format!("{}::text[]", b.bind(Binding::Texts(column.texts.clone()))));
        names.push(format!("c{index}"));
        let mut value = format!("u.c{index}::{}", sql_type(column.field));
        if column.given.contains(&false) {
            arrays.push(format!("{}::boolean[]", b.bind(Binding::Bools(column.given.clone()))));
            names.push(format!("p{index}"));
            // The default is PostgreSQL's own text of the column's definition.
            let default = column.field.default.as_deref().unwrap_or("NULL");
            value = format!("CASE WHEN u.p{index} THEN {value} ELSE {default} END");
        }
        chosen.push(format!(", {value} AS v{index}"));
    }
    let own_key = format!("u.k::{key_type}");
    let key_value = match sequence {
        Some(sequence) if keys.given.contains(&false) => {
            let fresh = format!(
                "nextval({}::text::regclass)::{key_type}",
                b.bind(Binding::Text(Some(sequence.clone())))
            );
            match keys.given.contains(&true) {
                true => format!("CASE WHEN u.k IS NULL THEN {fresh} ELSE {own_key} END"),
                false => fresh,
            }
        }
        _ => own_key,
    };
    b.push(&format!(
        "input AS MATERIALIZED (SELECT {key_value} AS key, {event_id}u.given AS given, \
         u.ord AS ord{} FROM unnest({}) WITH ORDINALITY AS u({}, ord))",
        chosen.concat(),
        arrays.join(", "),
        names.join(", ")
    ));
}

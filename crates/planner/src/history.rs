//! What happened to one item, as JSON: its events newest first, without what the reader may not see of it.

use access::{Action, Reach};
use model::{Collection, Error, Field, quote_identifier};

use crate::column::{MASK, sql_type};
use crate::past::literal;
use crate::read::{SOURCE, answer_key, key_field, table};
use crate::reader::Reader;
use crate::rights::{and, check_collection};
use crate::statement::{Binding, Builder, Statement};
use crate::value::parse_key;

/// Which events of an item are wanted, counted from the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryPage {
    /// At most so many.
    pub limit: i64,
    /// After so many.
    pub offset: i64,
}

/// Plans the history of an item that is there for the reader (of a deleted one: by the schema of the past): one
/// statement with the column `history text`, a JSON array. No row = no such item for him.
///
/// # Errors
/// `FORBIDDEN`: collection out of reach, or a malformed key.
pub fn plan_history(
    key: &str,
    page: HistoryPage,
    collection: &Collection,
    reader: Reader<'_>,
) -> Result<Statement, Error> {
    check_collection(collection, reader.access, Action::Read)?;
    let field = key_field(collection)?;
    let key = parse_key(key, field)?;
    let mut b = Builder::of(reader);
    let own = b.bind(Binding::Text(Some(key)));
    let seen = and(reader.reach(collection, Action::Read, SOURCE, &mut b));
    let visible = visible(collection, reader, &mut b);
    let hidden: Vec<String> = collection.fields.iter().filter(|f| f.is_concealed()).map(name).collect();
    let hidden = b.bind(Binding::Texts(hidden.into_iter().map(Some).collect()));
    let body = |column: &str| {
        let value = format!(
            "CASE WHEN m.key = ANY({hidden}::text[]) AND m.value::text NOT IN ('null', '\"\"') \
             THEN to_json({MASK}::text) ELSE m.value END"
        );
        format!(
            "CASE WHEN json_typeof({column}) = 'object' THEN coalesce((SELECT json_object_agg(m.key, {value}) \
             FROM json_each({column}) m WHERE m.key = ANY(v.fields)), '{{}}'::json) END"
        )
    };
    let (scope, HistoryPage { limit, offset }) = (collection.scope(), page);
    let names = ["create", "update", "delete"].map(|action| literal(&format!("{scope}.{action}")));
    b.push(&format!(
        "SELECT (SELECT '[' || coalesce(string_agg(row_to_json(h.*)::text, ',' ORDER BY h.position DESC), '') || ']' \
         FROM (SELECT e.position, e.version, split_part(e.name, '.', 2) AS action, \
         ARRAY(SELECT f.name FROM unnest(e.fields) WITH ORDINALITY f(name, ord) WHERE f.name = ANY(v.fields) \
         ORDER BY f.ord) AS fields, {payload} AS payload, {previous} AS previous, e.\"user\", \
         to_char(e.time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS time, e.request_id, \
         e.causation_id, CASE WHEN e.erased IS NOT NULL THEN ARRAY(SELECT f.name FROM unnest(e.erased) f(name) \
         WHERE f.name = ANY(v.fields)) END AS erased FROM eventus.events e WHERE e.collection = {collection} AND e.key = v.key \
         AND e.version >= {first} AND e.name IN ({names}) AND (e.fields IS NULL OR e.fields && v.fields) \
         ORDER BY e.position DESC LIMIT {limit} OFFSET {offset}) h) AS history \
         FROM (SELECT {key} AS key, {visible} AS fields FROM {table} {SOURCE} \
         WHERE {SOURCE}.{column} = {own}::text::{kind}{seen}) v",
        payload = body("e.payload"),
        previous = body("e.previous"),
        collection = literal(&collection.name),
        first = collection.first_version,
        names = names.join(", "),
        key = answer_key(field, SOURCE),
        table = table(collection),
        column = quote_identifier(&field.name),
        kind = sql_type(field),
    ));
    Ok(b.finish("items.history"))
}

fn name(field: &Field) -> String {
    field.name.clone()
}

/// The names of the fields that he may see of the item read as [`SOURCE`], as an array.
pub(crate) fn visible(collection: &Collection, reader: Reader<'_>, b: &mut Builder) -> String {
    let stored = collection.fields.iter().filter(|field| field.is_stored());
    let (mut always, mut parts) = (Vec::new(), Vec::new());
    for field in stored.filter(|f| reader.access.allows_field(&collection.name, &f.name, Action::Read)) {
        match reader.access.items_with(&collection.name, &field.name, Action::Read) {
            Reach::All => always.push(Some(field.name.clone())),
            Reach::Fitting(_) => {
                let fits = reader.reach_with(&field.name, collection, Action::Read, SOURCE, b);
                let fits = fits.unwrap_or_else(|| "true".to_owned());
                parts.push(format!("CASE WHEN {fits} THEN {} END", literal(&field.name)));
            }
        }
    }
    let always = format!("{}::text[]", b.bind(Binding::Texts(always)));
    match parts.is_empty() {
        true => always,
        false => format!("{always} || array_remove(ARRAY[{}]::text[], NULL)", parts.join(", ")),
    }
}

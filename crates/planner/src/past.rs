//! The past: a collection as it stood at a position of the log, as a sub-select that stands where its table stands.
//!
//! Items of now are rewound by the earliest `previous` that the log has of each of their fields after the position;
//! items made since are left out, deleted ones come from what their deletion logged. The position is the statement's
//! first binding ([`Builder::of`]), so the text is the same for every position.

use model::{Collection, Field, FieldType, GeometryColumn, SRID, quote_identifier};

use crate::column::{MASK, sql_type};
use crate::read::{answer_key, table};
use crate::reader::Reader;
use crate::statement::{Binding, Builder};

impl Builder {
    /// An empty statement for who reads: of the past, its position is the first binding.
    pub(crate) fn of(reader: Reader<'_>) -> Self {
        let mut b = Self::default();
        if let Some(past) = &reader.schema.past {
            b.bind(Binding::BigInt(past.position));
        }
        b
    }
}

/// The collection as it stood at the position that the reader's schema names. It is not written.
///
/// Columns that no event tells of (computed ones, those that were added since) have the values of now; of deleted items
/// they are null. Secrets never enter the log: they are masks.
pub fn as_of(collection: &Collection) -> Collection {
    let view = collection.key().map_or_else(|| table(collection), |key| state(collection, key));
    Collection { view: Some(view), ..collection.clone() }
}

/// The sub-select. What happened since is looked at once, however often it is read again (a page per parent); conditions
/// reach the table through it, so that indexes serve them.
fn state(collection: &Collection, key: &Field) -> String {
    let (own, name, scope) = (table(collection), literal(&collection.name), collection.scope());
    let [made, changed, gone] =
        ["create", "update", "delete"].map(|action| literal(&format!("{scope}.{action}")));
    let stored = || collection.fields.iter().filter(|field| field.is_stored());
    let present: Vec<String> = stored().map(|field| format!("t.{}", quote_identifier(&field.name))).collect();
    let rewound: Vec<String> = stored()
        .map(|field| format!("{} AS {}", rewound(field, key, "t"), quote_identifier(&field.name)))
        .collect();
    let key_name = quote_identifier(&key.name);
    format!(
        "(WITH since AS MATERIALIZED (SELECT e.key, e.position, e.name, e.previous FROM eventus.events e \
         WHERE e.collection = {name} AND e.position > $1 AND e.version >= {first} \
         AND e.name IN ({made}, {changed}, {gone})), \
         touched AS MATERIALIZED (SELECT s.key, (array_agg(s.name ORDER BY s.position))[1] = {made} AS made, \
         bool_or(s.name = {gone}) AS gone FROM since s GROUP BY s.key), \
         was AS MATERIALIZED (SELECT x.key, json_object_agg(x.field, x.value) AS body \
         FROM (SELECT DISTINCT ON (s.key, f.key) s.key, f.key AS field, f.value FROM since s CROSS JOIN LATERAL \
         json_each(CASE WHEN json_typeof(s.previous) = 'object' THEN s.previous END) f \
         ORDER BY s.key, f.key, s.position) x GROUP BY x.key), \
         back AS MATERIALIZED (SELECT {rewound} FROM touched k LEFT JOIN was w ON w.key = k.key \
         LEFT JOIN {own} t ON NOT k.gone AND {joined} \
         WHERE NOT k.made AND (k.gone OR t.{key_name} IS NOT NULL)) \
         SELECT {present} FROM {own} t WHERE NOT EXISTS (SELECT FROM touched k WHERE k.key = {own_key}) \
         UNION ALL SELECT {present} FROM back t)",
        first = collection.first_version,
        present = present.join(", "),
        rewound = rewound.join(", "),
        own_key = answer_key(key, "t"),
        joined = joined(key, "t"),
    )
}

/// The item of a key: by its column's own type, so that an index finds it, where the text of the key says all of it.
pub(crate) fn joined(key: &Field, source: &str) -> String {
    match key.kind {
        FieldType::Date | FieldType::Time | FieldType::DateTime | FieldType::Timestamp | FieldType::Float => {
            format!("{} = k.key", answer_key(key, source))
        }
        _ => format!("{source}.{} = k.key::{}", quote_identifier(&key.name), sql_type(key)),
    }
}

/// A field's value at the position, of an item that was touched since: `source` is the item of now, `w.body` what the log has
/// of its fields, `k.key` its key.
pub(crate) fn rewound(field: &Field, key: &Field, source: &str) -> String {
    let column = format!("{source}.{}", quote_identifier(&field.name));
    if field.name == key.name {
        // Keys never change; the column of now knows the last digit of a time.
        return format!("coalesce({column}, k.key::{})", sql_type(key));
    }
    let name = literal(&field.name);
    let value = format!("(w.body -> {name})");
    format!("CASE WHEN {value} IS NULL THEN {column} ELSE {} END", typed(field, &name, &column))
}

/// What stands in the log of a field, as a value of its column: the way back of `answer_of`.
fn typed(field: &Field, name: &str, column: &str) -> String {
    let (value, text) = (format!("(w.body -> {name})"), format!("(w.body ->> {name})"));
    let kind = sql_type(field);
    let is_text = matches!(kind, "character varying" | "text" | "bpchar");
    if field.is_concealed() {
        // A mask or nothing. Where a mask can't stand the value of now does, which is masked when it is shown.
        return match is_text {
            true => format!("CASE WHEN {text} <> '' THEN {MASK}::{kind} END"),
            false => format!("CASE WHEN {text} IS NOT NULL THEN {column} END"),
        };
    }
    match field.kind {
        FieldType::Csv => format!(
            "(CASE json_typeof({value}) WHEN 'array' THEN (SELECT coalesce(string_agg(c.part, ',' ORDER BY c.ord), '') \
             FROM json_array_elements_text({value}) WITH ORDINALITY c(part, ord)) ELSE {text} END)::{kind}"
        ),
        FieldType::Json => format!("nullif({value}::text, 'null')::{kind}"),
        FieldType::Binary => format!("decode(nullif({text}, {MASK}), 'base64')"),
        FieldType::Geometry(_) => match GeometryColumn::parse(&field.column_type) {
            Some(described) => geometry(&described, &value),
            None => format!("{text}::{kind}"),
        },
        _ if is_text => format!("{text}::{kind}"),
        // A mask from when it was a secret is no value of its type.
        _ => format!("nullif({text}, {MASK})::{kind}"),
    }
}

fn geometry(column: &GeometryColumn<'_>, value: &str) -> String {
    let (schema, srid) = (column.schema, column.srid.unwrap_or(SRID));
    let made = format!("{schema}ST_SetSRID({schema}ST_GeomFromGeoJSON({value}::text), {srid})");
    let cast = if column.is_geography { format!("::{schema}geography") } else { String::new() };
    format!("CASE WHEN json_typeof({value}) = 'object' THEN {made}{cast} END")
}

/// A name of the schema as a literal: quotes doubled; PostgreSQL reads backslashes as they are. NUL never reaches here
/// (names are checked when they are made), and is dropped all the same.
pub(crate) fn literal(name: &str) -> String {
    format!("'{}'", name.replace('\0', "").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{ErrorCode, FieldType, GeometryKind, Past, Schema};

    use super::as_of;
    use crate::shape::tests::{articles, field, notes, shop};
    use crate::snapshots::{admin, query, shown};
    use crate::{Reader, plan_keys, plan_read, plan_read_one};

    fn then() -> Schema {
        let present = Arc::new(shop());
        let all = present.collections.iter();
        let collections = all.map(|(name, one)| (name.clone(), Arc::new(as_of(one)))).collect();
        Schema { version: 1, collections, past: Some(Past { position: 42, present }) }
    }

    #[test]
    fn the_state_of_then_stands_where_the_table_stands() {
        insta::assert_snapshot!(as_of(&articles()).view.unwrap());
        let mut notes = notes();
        let point = FieldType::Geometry(GeometryKind::Point);
        notes.fields.push(field("place", point, "\"gis\".geometry(Point,4326)"));
        notes.fields.push(field("it's", FieldType::Binary, "bytea"));
        insta::assert_snapshot!(as_of(&notes).view.unwrap());
    }

    #[test]
    fn the_position_is_the_first_binding() {
        let schema = then();
        let (posts, reader) = (schema.collection("posts").unwrap(), Reader { schema: &schema, ..admin() });
        let list =
            plan_read(&query("fields=title,author.name&filter[title]=x&meta=*"), posts, reader).unwrap();
        let text = shown(&list.statement);
        assert!(
            text.contains("position > $1") && text.ends_with("[BigInt(42), Text(Some(\"x\"))]"),
            "{text}"
        );
        assert!(!text.contains("FROM \"public\".\"posts\" t WHERE t.\"title\""), "{text}");
        let one = plan_read_one(&query("fields=title"), posts, reader).unwrap().of("7", posts).unwrap();
        assert!(shown(&one).ends_with("[BigInt(42), Text(Some(\"7\"))]"), "{}", shown(&one));
    }

    #[test]
    fn whoever_asks_is_who_he_is_now() {
        let schema = then();
        let (posts, reader) = (schema.collection("posts").unwrap(), Reader { schema: &schema, ..admin() });
        let own = query("fields=id&filter[title][_eq]=$CURRENT_USER.name");
        let text = plan_read(&own, posts, reader).unwrap().statement.sql;
        assert!(text.contains("FROM \"public\".\"directus_users\" t"), "{text}");
    }

    #[test]
    fn nothing_is_written_then() {
        let schema = shop();
        let (posts, reader) = (schema.collection("posts").unwrap(), Reader { schema: &schema, ..admin() });
        let refused = plan_keys(&query("as_of=3"), posts, reader, (access::Action::Update, &[])).unwrap_err();
        assert_eq!(refused.code, ErrorCode::InvalidQuery);
    }
}

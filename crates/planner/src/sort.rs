//! Sorting by hand: where two items stand in the order of a collection's sort field, and what stands between them.

use access::Action;
use model::{Collection, Error, Field, FieldType, quote_identifier};

use crate::column::sql_type;
use crate::read::{answer_key, key_field, table};
use crate::reader::Reader;
use crate::rights::check_collection;
use crate::statement::{Binding, Builder, Statement};
use crate::value::parse_key;

/// The field that orders a collection by hand.
///
/// # Errors
/// 400 when there is none, or none that counts.
pub fn sort_field(collection: &Collection) -> Result<&Field, Error> {
    let name = &collection.name;
    let field = collection.sort_field.as_deref().and_then(|field| collection.field(field));
    let field = field
        .ok_or_else(|| Error::invalid_payload(format!("Collection \"{name}\" doesn't have a sort field")))?;
    if matches!(field.kind, FieldType::Integer | FieldType::BigInteger) && !field.generated {
        return Ok(field);
    }
    let reason = format!("The sort field \"{}\" of collection \"{name}\" is no integer", field.name);
    Err(Error::invalid_payload(reason).with("field", field.name.as_str()))
}

/// Plans the look at two items: one row with `untidy boolean` (some items have no place, or share one),
/// `item boolean`, `target boolean` (they are there), `from bigint`, `to bigint` (their places).
///
/// # Errors
/// 403 for who may not change the sort field and for malformed keys, 400 for a collection without a sort field.
pub fn plan_places(
    item: &str,
    target: &str,
    collection: &Collection,
    reader: Reader<'_>,
) -> Result<Statement, Error> {
    check_collection(collection, reader.access, Action::Update)?;
    let (field, key) = (sort_field(collection)?, key_field(collection)?);
    if !reader.access.allows_field(&collection.name, &field.name, Action::Update) {
        return Err(Error::forbidden_field(&collection.name, &field.name));
    }
    let mut b = Builder::default();
    let mut own = |text: &str| {
        let bound = b.bind(Binding::Text(Some(parse_key(text, key)?)));
        Ok::<_, Error>(format!("t.{} = {bound}::text::{}", quote_identifier(&key.name), sql_type(key)))
    };
    let (item, target) = (own(item)?, own(target)?);
    let place = format!("t.{}", quote_identifier(&field.name));
    b.push(&format!(
        "SELECT count(*) <> count(DISTINCT {place}) AS untidy, coalesce(bool_or({item}), false) AS item, \
         coalesce(bool_or({target}), false) AS target, (max({place}) FILTER (WHERE {item}))::bigint AS \"from\", \
         (max({place}) FILTER (WHERE {target}))::bigint AS \"to\" FROM {} t",
        table(collection),
    ));
    Ok(b.finish("items.places"))
}

/// Plans the lock of the items that stand from one place to another, or of all: rows of `key text` and `place bigint`,
/// in their order; items without a place come last.
pub fn plan_order(between: Option<(i64, i64)>, collection: &Collection) -> Result<Statement, Error> {
    let (field, key) = (sort_field(collection)?, key_field(collection)?);
    let (place, key_name) = (quote_identifier(&field.name), quote_identifier(&key.name));
    let mut b = Builder::default();
    let within = between.map_or_else(String::new, |(first, last)| {
        let (first, last) = (b.bind(Binding::BigInt(first)), b.bind(Binding::BigInt(last)));
        format!(" WHERE t.{place} BETWEEN {first}::bigint AND {last}::bigint")
    });
    b.push(&format!(
        "SELECT {} AS key, o.{place}::bigint AS place FROM (SELECT t.* FROM {} t{within} ORDER BY t.{key_name} \
         FOR UPDATE) o ORDER BY o.{place} NULLS LAST, o.{key_name}",
        answer_key(key, "o"),
        table(collection),
    ));
    Ok(b.finish("items.order"))
}

//! Upserting: which payloads agree with items that are there, and the answer in the order of the payloads. The writes
//! themselves are those of creating and changing.

use access::Action;
use model::{Collection, Error, Errors, Field, quote_identifier};
use query::Query;

use crate::answer::answer;
use crate::column::sql_type;
use crate::payload::Payload;
use crate::read::{SOURCE, answer_key, key_field, table};
use crate::reader::Reader;
use crate::rights::{and, check_collection};
use crate::statement::{Binding, Builder, Statement};
use crate::value::payload_text;

/// The texts of one field in all payloads; null where it is not given.
fn texts(
    payloads: &[Payload],
    field: &Field,
    collection: &Collection,
) -> Result<Vec<Option<String>>, Errors> {
    let text = |payload: &Payload| match payload.get(&field.name) {
        Some(raw) => payload_text(raw, field, &collection.name),
        None => Ok(None),
    };
    Ok(payloads.iter().map(text).collect::<Result<_, Error>>()?)
}

/// Plans the look-up of the items that agree with payloads in all of these fields: rows of `ord bigint` (place of the
/// payload from 0), `first bigint` (place of the first payload that gives the same values) and `key text` (of the item,
/// or null). Payloads that don't give every field have no row. Nothing is locked.
pub fn plan_agreeing(
    payloads: &[Payload],
    fields: &[&Field],
    collection: &Collection,
) -> Result<Statement, Errors> {
    let key = key_field(collection)?;
    let mut b = Builder::default();
    let (mut arrays, mut names, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let (mut given, mut agree) = (Vec::new(), Vec::new());
    for (index, field) in fields.iter().enumerate() {
        arrays.push(format!("{}::text[]", b.bind(Binding::Texts(texts(payloads, field, collection)?))));
        names.push(format!("c{index}"));
        values.push(format!("u.c{index}::{} AS v{index}", sql_type(field)));
        given.push(format!("i.v{index} IS NOT NULL"));
        agree.push(format!("t.{} = i.v{index}", quote_identifier(&field.name)));
    }
    let same: Vec<String> = (0..fields.len()).map(|index| format!("i.v{index}")).collect();
    b.push(&format!(
        "WITH input AS MATERIALIZED (SELECT u.ord AS ord, {} FROM unnest({}) WITH ORDINALITY AS u({}, ord)) \
         SELECT i.ord - 1 AS ord, min(i.ord) OVER (PARTITION BY {}) - 1 AS first, {} AS key \
         FROM input i LEFT JOIN {} t ON {} WHERE {} ORDER BY i.ord",
        values.join(", "),
        arrays.join(", "),
        names.join(", "),
        same.join(", "),
        answer_key(key, "t"),
        table(collection),
        agree.join(" AND "),
        given.join(" AND "),
    ));
    Ok(b.finish("items.agreeing"))
}

/// Plans the read of items by their keys, in the order of the keys: one row with the column `items text`. Items that
/// the reader may not see are left out.
pub fn plan_read_ordered(
    keys: &[String],
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
) -> Result<Statement, Error> {
    check_collection(collection, reader.access, Action::Read)?;
    let key = key_field(collection)?;
    let mut b = Builder::default();
    let item = answer(query, collection, reader, SOURCE, &mut b)?;
    let list = b.bind(Binding::Texts(keys.iter().cloned().map(Some).collect()));
    let seen = and(reader.reach(collection, Action::Read, SOURCE, &mut b));
    b.push(&format!(
        "SELECT '[' || coalesce(string_agg(p.j::text, ',' ORDER BY p.ord), '') || ']' AS items FROM (\
         SELECT {item} AS j, w.ord AS ord FROM unnest({list}::text[]) WITH ORDINALITY AS w(k, ord) \
         JOIN {} {SOURCE} ON {SOURCE}.{} = w.k::{}{seen}) p",
        table(collection),
        quote_identifier(&key.name),
        sql_type(key),
    ));
    Ok(b.finish("items.read_keys"))
}

#[cfg(test)]
mod tests;

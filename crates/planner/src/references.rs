//! Locking items that are to change or go, and finding those that refer to them.

use access::Action;
use model::{Collection, Error, Errors, Field, Filter, quote_identifier};

use crate::condition::still_fits;
use crate::keys::Keys;
use crate::read::{answer_key, key_field, table};
use crate::reader::Reader;
use crate::rights::{and, check_collection};
use crate::statement::{Builder, Statement};

/// Plans the lock of items that are to be deleted: rows of `key text`, of those that are there and still fit, sorted.
/// From then on nobody can refer to them anew.
pub fn plan_lock(
    keys: &[String],
    filter: Option<&Filter>,
    collection: &Collection,
    reader: Reader<'_>,
) -> Result<Statement, Errors> {
    check_collection(collection, reader.access, Action::Delete)?;
    let key = key_field(collection)?;
    let mut b = Builder::default();
    let fits = still_fits(filter, (collection, Action::Delete), reader, &mut b)?;
    let keys = Keys::bind(keys, key, &mut b);
    let column = quote_identifier(&key.name);
    b.push(&format!(
        "SELECT {} AS key FROM (SELECT t.* FROM {} t WHERE {}{fits} ORDER BY t.{column} FOR UPDATE) o",
        answer_key(key, "o"),
        table(collection),
        keys.hold(&format!("t.{column}")),
    ));
    Ok(b.finish("items.lock"))
}

/// A reference between two collections, by its columns.
#[derive(Debug, Clone, Copy)]
pub struct Reference<'a> {
    /// Holds it.
    pub many: &'a Collection,
    /// Column that holds it.
    pub column: &'a str,
    /// Is referred to.
    pub one: &'a Collection,
    /// Column that is referred to.
    pub target: &'a str,
}

/// Plans the look-up of the items that refer to these, and locks them: rows of `key text`, sorted.
pub fn plan_referring(reference: &Reference<'_>, keys: &[String]) -> Result<Statement, Error> {
    let (one_key, many_key) = (key_field(reference.one)?, key_field(reference.many)?);
    let mut b = Builder::default();
    let keys = Keys::bind(keys, one_key, &mut b);
    b.push(&format!(
        "SELECT {} AS key FROM {} ORDER BY m.{} FOR UPDATE OF m",
        answer_key(many_key, "m"),
        referring(reference, &keys, one_key),
        quote_identifier(&many_key.name),
    ));
    Ok(b.finish("items.referring"))
}

/// What stands behind FROM when items `m` that refer to items `o` with these keys are looked for.
pub(crate) fn referring(reference: &Reference<'_>, keys: &Keys, one_key: &Field) -> String {
    let Reference { many, column, one, target } = reference;
    format!(
        "{} m JOIN {} o ON m.{} = o.{} WHERE {}",
        table(many),
        table(one),
        quote_identifier(column),
        quote_identifier(target),
        keys.hold(&format!("o.{}", quote_identifier(&one_key.name))),
    )
}

/// Plans the look-up of those of some items that are there, and locks them: rows of `key text`, sorted. Whether an item
/// is there is asked for nobody's eyes: what may be done to it is asked where it is done.
pub fn plan_present(keys: &[String], collection: &Collection) -> Result<Statement, Error> {
    let key = key_field(collection)?;
    let mut b = Builder::default();
    let keys = Keys::bind(keys, key, &mut b);
    let column = quote_identifier(&key.name);
    b.push(&format!(
        "SELECT {} AS key FROM {} t WHERE {} ORDER BY t.{column} FOR UPDATE",
        answer_key(key, "t"),
        table(collection),
        keys.hold(&format!("t.{column}")),
    ));
    Ok(b.finish("items.present"))
}

/// Plans the look-up of the items that refer to some by a field, as far as he who asks may see them, and locks them:
/// rows of `key text`, `parent text` and `place text` (the value of the field that orders them, if there is one), sorted.
pub fn plan_children(
    many: &Collection,
    (by, sort_field): (&str, Option<&str>),
    parents: &[String],
    reader: Reader<'_>,
) -> Result<Statement, Error> {
    let key = key_field(many)?;
    let by = many.field(by).ok_or_else(Error::internal)?;
    let mut b = Builder::default();
    let parents = Keys::bind(parents, by, &mut b);
    let seen = and(reader.reach(many, Action::Read, "t", &mut b));
    let place = sort_field.and_then(|name| many.field(name));
    let place = place.map_or_else(|| "NULL::text".to_owned(), |field| answer_key(field, "t"));
    b.push(&format!(
        "SELECT {} AS key, {} AS parent, {place} AS place FROM {} t WHERE {}{seen} ORDER BY t.{} FOR UPDATE OF t",
        answer_key(key, "t"),
        answer_key(by, "t"),
        table(many),
        parents.hold(&format!("t.{}", quote_identifier(&by.name))),
        quote_identifier(&key.name),
    ));
    Ok(b.finish("items.children"))
}

//! Saved versions: an item read as a version would have it, what a version may keep, and by what is told whether the
//! item has moved on.

use access::Action;
use model::{Collection, Error, Errors, Field, Schema, quote_identifier};
use query::Query;
use serde_json::value::RawValue;

use crate::column::{json_row, sql_type};
use crate::nested::{each_within, nests};
use crate::payload::Payload;
use crate::read::{SOURCE, answer_key, key_field, read_one, table};
use crate::reader::Reader;
use crate::rights::{and, check_collection};
use crate::statement::{Binding, Builder, Statement};
use crate::value::{parse_key, payload_text};

/// What a concealed value reads as; sent back it means: as it is.
const MASK: &str = "\"**********\"";

/// The changes that a version may keep: values that fit their fields, and items within the item as they are sent. What an
/// update would not write is left out. They may be unfinished: null in a field that must be given is found when they are
/// written to the item, as is what is wrong with the values of items within it.
///
/// # Errors
/// 400 for values that don't fit, for lists of items that have no meaning, and for secrets, at any depth: they would stand
/// there in the open.
pub fn check_draft(draft: &Payload, collection: &Collection, schema: &Schema) -> Result<Payload, Errors> {
    let mut checked = Payload::default();
    let mut failures = Vec::new();
    for (name, _) in draft.iter() {
        let (Some(field), Some(raw)) = (collection.field(name), draft.get(name)) else { continue };
        match keeps(draft, (field, raw), collection, schema) {
            Ok(true) => checked.put(name, raw),
            Ok(false) => {}
            Err(error) => failures.push(error),
        }
    }
    failures.dedup();
    if failures.is_empty() { Ok(checked) } else { Err(Errors(failures)) }
}

fn keeps(
    draft: &Payload,
    (field, raw): (&Field, &RawValue),
    collection: &Collection,
    schema: &Schema,
) -> Result<bool, Error> {
    if field.generated || field.name == collection.primary_key {
        return Ok(false);
    }
    if nests(field, raw) {
        each_within(draft, (collection, field), schema, &|item, of| without_secrets(item, of, schema))?;
        return Ok(true);
    }
    if !field.is_stored() {
        return Ok(false);
    }
    if field.is_concealed() {
        return match raw.get() {
            MASK => Ok(false),
            "null" => Ok(true),
            _ => Err(concealed(field)),
        };
    }
    payload_text(raw, field, &collection.name).map(|_| true)
}

/// An item within another, with all that is within it, holds no secret.
fn without_secrets(item: &Payload, collection: &Collection, schema: &Schema) -> Result<(), Error> {
    let fields = item.iter().filter_map(|(name, raw)| Some((collection.field(name)?, raw)));
    for (field, raw) in fields {
        if field.is_concealed() && !matches!(raw.get(), MASK | "null") {
            return Err(concealed(field));
        }
        each_within(item, (collection, field), schema, &|item, of| without_secrets(item, of, schema))?;
    }
    Ok(())
}

fn concealed(field: &Field) -> Error {
    let reason = format!("\"{}\" is concealed, and a version can't keep it", field.name);
    Error::invalid_payload(reason).with("field", field.name.as_str())
}

/// Plans the read of one item as a version would have it: as [`plan_read_one`](crate::plan_read_one), of the item with
/// the values that the version keeps. Who may not see the item itself does not see its version. `delta` holds values of
/// its own only: what is within the item has been written when it is read.
///
/// # Errors
/// As of a read; 400 when the version keeps what no longer fits its field.
pub fn plan_read_version(
    key: &str,
    delta: &Payload,
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
) -> Result<Statement, Errors> {
    check_collection(collection, reader.access, Action::Read)?;
    let mut b = Builder::default();
    let view = overlaid(key, delta, collection, reader, &mut b)?;
    let shown = Collection { view: Some(view), ..collection.clone() };
    let query = Query { version: None, version_raw: false, ..query.clone() };
    Ok(read_one(&query, &shown, reader, b)?.of(key, collection)?)
}

/// A sub-select of the one item, with the values that the version keeps in place of its own.
fn overlaid(
    key: &str,
    delta: &Payload,
    collection: &Collection,
    reader: Reader<'_>,
    b: &mut Builder,
) -> Result<String, Errors> {
    let mut columns = Vec::with_capacity(collection.fields.len());
    for field in collection.fields.iter().filter(|field| field.is_stored()) {
        let name = quote_identifier(&field.name);
        let own = field.generated || field.is_concealed() || field.name == collection.primary_key;
        columns.push(match delta.get(&field.name).filter(|_| !own) {
            Some(raw) => {
                let text = b.bind(Binding::Text(payload_text(raw, field, &collection.name)?));
                // The whole type, as the column would hold the value: texts that are too long were refused.
                format!("{text}::text::{} AS {name}", field.column_type)
            }
            // What the item itself does not show is not shown because of what its version says.
            None if reader.access.allows_field(&collection.name, &field.name, Action::Read) => {
                format!("{} AS {name}", reader.column(field, collection, SOURCE, b))
            }
            None => format!("{SOURCE}.{name}"),
        });
    }
    let key_field = key_field(collection)?;
    let bound = b.bind(Binding::Text(Some(parse_key(key, key_field)?)));
    let seen = and(reader.reach(collection, Action::Read, SOURCE, b));
    Ok(format!(
        "(SELECT {} FROM {} {SOURCE} WHERE {SOURCE}.{} = {bound}::text::{}{seen})",
        columns.join(", "),
        table(collection),
        quote_identifier(&key_field.name),
        sql_type(key_field),
    ))
}

/// Plans the look at what items are like: rows of `key text` and `hash text`. Equal hashes mean that no field has
/// changed but those whose values are concealed.
pub fn plan_hashes(keys: &[String], collection: &Collection) -> Result<Statement, Error> {
    let key = key_field(collection)?;
    let mut b = Builder::default();
    let list = b.bind(Binding::Texts(keys.iter().cloned().map(Some).collect()));
    let stored = collection.fields.iter().filter(|field| field.is_stored());
    b.push(&format!(
        "SELECT {} AS key, encode(sha256(convert_to({}::text, 'UTF8')), 'hex') AS hash FROM {} {SOURCE} \
         WHERE {SOURCE}.{} = ANY({list}::text[]::{}[])",
        answer_key(key, SOURCE),
        json_row(stored, SOURCE),
        table(collection),
        quote_identifier(&key.name),
        sql_type(key),
    ));
    Ok(b.finish("items.hashes"))
}

/// Plans the look-up of the versions of items, and locks them: rows of `key text`, sorted. `versions` is the collection
/// that they stand in.
pub fn plan_versions_of(
    keys: &[String],
    collection: &Collection,
    versions: &Collection,
) -> Result<Statement, Error> {
    let key = key_field(versions)?;
    let mut b = Builder::default();
    let from = versions_of(keys, collection, versions, &mut b);
    b.push(&format!(
        "SELECT {} AS key FROM {from} ORDER BY m.{} FOR UPDATE",
        answer_key(key, "m"),
        quote_identifier(&key.name),
    ));
    Ok(b.finish("items.versions"))
}

/// What stands behind FROM when versions `m` of items are looked for.
pub(crate) fn versions_of(
    keys: &[String],
    collection: &Collection,
    versions: &Collection,
    b: &mut Builder,
) -> String {
    let name = b.bind(Binding::Text(Some(collection.name.clone())));
    let list = b.bind(Binding::Texts(keys.iter().cloned().map(Some).collect()));
    format!(
        "{} m WHERE m.\"collection\" = {name}::text AND m.\"item\" = ANY({list}::text[])",
        table(versions)
    )
}

#[cfg(test)]
mod tests {
    use access::{Access, Action, Fields, Rule};
    use model::{ErrorCode, Errors, Filter, Operator};

    use super::{check_draft, plan_hashes, plan_read_version, plan_versions_of};
    use crate::shape::tests::articles;
    use crate::snapshots::{admin, query, shown};
    use crate::{Payload, Reader, parse_payloads};

    fn payload(body: &str) -> Payload {
        parse_payloads(body.as_bytes()).unwrap().0.remove(0)
    }

    fn checked(body: &str) -> Result<String, Errors> {
        check_draft(&payload(body), &articles(), admin().schema)
            .map(|draft| serde_json::to_string(&draft).unwrap())
    }

    #[test]
    fn drafts_keep_what_fits() {
        let body = r#"{"id":9,"title":"a","price":1.10,"title":null,"nope":1,"token":"**********"}"#;
        assert_eq!(checked(body).unwrap(), r#"{"title":null,"price":1.10}"#);
        for wrong in [r#"{"words":"x"}"#, r#"{"token":"secret"}"#, r#"{"words":1.5,"price":"x"}"#] {
            checked(wrong).unwrap_err();
        }
        assert_eq!(checked(r#"{"token":null}"#).unwrap(), r#"{"token":null}"#);
    }

    #[test]
    fn a_version_stands_in_the_place_of_its_item() {
        let delta = payload(r#"{"title":"it's","price":"2.5","token":"x","id":3,"_user":"u"}"#);
        let read =
            |text: &str| shown(&plan_read_version("7", &delta, &query(text), &articles(), admin()).unwrap());
        insta::assert_snapshot!(read("fields=id,title,price,token"));
        insta::assert_snapshot!(read("fields=id&filter[title][_eq]=x&version=d"));
        let stale = payload(r#"{"words":"x"}"#);
        plan_read_version("7", &stale, &query(""), &articles(), admin()).unwrap_err();
    }

    /// A rule holds for the item as it is and for what is shown: a version neither opens an item nor shows what its item
    /// would not.
    #[test]
    fn rules_hold_for_the_item_and_for_its_version() {
        let published = Filter::Compare {
            field: "status".to_owned(),
            function: None,
            operator: Operator::Eq,
            value: "published".into(),
        };
        let fields = Fields::Named(["id", "title", "status"].map(str::to_owned).into_iter().collect());
        let rule = Rule::new("articles", Action::Read, Some(published), fields);
        let access = Access::by([rule.clone()]);
        let reader = Reader { access: &access, ..admin() };
        let delta = payload(r#"{"status":"published","price":"2.5"}"#);
        let read = |text: &str| plan_read_version("7", &delta, &query(text), &articles(), reader);
        insta::assert_snapshot!(shown(&read("").unwrap()));
        assert_eq!(read("fields=price").unwrap_err().0[0].code, ErrorCode::Forbidden);
        let some = Rule {
            items: None,
            fields: Fields::Named(["id".to_owned()].into_iter().collect()),
            ..rule.clone()
        };
        let access = Access::by([rule, some]);
        let reader = Reader { access: &access, ..admin() };
        let masked = plan_read_version("7", &delta, &query("fields=id,title"), &articles(), reader).unwrap();
        insta::assert_snapshot!(shown(&masked));
    }

    #[test]
    fn hashes_and_versions_are_found_by_keys() {
        let mut versions = articles();
        versions.name = "directus_versions".to_owned();
        insta::assert_snapshot!(shown(&plan_hashes(&["1".to_owned()], &articles()).unwrap()));
        insta::assert_snapshot!(shown(&plan_versions_of(&["1".to_owned()], &articles(), &versions).unwrap()));
    }
}

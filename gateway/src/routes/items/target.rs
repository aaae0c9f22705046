//! Which items a body means: `{keys}`, `{query}`, or an array. Payloads are cut out of the body, not copied.

use std::collections::BTreeMap;

use bytes::Bytes;
use model::Error;
use proto::items::v1::update_items_request::Target;
use proto::items::v1::{Keys, delete_items_request};
use query::{Export, Query};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::body::JsonBody;
use crate::read_query::Wanted;

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    keys: Option<&'a RawValue>,
    #[serde(borrow)]
    query: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// What a DELETE of many means.
///
/// # Errors
/// 400 when it means nothing, or two things.
pub fn delete(body: &JsonBody) -> Result<delete_items_request::Target, Error> {
    if body.is_array() {
        let list: Vec<&RawValue> =
            serde_json::from_slice(&body.0).map_err(|error| Error::invalid_payload(error.to_string()))?;
        return Ok(delete_items_request::Target::Keys(keys(&list)?));
    }
    Ok(match which(&body.parse()?)? {
        Which::Keys(keys) => delete_items_request::Target::Keys(keys),
        Which::Matching(query) => delete_items_request::Target::Matching(query),
    })
}

/// What a PATCH of a collection means.
#[derive(Debug)]
pub struct Update {
    /// Which items; `None` when only a singleton can be meant.
    pub target: Option<Target>,
    /// Their changes.
    pub payload: Bytes,
    /// The changes if it is a singleton.
    pub singleton: Option<Bytes>,
}

/// What a PATCH of a collection means.
///
/// # Errors
/// 400 when it means two things.
pub fn update(body: &JsonBody) -> Result<Update, Error> {
    let whole = body.0.clone();
    if body.is_array() {
        return Ok(Update { target: Some(Target::Each(true)), payload: whole, singleton: None });
    }
    let batch: Batch = body.parse()?;
    if batch.keys.is_none() && batch.query.is_none() {
        return Ok(Update { target: None, payload: whole.clone(), singleton: Some(whole) });
    }
    let which = which(&batch)?;
    let payload = batch.data.ok_or_else(|| Error::invalid_payload("\"data\" is required"))?;
    if !payload.get().starts_with('{') {
        return Err(Error::invalid_payload("\"data\" must be of type object"));
    }
    let payload = body.0.slice_ref(payload.get().as_bytes());
    let target = match which {
        Which::Keys(keys) => Target::Keys(keys),
        Which::Matching(query) => Target::Matching(query),
    };
    Ok(Update { target: Some(target), payload, singleton: Some(whole) })
}

/// What a SEARCH asks for.
#[derive(Debug, Default)]
pub struct Search {
    /// What its query wants.
    pub wanted: Option<Wanted>,
    /// What it is limited to.
    pub keys: Option<Keys>,
}

/// What a SEARCH asks for; of an empty body nothing.
///
/// # Errors
/// 400, for members that it does not have too.
pub fn search(body: &JsonBody) -> Result<Search, Error> {
    if body.is_array() {
        return Err(Error::invalid_payload("\"value\" must be of type object"));
    }
    let members: BTreeMap<String, &RawValue> = body.parse()?;
    let mut search = Search::default();
    for (name, value) in members {
        let text = value.get();
        match name.as_str() {
            "query" if text.starts_with('{') => {
                search.wanted =
                    Some(Wanted::new(&Query::from_json_text(text)?, Export::from_json_text(text)?));
            }
            "query" => return Err(Error::invalid_payload("\"query\" must be of type object")),
            "keys" => search.keys = Some(listed(value)?),
            _ => return Err(Error::invalid_payload(format!("\"{name}\" is not allowed"))),
        }
    }
    Ok(search)
}

/// The member `keys`.
fn listed(raw: &RawValue) -> Result<Keys, Error> {
    let list: Vec<&RawValue> =
        serde_json::from_str(raw.get()).map_err(|_| Error::invalid_payload("\"keys\" must be an array"))?;
    if let Some(place) = list.iter().position(|raw| raw.get() == "\"\"") {
        return Err(Error::invalid_payload(format!("\"keys[{place}]\" is not allowed to be empty")));
    }
    keys(&list)
}

enum Which {
    Keys(Keys),
    Matching(Bytes),
}

fn which(batch: &Batch) -> Result<Which, Error> {
    match (batch.keys, batch.query) {
        (Some(raw), None) => listed(raw).map(Which::Keys),
        (None, Some(query)) => Ok(Which::Matching(Query::from_json_text(query.get())?.to_bytes().into())),
        (None, None) => Err(Error::invalid_payload("\"value\" must contain at least one of [query, keys]")),
        (Some(_), Some(_)) => {
            Err(Error::invalid_payload("\"value\" contains a conflict between exclusive peers [query, keys]"))
        }
    }
}

/// Keys as text, whatever their type; long numbers keep their digits.
fn keys(list: &[&RawValue]) -> Result<Keys, Error> {
    let key = |raw: &&RawValue| match raw.get().as_bytes().first() {
        Some(b'"') => serde_json::from_str(raw.get()).ok(),
        Some(b'-' | b'0'..=b'9') => Some(raw.get().to_owned()),
        _ => None,
    };
    let keys: Option<Vec<String>> = list.iter().map(key).collect();
    let keys = keys.ok_or_else(|| Error::invalid_payload("A key must be a string or a number"))?;
    Ok(Keys { keys })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{delete, search, update};
    use crate::body::JsonBody;

    fn body(text: &'static str) -> JsonBody {
        JsonBody(Bytes::from_static(text.as_bytes()))
    }

    fn deleted(text: &'static str) -> String {
        format!("{:?}", delete(&body(text)).map_err(|error| error.message))
    }

    fn updated(text: &'static str) -> String {
        let pair = |update: super::Update| (update.target, update.payload);
        format!("{:?}", update(&body(text)).map(pair).map_err(|error| error.message))
    }

    #[test]
    fn deletes() {
        insta::assert_snapshot!(deleted(r#"[1,"a",9007199254740993]"#), @r#"Ok(Keys(Keys { keys: ["1", "a", "9007199254740993"] }))"#);
        insta::assert_snapshot!(deleted(r#"{"keys":["\u0061"]}"#), @r#"Ok(Keys(Keys { keys: ["a"] }))"#);
        insta::assert_snapshot!(deleted(r#"{"query":{"filter":{"id":1}}}"#), @r#"Ok(Matching(b"{\"filter\":{\"compare\":{\"field\":\"id\",\"operator\":\"_eq\",\"value\":1}}}"))"#);
        insta::assert_snapshot!(deleted("{}"), @r#"Err("Invalid payload. \"value\" must contain at least one of [query, keys].")"#);
        insta::assert_snapshot!(deleted(r#"{"keys":[1],"query":{}}"#), @r#"Err("Invalid payload. \"value\" contains a conflict between exclusive peers [query, keys].")"#);
        insta::assert_snapshot!(deleted("[null]"), @r#"Err("Invalid payload. A key must be a string or a number.")"#);
        insta::assert_snapshot!(deleted("[{}]"), @r#"Err("Invalid payload. A key must be a string or a number.")"#);
        insta::assert_snapshot!(deleted(r#"{"keys":5}"#), @r#"Err("Invalid payload. \"keys\" must be an array.")"#);
        insta::assert_snapshot!(deleted(r#"{"query":{"limit":-7}}"#), @r#"Err("Invalid query. \"limit\" must be greater than or equal to -1.")"#);
    }

    #[test]
    fn updates() {
        insta::assert_snapshot!(updated(r#"[{"id":1,"a":2}]"#), @r#"Ok((Some(Each(true)), b"[{\"id\":1,\"a\":2}]"))"#);
        insta::assert_snapshot!(updated(r#"{"keys":[1],"data":{"a":1.50}}"#), @r#"Ok((Some(Keys(Keys { keys: ["1"] })), b"{\"a\":1.50}"))"#);
        insta::assert_snapshot!(updated(r#"{"keys":[1]}"#), @r#"Err("Invalid payload. \"data\" is required.")"#);
        insta::assert_snapshot!(updated(r#"{"keys":[1],"data":[]}"#), @r#"Err("Invalid payload. \"data\" must be of type object.")"#);
        insta::assert_snapshot!(updated(r#"{"title":"x"}"#), @r#"Ok((None, b"{\"title\":\"x\"}"))"#);
    }

    #[test]
    fn searches() {
        let asked = search(&body(r#"{"query":{"limit":1}}"#)).unwrap();
        assert_eq!((&asked.wanted.unwrap().query[..], asked.keys), (&br#"{"limit":1}"#[..], None));
        let asked = search(&body(r#"{"keys":[1,"a"]}"#)).unwrap();
        assert!(asked.wanted.is_none());
        assert_eq!(asked.keys.unwrap().keys, ["1", "a"]);
        let wanted = search(&body(r#"{"query":{"limit":-1,"export":"xml"}}"#)).unwrap().wanted.unwrap();
        assert!(wanted.many && wanted.export.is_some());
        for wrong in [
            "[1]",
            r#"{"query":{"export":"pdf"}}"#,
            r#"{"query":null}"#,
            r#"{"keys":1}"#,
            r#"{"keys":null}"#,
            r#"{"limit":1}"#,
        ] {
            assert!(search(&body(wrong)).is_err(), "{wrong}");
        }
    }
}

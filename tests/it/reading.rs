//! The query language beside the original: thousands of recorded requests with the answers of Directus 11.17.4.
//!
//! What differs is listed by request and class in the fixture's `differences.tsv`, and explained in its README: a
//! request that differs and is not listed fails the test, as does one that is listed and no longer differs. With
//! EVENTUS_TEST_RECORD=1 the list is written anew instead. Exports are compared byte by byte, in `export`.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};

use super::takeover::{self, restore};
use crate::api::{Answer, Api};
use crate::world::{Options, World};

pub const FIXTURE: &str = "directus-11.17.4-reading";
/// The collection that has a field of XML.
pub const WITH_XML: &str = "natives";

/// A request and what the original answered to it.
#[derive(Deserialize)]
struct Recorded {
    id: String,
    method: String,
    path: String,
    #[serde(default)]
    body: Option<Value>,
    #[serde(default)]
    raw: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    status: u16,
    /// Items with equal sort keys came in another order in another run.
    #[serde(default)]
    ties: bool,
    answer: String,
}

impl Recorded {
    /// The collection's name stands in the request.
    fn is_about(&self, collection: &str) -> bool {
        let body = self.body.as_ref().map(Value::to_string).unwrap_or_default();
        [&self.path, &body, self.raw.as_ref().unwrap_or(&self.path)]
            .iter()
            .any(|text| text.contains(collection))
    }
}

/// Lists without their order.
fn unordered(value: Value) -> Value {
    match value {
        Value::Array(list) => {
            let mut list: Vec<Value> = list.into_iter().map(unordered).collect();
            list.sort_by_cached_key(Value::to_string);
            Value::Array(list)
        }
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (name, unordered(value))).collect())
        }
        other => other,
    }
}

/// Evens out what is known to differ wherever it comes up: when a user was seen, and the item of a many-to-any that
/// the original leaves out where the key of its collection is not called `id`.
fn even_out(theirs: &mut Value, ours: &mut Value) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            if ours.get("item").is_some_and(Value::is_string) && !theirs.contains_key("item") {
                ours.remove("item");
            }
            for (name, theirs) in theirs.iter_mut() {
                match ours.get_mut(name) {
                    Some(ours) if name == "last_access" => *ours = theirs.clone(),
                    Some(ours) => even_out(theirs, ours),
                    None => {}
                }
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            theirs.iter_mut().zip(ours).for_each(|(theirs, ours)| even_out(theirs, ours));
        }
        _ => {}
    }
}

/// The class of a difference; nothing when there is none.
fn difference(recorded: &Recorded, ours: &Answer) -> Option<String> {
    let theirs =
        Answer { status: recorded.status, headers: ours.headers.clone(), text: recorded.answer.clone() };
    let category = recorded.id.split('-').next().unwrap_or_default();
    match (theirs.status, ours.status) {
        // What the original fails on says nothing about us, but that we must not.
        (500, 500) => Some("ours fails".to_owned()),
        (500, _) => None,
        (200, 200) => {
            let (mut a, mut b) = (theirs.json(), ours.json());
            even_out(&mut a, &mut b);
            if a.is_null() || b.is_null() {
                return (theirs.text != ours.text).then(|| format!("{category}: text"));
            }
            let same = a == b;
            let order = !same && unordered(a) == unordered(b);
            match (same, order, recorded.ties) {
                (true, ..) | (_, true, true) => None,
                (_, true, false) => Some(format!("{category}: order")),
                _ => Some(format!("{category}: data")),
            }
        }
        (a, b) if a == b && theirs.code() == ours.code() => None,
        (a, b) => Some(format!("{category}: {a} {} > {b} {}", theirs.code(), ours.code())),
    }
}

async fn asked(api: &Api, recorded: &Recorded) -> Option<(String, String)> {
    let method = Method::from_bytes(recorded.method.as_bytes()).unwrap();
    let body = recorded.raw.clone().or_else(|| recorded.body.as_ref().map(Value::to_string));
    let mut headers: Vec<(&str, &str)> =
        recorded.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    if body.is_some() && !recorded.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("content-type", "application/json"));
    }
    let api = match recorded.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization")) {
        true => api.with_token(None),
        false => api.clone(),
    };
    let ours = match api.raw(method, &recorded.path, &headers, body.unwrap_or_default()).await {
        Ok(ours) => ours,
        Err(error) => return Some((recorded.id.clone(), format!("no request: {error}"))),
    };
    difference(recorded, &ours).map(|class| (recorded.id.clone(), class))
}

#[expect(clippy::disallowed_methods, reason = "it decides about the run, not about the product")]
fn is_recording() -> bool {
    std::env::var_os("EVENTUS_TEST_RECORD").is_some()
}

/// A difference that is known: its class, and why it is there.
#[derive(Default)]
struct Known {
    class: String,
    reason: String,
}

fn listed(name: &str) -> BTreeMap<String, Known> {
    let text = std::fs::read_to_string(restore::file(FIXTURE, name)).unwrap_or_default();
    let one = |line: &str| {
        let mut parts = line.split('\t').map(str::to_owned);
        let (id, class) = (parts.next()?, parts.next()?);
        Some((id, Known { class, reason: parts.next().unwrap_or_default() }))
    };
    text.lines().filter_map(one).collect()
}

#[tokio::test]
async fn answers_are_those_of_the_original() {
    let world = takeover::over(FIXTURE).await;
    compare(&world, "answers.jsonl.gz", "differences.tsv").await;
}

/// The same where the limits are set to 5 items by default, 20 at most, and paths of 3 names.
#[tokio::test]
async fn limits_are_those_of_the_original() {
    let options = Options::default()
        .set("QUERY_LIMIT_DEFAULT", "5")
        .set("QUERY_LIMIT_MAX", "20")
        .set("MAX_RELATIONAL_DEPTH", "3");
    let world = takeover::over_with(FIXTURE, options).await;
    compare(&world, "limits.jsonl.gz", "differences-limits.tsv").await;
    let info = world.api.get("/server/info").await.expect(200).data();
    assert_eq!(info["queryLimit"], serde_json::json!({"default": 5, "max": 20}));
}

/// Asks all requests of a file; what is answered otherwise must be listed.
async fn compare(world: &World, answers: &str, differences: &str) {
    let text = restore::unzipped(FIXTURE, answers);
    let mut recorded: Vec<Recorded> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The original has no such route; here it writes.
    recorded.retain(|each| each.method != "PUT");
    if !has_xml(world).await {
        recorded.retain(|each| !each.is_about(WITH_XML));
    }
    let api = &world.api;
    let asked = futures_util::stream::iter(&recorded).map(|each| asked(api, each)).buffer_unordered(8);
    let found: BTreeMap<String, String> = asked.filter_map(std::future::ready).collect().await;
    let compared = recorded.iter().filter(|each| each.status != 500).count();
    println!("{} of {compared} are equal", compared - found.len());
    settle(&found, &recorded.iter().map(|each| each.id.as_str()).collect(), differences);
}

/// The fixture's one field of XML was restored as such.
pub async fn has_xml(world: &World) -> bool {
    let mut connection = PgConnection::connect(&world.database.url).await.unwrap();
    restore::has_xml(&mut connection).await
}

/// The differences are those that are listed, no more and no fewer.
pub fn settle(found: &BTreeMap<String, String>, asked: &BTreeSet<&str>, name: &str) {
    let listed = listed(name);
    if is_recording() {
        let line = |(id, class): (&String, &String)| match listed.get(id) {
            Some(known) if !known.reason.is_empty() => format!("{id}\t{class}\t{}\n", known.reason),
            _ => format!("{id}\t{class}\n"),
        };
        let lines: String = found.iter().map(line).collect();
        std::fs::write(restore::file(FIXTURE, name), lines).unwrap();
        return;
    }
    let is_listed =
        |(id, class): &(&String, &String)| listed.get(*id).is_some_and(|one| one.class == **class);
    let new: Vec<_> = found.iter().filter(|one| !is_listed(one)).collect();
    let was_asked = |id: &String| asked.contains(id.as_str());
    let gone: Vec<_> = listed.keys().filter(|id| was_asked(id) && !found.contains_key(*id)).collect();
    assert!(new.is_empty() && gone.is_empty(), "differ anew: {new:#?}\ndiffer no longer: {gone:#?}");
}

/// Each difference has a reason, and the fixture's README says what it means.
#[test]
fn differences_are_explained() {
    let readme = std::fs::read_to_string(restore::file(FIXTURE, "README.md")).unwrap();
    for (id, Known { reason, .. }) in listed("differences.tsv") {
        assert!(
            readme.contains(&format!("| {reason} |")),
            "{id} has no reason that is explained: {reason:?}"
        );
    }
}

/// The comparison itself sees what it is there for.
#[test]
fn seeded_differences_are_found() {
    let recorded = |status: u16, answer: &str, ties: bool| Recorded {
        id: "x-1".to_owned(),
        method: "GET".to_owned(),
        path: "/".to_owned(),
        body: None,
        raw: None,
        headers: BTreeMap::new(),
        status,
        ties,
        answer: answer.to_owned(),
    };
    let ours =
        |status: u16, text: &str| Answer { status, headers: http::HeaderMap::new(), text: text.to_owned() };
    let two = r#"{"data":[{"id":1},{"id":2}]}"#;
    let code = |code: &str| format!(r#"{{"errors":[{{"extensions":{{"code":"{code}"}}}}]}}"#);
    for (theirs, mine, expected) in [
        (recorded(200, two, false), ours(200, two), None),
        (recorded(200, two, false), ours(200, r#"{"data":[{"id":2},{"id":1}]}"#), Some("x: order")),
        (recorded(200, two, true), ours(200, r#"{"data":[{"id":2},{"id":1}]}"#), None),
        (recorded(200, two, true), ours(200, r#"{"data":[{"id":2},{"id":3}]}"#), Some("x: data")),
        (recorded(200, two, false), ours(200, r#"{"data":[{"id":"1"},{"id":2}]}"#), Some("x: data")),
        (recorded(200, two, false), ours(200, r#"{"data":[{"id":1}]}"#), Some("x: data")),
        (
            recorded(200, r#"{"data":[{},{"item":1}]}"#, false),
            ours(200, r#"{"data":[{"item":"a"},{"item":1}]}"#),
            None,
        ),
        (
            recorded(200, r#"{"data":[{},{"item":1}]}"#, false),
            ours(200, r#"{"data":[{"item":"a"},{"item":"1"}]}"#),
            Some("x: data"),
        ),
        (recorded(200, "a,b", false), ours(200, "a,c"), Some("x: text")),
        (recorded(400, &code("A"), false), ours(400, &code("A")), None),
        (recorded(400, &code("A"), false), ours(400, &code("B")), Some("x: 400 A > 400 B")),
        (recorded(200, two, false), ours(403, &code("B")), Some("x: 200  > 403 B")),
        (recorded(500, "", false), ours(400, &code("B")), None),
        (recorded(500, "", false), ours(500, ""), Some("ours fails")),
    ] {
        assert_eq!(difference(&theirs, &mine).as_deref(), expected, "{} {}", theirs.answer, mine.text);
    }
}

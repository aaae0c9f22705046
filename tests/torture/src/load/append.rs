//! Appends to lists: reads one with its version, and writes it longer by one, if it still has that version.

use std::time::Duration;

use http::Method;
use serde_json::json;

use super::{LISTS, Shared};
use crate::records::{Append, Outcome};
use crate::rng::Rng;

pub async fn run(shared: Shared, number: usize, think: Duration) {
    let mut rng = Rng::of(shared.seed, &format!("appends {number}"));
    let mut count = 0;
    while !shared.over() {
        let list = format!("l{}", rng.below(LISTS));
        if let Some((values, tag)) = look(&shared, &mut rng, &list).await {
            count += 1;
            append(&shared, &mut rng, &list, values, &tag, format!("a{number}-{count}")).await;
        }
        tokio::time::sleep(rng.between(think / 2, think * 3 / 2)).await;
    }
}

/// A list as it is, and the tag of its version.
async fn look(shared: &Shared, rng: &mut Rng, list: &str) -> Option<(Vec<String>, String)> {
    let begun = shared.history.now();
    let path = format!("/items/lists/{list}");
    let answer = shared.ground.http.ask(rng.below(2), Method::GET, &path, &[], None).await?;
    if answer.status != 200 {
        return None;
    }
    let values: Vec<String> = serde_json::from_value(answer.data()["values"].take()).ok()?;
    let tag = answer.header("etag")?.to_owned();
    note(shared, list, begun, values.clone(), None, Outcome::Ok);
    Some((values, tag))
}

async fn append(
    shared: &Shared,
    rng: &mut Rng,
    list: &str,
    mut values: Vec<String>,
    tag: &str,
    element: String,
) {
    values.push(element.clone());
    let begun = shared.history.now();
    let headers = [("if-match", tag), ("x-request-id", element.as_str())];
    let (path, body) = (format!("/items/lists/{list}"), json!({"values": values}));
    let answer = shared.ground.http.ask(rng.below(2), Method::PATCH, &path, &headers, Some(&body)).await;
    let outcome = match answer.map(|answer| answer.status) {
        Some(200) => Outcome::Ok,
        Some(408) | None => Outcome::Unknown,
        Some(status @ 400..500) => Outcome::Fail(status),
        Some(_) => Outcome::Unknown,
    };
    note(shared, list, begun, values, Some(element), outcome);
}

fn note(
    shared: &Shared,
    list: &str,
    begun: u64,
    values: Vec<String>,
    element: Option<String>,
    outcome: Outcome,
) {
    let ended = shared.history.now();
    let append = Append { list: list.to_owned(), begun, ended, values, element, outcome };
    // A look is known by what it saw; the file needs its length only.
    shared.history.note(
        "list",
        &json!({"list": append.list, "begun": begun, "length": append.values.len(), "element": append.element, "outcome": outcome}),
    );
    shared.history.records().appends.push(append);
}

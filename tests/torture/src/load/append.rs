//! Appends to lists: reads one with its version, and writes it longer by one, if it still has that version.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Method;
use serde_json::json;

use super::{LISTS, Shared};
use crate::records::{Append, Outcome, digest};
use crate::rng::Rng;

/// Appends until the clients go over to the next list.
const LENGTH: usize = 60;
/// Lists that are appended to at a time.
const FOUGHT_FOR: usize = 3;

pub async fn run(shared: Shared, number: usize, think: Duration) {
    let mut rng = Rng::of(shared.seed, &format!("appends {number}"));
    let mut count = 0;
    while !shared.over() {
        // A few lists at a time, so that they are fought for and stay short.
        let first = shared.appended.load(Ordering::Relaxed) / LENGTH;
        let list = format!("l{}", (first + rng.below(FOUGHT_FOR)) % LISTS);
        if let Some((values, tag)) = look(&shared, &mut rng, &list).await {
            count += 1;
            append(&shared, &mut rng, &list, values, &tag, format!("a{number}-{count}")).await;
            shared.appended.fetch_add(1, Ordering::Relaxed);
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
    note(shared, list, begun, &values, None, Outcome::Ok);
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
    note(shared, list, begun, &values, Some(element), outcome);
}

fn note(
    shared: &Shared,
    list: &str,
    begun: u64,
    values: &[String],
    element: Option<String>,
    outcome: Outcome,
) {
    let (length, digest, ended) = (values.len(), digest(values), shared.history.now());
    let append = Append { list: list.to_owned(), begun, ended, length, digest, element, outcome };
    shared.history.note("list", &append);
    shared.history.records().appends.push(append);
}

//! A writer: sends, tries again where it has a key for that, and notes what it knows in the end.

use std::time::Duration;

use super::operation::{Operation, Writer};
use super::{Shared, trace};
use crate::http::Answer;
use crate::records::{Outcome, Write};
use crate::rng::Rng;

/// Tries of a write under a key.
const TRIES: u32 = 8;

pub async fn run(shared: Shared, number: usize, think: Duration) {
    let name = format!("t{number}");
    let mut writer = Writer::new(Rng::of(shared.seed, &name), name);
    let mut rng = Rng::of(shared.seed, &format!("manner of {number}"));
    while !shared.over() {
        let (token, operation) = writer.next();
        let keyed = rng.chance(50);
        let write = send(&shared, &mut rng, token, &operation, keyed).await;
        shared.history.note("write", &write);
        shared.history.records().writes.push(write);
        tokio::time::sleep(rng.between(think / 2, think * 3 / 2)).await;
    }
}

async fn send(shared: &Shared, rng: &mut Rng, token: String, operation: &Operation, keyed: bool) -> Write {
    let traceparent = format!("00-{}-00f067aa0ba902b7-01", trace(shared.seed, &token));
    let mut headers = vec![("x-request-id", token.as_str()), ("traceparent", traceparent.as_str())];
    if operation.method == http::Method::DELETE {
        // Else the deletion of what is not there is a success as well.
        headers.push(("if-match", "*"));
    }
    if keyed {
        headers.push(("idempotency-key", token.as_str()));
    }
    let begun = shared.history.now();
    let (mut attempts, mut doubt, mut changes) = (0, false, operation.changes.clone());
    let (outcome, version) = loop {
        attempts += 1;
        let gateway = rng.below(2);
        let Operation { method, path, body, .. } = operation;
        let answer = shared.ground.http.ask(gateway, method.clone(), path, &headers, body.as_ref()).await;
        match judge(answer.as_ref()) {
            Outcome::Ok => {
                changes = operation.happened(answer.as_ref());
                let again = keyed && rng.chance(8);
                if again && let Some(first) = &answer {
                    repeat(shared, rng, operation, &headers, first).await;
                }
                let one = changes.len() == 1;
                break (Outcome::Ok, answer.filter(|_| one).and_then(|answer| answer.version()));
            }
            Outcome::Fail(409) if keyed => {}
            Outcome::Fail(_) if doubt => break (Outcome::Unknown, None),
            Outcome::Fail(status) => break (Outcome::Fail(status), None),
            Outcome::Unknown => doubt = true,
        }
        if !keyed || attempts >= TRIES {
            break (Outcome::Unknown, None);
        }
        tokio::time::sleep(Duration::from_millis(200 * u64::from(attempts))).await;
    };
    let whole = operation.whole;
    Write { token, changes, whole, keyed, attempts, begun, ended: shared.history.now(), outcome, version }
}

/// What an answer says of the write. After an outage (503) nobody knows; a refusal is one.
fn judge(answer: Option<&Answer>) -> Outcome {
    match answer.map(|answer| answer.status) {
        Some(200..300) => Outcome::Ok,
        // A statement that took too long was cancelled; whether in time, nobody says.
        Some(408) => Outcome::Unknown,
        Some(status @ 400..500) => Outcome::Fail(status),
        _ => Outcome::Unknown,
    }
}

/// Sends an answered write once more under its key, as who has lost the answer: it must be the same.
async fn repeat(
    shared: &Shared,
    rng: &mut Rng,
    operation: &Operation,
    headers: &[(&str, &str)],
    first: &Answer,
) {
    let Operation { method, path, body, .. } = operation;
    let Some(again) =
        shared.ground.http.ask(rng.below(2), method.clone(), path, headers, body.as_ref()).await
    else {
        return;
    };
    let same = (again.status, &again.text) == (first.status, &first.text);
    let outage = again.status >= 500;
    let replayed = same && again.header("idempotency-replayed") == Some("true");
    if !outage && !replayed {
        let told = format!("{method} {path} under {}: {} then {}", headers[0].1, first.status, again.status);
        shared.history.records().found.push(("I18", told));
    }
}

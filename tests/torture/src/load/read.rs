//! A reader: one item that everybody writes, through any gateway.

use std::time::Duration;

use http::Method;

use super::{HOT, Shared};
use crate::records::Read;
use crate::rng::Rng;

pub async fn run(shared: Shared, number: usize, think: Duration) {
    let mut rng = Rng::of(shared.seed, &format!("reads {number}"));
    while !shared.over() {
        let key = format!("h{}", rng.below(HOT));
        let begun = shared.history.now();
        let path = format!("/items/things/{key}?fields=id,token");
        let answer = shared.ground.http.ask(rng.below(2), Method::GET, &path, &[], None).await;
        // Missing and forbidden are not told apart: 403 is an answer about the item.
        let answer = answer.filter(|answer| matches!(answer.status, 200 | 403));
        if let Some(answer) = answer {
            let version = answer.version().filter(|_| answer.status == 200);
            let read = Read { key, begun, ended: shared.history.now(), version };
            shared.history.records().reads.push(read);
        }
        tokio::time::sleep(rng.between(think / 4, think)).await;
    }
}

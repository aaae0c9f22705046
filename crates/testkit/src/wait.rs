//! Waiting for a condition, with a deadline. Tests never sleep for luck.

use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Waits until `condition` holds; panics when it does not within `deadline`.
#[track_caller]
pub fn eventually<C, F>(deadline: Duration, mut condition: C) -> impl Future<Output = ()>
where
    C: FnMut() -> F,
    F: Future<Output = bool>,
{
    let place = std::panic::Location::caller();
    async move {
        let found = look(deadline, || {
            let answer = condition();
            async move { answer.await.then_some(()) }
        });
        assert!(found.await.is_some(), "{place}: not within {deadline:?}");
    }
}

/// Waits until `look` finds something, and returns it; panics when it does not within `deadline`.
#[track_caller]
pub fn eventually_some<C, F, T>(deadline: Duration, condition: C) -> impl Future<Output = T>
where
    C: FnMut() -> F,
    F: Future<Output = Option<T>>,
{
    let place = std::panic::Location::caller();
    async move {
        let found = look(deadline, condition).await;
        found.unwrap_or_else(|| panic!("{place}: not within {deadline:?}"))
    }
}

async fn look<C, F, T>(deadline: Duration, mut condition: C) -> Option<T>
where
    C: FnMut() -> F,
    F: Future<Output = Option<T>>,
{
    let end = Instant::now() + deadline;
    loop {
        // One more look after the deadline: the last pause must not decide.
        let late = Instant::now() >= end;
        if let Some(found) = condition().await {
            return Some(found);
        }
        if late {
            return None;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

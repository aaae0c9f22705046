//! Receivers outside the fleet: of webhooks and of purges. They write down what came and what they said to it, and
//! answer badly when they are told to.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use testkit::{Recorded, Sink};

use crate::plan::Answer;

/// A receiver.
pub struct Receiver {
    /// The server.
    pub sink: Sink,
    told: Arc<Mutex<Told>>,
}

#[derive(Default)]
struct Told {
    wrong: Option<Answer>,
    /// The status of each answer, by the request's number.
    statuses: Vec<u16>,
}

/// A request and the status of its answer.
pub struct Receipt {
    /// What came.
    pub request: Recorded,
    /// What was said.
    pub status: u16,
}

impl Receiver {
    /// One that answers well.
    pub async fn start() -> Self {
        let sink = Sink::start().await;
        let told: Arc<Mutex<Told>> = Arc::default();
        let script = Arc::clone(&told);
        sink.answer(move |_, _| {
            let mut told = script.lock().unwrap_or_else(PoisonError::into_inner);
            let (status, delay) = match told.wrong {
                Some(Answer::Late { ms }) => (200, Duration::from_millis(ms)),
                Some(Answer::Status(status)) => (status, Duration::ZERO),
                Some(Answer::Garbage) | None => (200, Duration::ZERO),
            };
            told.statuses.push(status);
            testkit::Answer::status(status).after(delay)
        });
        Self { sink, told }
    }

    /// From now on it answers like this; well, when there is none.
    pub fn set(&self, wrong: Option<Answer>) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).wrong = wrong;
    }

    /// All that came.
    pub fn receipts(&self) -> Vec<Receipt> {
        let requests = self.sink.requests();
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        requests
            .into_iter()
            .zip(&told.statuses)
            .map(|(request, status)| Receipt { request, status: *status })
            .collect()
    }
}

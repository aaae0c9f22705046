//! Action hook `poisoned`, in builds for the torture harness only: it can't stand items of the collection `poisons`.

use model::Event;
use sqlx::PgConnection;

use crate::hook::ActionHook;

/// Panics.
#[derive(Debug, Clone, Copy)]
pub struct Poisoned;

#[tonic::async_trait]
impl ActionHook for Poisoned {
    fn name(&self) -> &'static str {
        "poisoned"
    }

    fn patterns(&self) -> &[&str] {
        &["items.create"]
    }

    async fn run(&self, events: &[&Event], _conn: &mut PgConnection) -> Result<(), bus::Failure> {
        match events.iter().find(|event| event.collection == "poisons") {
            Some(event) => panic!("poisoned by {}", event.key),
            None => Ok(()),
        }
    }
}

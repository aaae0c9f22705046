//! Action hook `log_change`: one structured log line per committed change of an item.
//!
//! Values stay out of the log; whoever may read them finds them under the position.

use model::Event;
use sqlx::PgConnection;

use crate::hook::ActionHook;

/// Writes a line to the target `hooks::log_change` at level info.
#[derive(Debug, Clone, Copy)]
pub struct LogChange;

#[tonic::async_trait]
impl ActionHook for LogChange {
    fn name(&self) -> &'static str {
        "log_change"
    }

    fn patterns(&self) -> &[&str] {
        &["items.*"]
    }

    async fn run(&self, events: &[&Event], _conn: &mut PgConnection) -> Result<(), bus::Failure> {
        for event in events {
            tracing::info!(
                target: "hooks::log_change",
                event = %event.name,
                event_id = %event.id,
                position = event.position,
                collection = event.collection,
                key = event.key,
                version = event.version,
                user = event.user.map(tracing::field::display),
                fields = event.fields.as_ref().map(|fields| tracing::field::display(fields.join(","))),
                trace_id = event.traceparent.as_ref().map(model::TraceParent::trace_id),
                "item changed"
            );
        }
        Ok(())
    }
}

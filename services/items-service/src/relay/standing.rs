//! What operators see of the relay in the process that holds it. Undone when the work ends, however it ends.

use chassis::Component;
use chassis::metrics::{self, IntGauge};

use crate::Error;

/// The lease is held as long as this lives.
pub(super) struct Standing {
    component: Component,
    holder: IntGauge,
    stalled: IntGauge,
}

impl Standing {
    pub(super) fn begin(component: Component) -> Self {
        let holder = metrics::gauge("eventus_relay_holder", "1 where the relay runs.", &[]);
        let help = "1 where the relay stands still until an operator has looked at log and stream.";
        let stalled = metrics::gauge("eventus_relay_stalled", help, &[]);
        let standing = Self {
            component,
            holder: holder.with_label_values::<&str>(&[]),
            stalled: stalled.with_label_values::<&str>(&[]),
        };
        standing.holder.set(1);
        standing.relaying();
        standing
    }

    /// Log and stream don't belong together: nothing is published before somebody has decided.
    pub(super) fn stalled(&self, error: &Error) {
        tracing::error!(%error, "the relay stands still");
        self.stalled.set(1);
        self.component.warn(format!("the relay stands still: {error}"));
    }

    /// It goes on.
    pub(super) fn relaying(&self) {
        self.stalled.set(0);
        self.component.up();
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.holder.set(0);
        self.relaying();
    }
}

//! What every event of one write shares.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::once::Once;
use crate::statement::{Binding, Builder};

/// Who writes, in what request, because of what, and when.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// The user, also for `user-created` and `user-updated`.
    pub user: Option<Uuid>,
    /// His role, also for `role-created` and `role-updated`.
    pub role: Option<Uuid>,
    /// Client address.
    pub ip: Option<String>,
    /// Client's `User-Agent`.
    pub user_agent: Option<String>,
    /// Client's `Origin`.
    pub origin: Option<String>,
    /// Request that asks for the write.
    pub request_id: Option<String>,
    /// Trace of the write.
    pub traceparent: Option<String>,
    /// Event that caused it.
    pub causation_id: Option<Uuid>,
    /// Length of the chain of causes.
    pub depth: i16,
    /// Shared by all events of the write.
    pub batch_id: Uuid,
    /// Place in the batch of the first event that a statement appends, from 0.
    pub first_index: usize,
    /// Hooks, flows and webhooks are to skip it.
    pub silent: bool,
    /// The instant for `date-created` and `date-updated`.
    pub now: OffsetDateTime,
    /// The one statement is the whole write, and keeps its answer under this key.
    pub once: Option<Once>,
}

impl Stamp {
    /// Columns of `eventus.events` that this fills, in the order of [`Self::values`].
    pub(crate) const COLUMNS: &'static str = "\"user\", role, ip, user_agent, origin, request_id, traceparent, \
                                              causation_id, depth, batch_id, silent";

    /// Placeholders of [`Self::COLUMNS`], comma-separated.
    pub(crate) fn values(&self, builder: &mut Builder) -> String {
        let causation = format!("{}::uuid", builder.bind(Binding::Uuid(self.causation_id)));
        let depth = format!("{}::smallint", builder.bind(Binding::SmallInt(self.depth)));
        self.values_caused(&causation, &depth, builder)
    }

    /// The same with expressions for the cause and the length of the chain of causes.
    pub(crate) fn values_caused(&self, causation: &str, depth: &str, builder: &mut Builder) -> String {
        let text = |value: &Option<String>| Binding::Text(value.clone());
        let who = [
            (Binding::Uuid(self.user), "uuid"),
            (Binding::Uuid(self.role), "uuid"),
            (text(&self.ip), "text"),
            (text(&self.user_agent), "text"),
            (text(&self.origin), "text"),
            (text(&self.request_id), "text"),
            (text(&self.traceparent), "text"),
        ];
        let batch = [(Binding::Uuid(Some(self.batch_id)), "uuid"), (Binding::Bool(self.silent), "boolean")];
        let mut bound = |(binding, kind)| format!("{}::{kind}", builder.bind(binding));
        let who = who.map(&mut bound).join(", ");
        let batch = batch.map(&mut bound).join(", ");
        format!("{who}, {causation}, {depth}, {batch}")
    }

    /// The stamp of a later statement of the same write, so many events further.
    pub fn further(&self, events: usize) -> Self {
        Self { first_index: self.first_index + events, ..self.clone() }
    }

    /// The place in the batch of the event that stands at `ord`, from 1, among those of its statement.
    pub(crate) fn batch_index(&self, ord: &str, builder: &mut Builder) -> String {
        if self.first_index == 0 {
            return format!("({ord} - 1)::integer");
        }
        let first = i64::try_from(self.first_index).unwrap_or(i64::MAX);
        format!("({} + {ord} - 1)::integer", builder.bind(Binding::BigInt(first)))
    }

    /// The instant as text that PostgreSQL reads as timestamptz.
    pub(crate) fn now_text(&self) -> String {
        // RFC 3339 covers the years 0 to 9999, which a clock does not leave.
        self.now.format(&Rfc3339).unwrap_or_default()
    }
}

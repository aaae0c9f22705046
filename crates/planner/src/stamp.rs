//! What every event of one write shares.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::once::Once;
use crate::statement::{Binding, Builder};

/// What one of several requests says of itself whose writes are one statement.
#[derive(Debug, Clone)]
pub struct Asked {
    ip: Option<String>,
    user_agent: Option<String>,
    origin: Option<String>,
    request_id: Option<String>,
    traceparent: Option<String>,
    batch_id: Uuid,
}

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
    /// It is done by an API key with less than every right: nobody's way of coming in is changed by it.
    pub by_key: bool,
    /// The instant for `date-created` and `date-updated`.
    pub now: OffsetDateTime,
    /// The one statement is the whole write, and keeps its answer under this key.
    pub once: Option<Once>,
    /// The statement is the writes of several requests, each of one item, in the order of the items: each is a batch of
    /// its own. Nothing: it is of one request.
    pub each: Vec<Asked>,
}

impl Stamp {
    /// Columns of `eventus.events` that this fills, in the order of [`Self::values`].
    pub(crate) const COLUMNS: &'static str = "\"user\", role, ip, user_agent, origin, request_id, traceparent, \
                                              causation_id, depth, batch_id, silent";

    /// One stamp for the writes of several requests, each of one item: what they share is the first one's.
    pub fn together(stamps: &[Self]) -> Option<Self> {
        let [first, rest @ ..] = stamps else { return None };
        if rest.is_empty() {
            return Some(first.clone());
        }
        Some(Self { each: stamps.iter().map(Self::asked).collect(), ..first.clone() })
    }

    fn asked(&self) -> Asked {
        let Self { ip, user_agent, origin, request_id, traceparent, batch_id, .. } = self.clone();
        Asked { ip, user_agent, origin, request_id, traceparent, batch_id }
    }

    /// Placeholders of [`Self::COLUMNS`], comma-separated, for the event that stands at `ord`, from 1.
    pub(crate) fn values(&self, ord: &str, builder: &mut Builder) -> String {
        let causation = format!("{}::uuid", builder.bind(Binding::Uuid(self.causation_id)));
        let depth = format!("{}::smallint", builder.bind(Binding::SmallInt(self.depth)));
        self.values_caused((&causation, &depth), ord, builder)
    }

    /// The same with expressions for the cause and the length of the chain of causes.
    pub(crate) fn values_caused(
        &self,
        (causation, depth): (&str, &str),
        ord: &str,
        builder: &mut Builder,
    ) -> String {
        let mut user = |id| format!("{}::uuid", builder.bind(Binding::Uuid(id)));
        let who = [user(self.user), user(self.role)].join(", ");
        let asked = self.asked();
        let mut text = |of: &dyn Fn(&Asked) -> &Option<String>| match self.each.as_slice() {
            [] => format!("{}::text", builder.bind(Binding::Text(of(&asked).clone()))),
            each => {
                let all = Binding::Texts(each.iter().map(|asked| of(asked).clone()).collect());
                format!("({}::text[])[{ord}]", builder.bind(all))
            }
        };
        let request = [
            text(&|asked| &asked.ip),
            text(&|asked| &asked.user_agent),
            text(&|asked| &asked.origin),
            text(&|asked| &asked.request_id),
            text(&|asked| &asked.traceparent),
        ];
        let batch = match self.each.as_slice() {
            [] => format!("{}::uuid", builder.bind(Binding::Uuid(Some(self.batch_id)))),
            each => {
                let all = Binding::Uuids(each.iter().map(|asked| asked.batch_id).collect());
                format!("({}::uuid[])[{ord}]", builder.bind(all))
            }
        };
        let silent = format!("{}::boolean", builder.bind(Binding::Bool(self.silent)));
        format!("{who}, {}, {causation}, {depth}, {batch}, {silent}", request.join(", "))
    }

    /// The stamp of a later statement of the same write, so many events further.
    pub fn further(&self, events: usize) -> Self {
        Self { first_index: self.first_index + events, ..self.clone() }
    }

    /// The place in the batch of the event that stands at `ord`, from 1, among those of its statement.
    pub(crate) fn batch_index(&self, ord: &str, builder: &mut Builder) -> String {
        if !self.each.is_empty() {
            return "0".to_owned();
        }
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

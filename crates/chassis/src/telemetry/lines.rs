//! Log lines on stderr, as JSON or for people; each carries the trace id of the work that wrote it.

use std::fmt::{Debug, Write as _};
use std::io::{IsTerminal as _, Write as _};
use std::sync::OnceLock;

use model::{Clock as _, SystemClock};
use serde_json::{Map, Value};
use time::format_description::well_known::Rfc3339;
use tracing::dispatcher::{Dispatch, WeakDispatch};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::LogStyle;

/// The layer that writes the lines.
#[derive(Debug)]
pub(super) struct Lines {
    style: LogStyle,
    colours: bool,
    write: fn(&[u8]),
    dispatch: OnceLock<WeakDispatch>,
}

impl Lines {
    /// To stderr; in colours on a terminal.
    pub(super) fn new(style: LogStyle) -> Self {
        // A log that can't be written must not stop the work.
        let write = |line: &[u8]| drop(std::io::stderr().lock().write_all(line));
        Self { style, colours: std::io::stderr().is_terminal(), write, dispatch: OnceLock::new() }
    }

    fn json(event: &Event<'_>, time: String, trace: Option<String>) -> String {
        let metadata = event.metadata();
        let mut line = Map::new();
        line.insert("time".to_owned(), time.into());
        line.insert("level".to_owned(), metadata.level().as_str().to_ascii_lowercase().into());
        line.insert("target".to_owned(), metadata.target().into());
        if let Some(trace) = trace {
            line.insert("trace_id".to_owned(), trace.into());
        }
        event.record(&mut Fields(&mut line));
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        text
    }

    fn pretty(&self, event: &Event<'_>, time: &str, trace: Option<String>) -> String {
        let metadata = event.metadata();
        let mut fields = Map::new();
        event.record(&mut Fields(&mut fields));
        let colour = match *metadata.level() {
            Level::ERROR => "31",
            Level::WARN => "33",
            Level::INFO => "32",
            _ => "2",
        };
        let level = metadata.level();
        let mut line = time.to_owned();
        // Writing to a String cannot fail.
        let _ = if self.colours {
            write!(line, " \x1b[{colour}m{level:>5}\x1b[0m \x1b[2m{}\x1b[0m:", metadata.target())
        } else {
            write!(line, " {level:>5} {}:", metadata.target())
        };
        if let Some(message) = fields.remove("message") {
            let _ = write!(line, " {}", plain(&message));
        }
        if let Some(trace) = trace {
            fields.insert("trace_id".to_owned(), trace.into());
        }
        for (name, value) in fields {
            let _ = write!(line, " {name}={}", plain(&value));
        }
        line.push('\n');
        line
    }
}

/// Text without quotes if it stays one word or a sentence on one line; control characters escaped.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if !text.chars().any(char::is_control) => text.clone(),
        Value::String(text) => text.escape_debug().to_string(),
        other => other.to_string(),
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let span = event.parent().and_then(|id| context.span(id)).or_else(|| context.lookup_current());
        let trace = span.and_then(|span| {
            let dispatch = self.dispatch.get()?.upgrade()?;
            Some(crate::trace::lookup(&span.id(), &dispatch)?.trace_id().to_string())
        });
        let time = SystemClock.now().format(&Rfc3339).unwrap_or_default();
        let line = match self.style {
            LogStyle::Json => Self::json(event, time, trace),
            LogStyle::Pretty => self.pretty(event, &time, trace),
        };
        (self.write)(line.as_bytes());
    }
}

/// Collects an event's fields as JSON values.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let causes = std::iter::successors(value.source(), |cause| cause.source());
        let text = causes.fold(value.to_string(), |text, cause| format!("{text}: {cause}"));
        self.0.insert(field.name().to_owned(), text.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, OnceLock};

    use serde_json::Value;
    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::{Lines, LogStyle};
    use crate::trace::{current, ids::IdsLayer};

    static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

    fn written(style: LogStyle, log: impl FnOnce()) -> String {
        let write = |line: &[u8]| WRITTEN.lock().unwrap().extend_from_slice(line);
        let lines = Lines { style, colours: false, write, dispatch: OnceLock::new() };
        tracing::subscriber::with_default(Registry::default().with(lines).with(IdsLayer), log);
        String::from_utf8(std::mem::take(&mut WRITTEN.lock().unwrap())).unwrap()
    }

    #[test]
    fn lines_carry_fields_and_trace() {
        let mut trace = String::new();
        let line = written(LogStyle::Json, || {
            tracing::info_span!("request").in_scope(|| {
                trace = current().unwrap().trace_id().to_owned();
                let cause = std::io::Error::other("boom");
                tracing::warn!(tries = 3, error = &cause as &dyn std::error::Error, "a\nb");
            });
        });
        assert_eq!(line.matches('\n').count(), 1, "one line");
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["level"], "warn");
        assert_eq!(line["message"], "a\nb");
        assert_eq!((&line["tries"], &line["error"]), (&Value::from(3), &Value::from("boom")));
        assert_eq!(line["trace_id"], trace);

        let line = written(LogStyle::Pretty, || tracing::info!(key = "v", "forged\n2026 line"));
        assert_eq!(line.matches('\n').count(), 1, "one line");
        assert!(line.contains(" INFO chassis::telemetry::lines::tests: forged\\n2026 line key=v"), "{line}");
        assert!(!line.contains("trace_id"));
    }
}

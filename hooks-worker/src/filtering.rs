//! Runs the filter hooks of one call, one after the other, within its deadline.
//!
//! Every way out but a full answer is an error for the caller: nothing passes a registered hook in silence.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use model::{Error, EventName};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use crate::hook::{FilterCall, FilterError, FilterHook};
use crate::metrics::{Kind, Metrics, Outcome};
use crate::registry::Registry;

/// The filter hooks of this process. Clones share them.
#[derive(Clone)]
pub(crate) struct Filtering {
    registry: Arc<Registry>,
    limit: Duration,
    metrics: Metrics,
}

type Entries = Option<Vec<Box<RawValue>>>;

impl Filtering {
    pub fn new(registry: Arc<Registry>, limit: Duration, metrics: Metrics) -> Self {
        Self { registry, limit, metrics }
    }

    /// The call's entries after the hooks that are registered for it. `named`: their names, as the database has
    /// them; during a roll-out another process may have registered a hook that this one does not have.
    /// `deadline`: what the caller allows, if he says so.
    ///
    /// # Errors
    /// A hook's refusal; SERVICE_UNAVAILABLE for an overrun or a hook that this process does not have;
    /// INTERNAL_SERVER_ERROR for a hook that is broken.
    pub async fn run(
        &self,
        mut call: FilterCall,
        named: &[String],
        deadline: Option<Duration>,
    ) -> Result<Vec<Box<RawValue>>, Error> {
        let until = Instant::now() + deadline.map_or(self.limit, |deadline| deadline.min(self.limit));
        for hook in self.hooks(&call.event, &call.collection, named)? {
            let span = tracing::info_span!("filter_hook", hook = hook.name(), collection = call.collection);
            if let Some(entries) = self.run_one(hook.as_ref(), &call, until).instrument(span).await? {
                call.entries = entries;
            }
        }
        Ok(call.entries)
    }

    fn hooks(
        &self,
        event: &EventName,
        collection: &str,
        named: &[String],
    ) -> Result<Vec<Arc<dyn FilterHook>>, Error> {
        let mut hooks = self.registry.filters_for(event, collection);
        let unknown = named.iter().find(|name| !hooks.iter().any(|hook| hook.name() == name.as_str()));
        hooks.retain(|hook| named.iter().any(|name| name == hook.name()));
        match unknown {
            Some(hook) => {
                tracing::warn!(hook, %event, collection, "a filter hook is registered that this process does not have");
                Err(Error::unavailable("hooks"))
            }
            None => Ok(hooks),
        }
    }

    async fn run_one(
        &self,
        hook: &dyn FilterHook,
        call: &FilterCall,
        until: Instant,
    ) -> Result<Entries, Error> {
        let begun = Instant::now();
        let caught = AssertUnwindSafe(hook.run(call)).catch_unwind();
        let (outcome, result) = match timeout_at(until, caught).await {
            Ok(Ok(Ok(entries))) => same_length(entries, call),
            Ok(Ok(Err(FilterError::Refused(error)))) => (Outcome::Refused, Err(error)),
            Ok(Ok(Err(FilterError::Broken(error)))) => {
                tracing::error!(hook = hook.name(), error = %error, "filter hook failed");
                (Outcome::Failed, Err(Error::internal()))
            }
            Ok(Err(_panic)) => {
                tracing::error!(hook = hook.name(), "filter hook panicked");
                (Outcome::Panicked, Err(Error::internal()))
            }
            Err(_elapsed) => {
                tracing::error!(hook = hook.name(), "filter hook overran the deadline");
                (Outcome::TimedOut, Err(Error::unavailable("hooks")))
            }
        };
        self.metrics.ran(Kind::Filter, hook.name(), outcome, begun.elapsed());
        result
    }
}

fn same_length(entries: Entries, call: &FilterCall) -> (Outcome, Result<Entries, Error>) {
    match &entries {
        Some(list) if list.len() != call.entries.len() => {
            tracing::error!(
                given = call.entries.len(),
                returned = list.len(),
                "filter hook changed the number of entries"
            );
            (Outcome::Failed, Err(Error::internal()))
        }
        _ => (Outcome::Ok, Ok(entries)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use model::{ErrorCode, EventName};
    use serde_json::value::{RawValue, to_raw_value};

    use super::Filtering;
    use crate::Registry;
    use crate::hook::{FilterCall, FilterError, FilterHook, Registration};
    use crate::metrics::Metrics;

    const LIMIT: Duration = Duration::from_millis(150);

    /// Appends its letter to each entry; does something else for some collections.
    struct Letter(&'static str, i32);

    #[tonic::async_trait]
    impl FilterHook for Letter {
        fn name(&self) -> &str {
            self.0
        }

        fn registrations(&self) -> Vec<Registration> {
            let one = |collection: &str| Registration {
                event: "items.create".to_owned(),
                collection: collection.to_owned(),
                priority: self.1,
            };
            vec![one("*")]
        }

        async fn run(&self, call: &FilterCall) -> Result<Option<Vec<Box<RawValue>>>, FilterError> {
            match call.collection.as_str() {
                "refuse" => return Err(FilterError::refused("No.")),
                "break" => return Err(FilterError::Broken("secret cause".into())),
                "panic" => panic!("on purpose"),
                "shrink" => return Ok(Some(Vec::new())),
                "hang" => std::future::pending().await,
                "same" => return Ok(None),
                _ => {}
            }
            let text = |raw: &RawValue| serde_json::from_str::<String>(raw.get()).unwrap();
            let longer = |raw: &RawValue| to_raw_value(&format!("{}{}", text(raw), self.0)).unwrap();
            Ok(Some(call.entries.iter().map(|raw| longer(raw)).collect()))
        }
    }

    async fn run(
        collection: &str,
        named: &[&str],
        deadline: Option<Duration>,
    ) -> Result<Vec<String>, model::Error> {
        let registry = Registry::new().filter(Letter("b", 2)).filter(Letter("a", 1));
        let filtering = Filtering::new(Arc::new(registry), LIMIT, Metrics::new());
        let call = FilterCall {
            event: EventName::new("items", "create"),
            collection: collection.to_owned(),
            keys: Vec::new(),
            entries: vec![to_raw_value("1").unwrap(), to_raw_value("2").unwrap()],
        };
        let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        let entries = filtering.run(call, &named, deadline).await?;
        Ok(entries.iter().map(|raw| serde_json::from_str(raw.get()).unwrap()).collect())
    }

    #[tokio::test]
    async fn each_hook_gets_what_the_one_before_returned() {
        assert_eq!(run("x", &["b", "a"], None).await.unwrap(), ["1ab", "2ab"]);
        assert_eq!(run("x", &["b"], None).await.unwrap(), ["1b", "2b"]);
        assert_eq!(run("x", &[], None).await.unwrap(), ["1", "2"], "no longer registered");
        assert_eq!(run("same", &["a", "b"], None).await.unwrap(), ["1", "2"]);
    }

    #[tokio::test]
    async fn nothing_passes_a_hook_in_silence() {
        for (collection, code) in [
            ("refuse", ErrorCode::FailedValidation),
            ("break", ErrorCode::Internal),
            ("panic", ErrorCode::Internal),
            ("shrink", ErrorCode::Internal),
            ("hang", ErrorCode::ServiceUnavailable),
        ] {
            let error = run(collection, &["a"], None).await.unwrap_err();
            assert_eq!(error.code, code, "{collection}");
            assert!(!error.message.contains("secret"), "{collection}");
        }
        for (collection, named) in [("x", "unknown"), ("directus_users", "a")] {
            let error = run(collection, &[named], None).await.unwrap_err();
            assert_eq!((error.code, error.retry_after), (ErrorCode::ServiceUnavailable, Some(1)));
        }
    }

    #[tokio::test]
    async fn the_shorter_of_both_deadlines_counts() {
        let short = Duration::from_millis(30);
        for (deadline, expected) in [(None, LIMIT), (Some(short), short), (Some(LIMIT * 1_000), LIMIT)] {
            let begun = tokio::time::Instant::now();
            run("hang", &["a"], deadline).await.unwrap_err();
            assert!(begun.elapsed() >= expected && begun.elapsed() < LIMIT * 100, "{:?}", begun.elapsed());
        }
        let begun = tokio::time::Instant::now();
        run("hang", &["a"], Some(short)).await.unwrap_err();
        assert!(begun.elapsed() < LIMIT, "the caller's deadline is shorter");
    }
}

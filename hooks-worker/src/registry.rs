//! The one registry of hooks, bundled and other ones alike.
//!
//! A new bundled hook is a file under `filters`, `actions` or `schedules` and one line in [`Registry::bundled`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::EventName;

use crate::actions::log_change::LogChange;
use crate::filters::derive_article::DeriveArticle;
use crate::hook::{ActionHook, FilterHook, Registration, ScheduleHook, doubled, fits};
use crate::schedules::prune::Prune;
use crate::scheduling::Schedule;
use crate::{Config, Error};

/// Hooks by kind, in the order in which they were added.
#[derive(Default)]
pub struct Registry {
    filters: Vec<Arc<dyn FilterHook>>,
    actions: Vec<Arc<dyn ActionHook>>,
    schedules: Vec<(Arc<dyn ScheduleHook>, Schedule)>,
    wrong: Vec<String>,
}

/// One row of `eventus.filter_registrations`; ordered as the table's key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub hook: String,
    pub event: String,
    pub collection: String,
    pub priority: i32,
}

impl Registry {
    /// Without hooks.
    pub fn new() -> Self {
        Self::default()
    }

    /// The hooks that come with Eventus.
    pub fn bundled(config: &Config) -> Self {
        let bundled = Self::new()
            .filter(DeriveArticle::new(config.derive_collections.clone()))
            .action(LogChange)
            .schedule(Prune::new(config.runs_retention));
        #[cfg(feature = "mutants")]
        let bundled = bundled.action(crate::actions::poisoned::Poisoned);
        bundled
    }

    /// One more filter hook.
    #[must_use]
    pub fn filter(mut self, hook: impl FilterHook + 'static) -> Self {
        self.filters.push(Arc::new(hook));
        self
    }

    /// One more action hook.
    #[must_use]
    pub fn action(mut self, hook: impl ActionHook + 'static) -> Self {
        self.actions.push(Arc::new(hook));
        self
    }

    /// One more schedule hook; its cron expression is read here.
    #[must_use]
    pub fn schedule(mut self, hook: impl ScheduleHook + 'static) -> Self {
        match Schedule::parse(hook.cron()) {
            Ok(schedule) => self.schedules.push((Arc::new(hook), schedule)),
            Err(error) => {
                self.wrong.push(format!("schedule hook {}: cron {:?}: {error}", hook.name(), hook.cron()));
            }
        }
        self
    }

    /// Refuses a set that can't work: doubled names, malformed events, patterns or cron expressions.
    ///
    /// # Errors
    /// [`Error::Registry`] with everything that is wrong.
    pub fn check(&self) -> Result<(), Error> {
        let mut wrong = self.wrong.clone();
        let mut one_kind = |kind: &str, names: &mut dyn Iterator<Item = &str>| {
            wrong.extend(doubled(names).into_iter().map(|name| format!("two {kind} hooks are named {name}")));
        };
        one_kind("filter", &mut self.filters.iter().map(|hook| hook.name()));
        one_kind("action", &mut self.actions.iter().map(|hook| hook.name()));
        one_kind("schedule", &mut self.schedules.iter().map(|(hook, _)| hook.name()));
        let events = self.filters.iter().flat_map(|hook| hook.registrations()).map(|one| one.event);
        wrong.extend(
            events
                .filter(|event| EventName::parse(event).is_none())
                .map(|event| format!("a filter hook registers the event {event:?}, which is no event name")),
        );
        for hook in &self.actions {
            let bad = hook.patterns().iter().filter(|pattern| {
                EventName::parse(&pattern.replace('*', "x")).is_none()
                    || subjects_of(pattern).next().is_none()
            });
            wrong
                .extend(bad.map(|pattern| format!("action hook {}: no event fits {pattern:?}", hook.name())));
        }
        if wrong.is_empty() { Ok(()) } else { Err(Error::Registry(wrong)) }
    }

    /// All registrations of filter hooks, sorted, one per key; of doubled ones the lowest priority counts.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows = BTreeMap::new();
        for hook in &self.filters {
            for Registration { event, collection, priority } in hook.registrations() {
                let kept = rows.entry((hook.name().to_owned(), event, collection)).or_insert(priority);
                *kept = priority.min(*kept);
            }
        }
        rows.into_iter()
            .map(|((hook, event, collection), priority)| Row { hook, event, collection, priority })
            .collect()
    }

    /// The filter hooks for an event of a collection: lowest priority first, equal ones by name, each once.
    pub(crate) fn filters_for(&self, event: &EventName, collection: &str) -> Vec<Arc<dyn FilterHook>> {
        let mut found: Vec<(i32, &Arc<dyn FilterHook>)> = self
            .filters
            .iter()
            .filter_map(|hook| Some((priority(&hook.registrations(), event, collection)?, hook)))
            .collect();
        found.sort_by(|a, b| (a.0, a.1.name()).cmp(&(b.0, b.1.name())));
        found.into_iter().map(|(_, hook)| hook.clone()).collect()
    }

    /// The action hooks, in the order in which they were added.
    pub(crate) fn actions(&self) -> &[Arc<dyn ActionHook>] {
        &self.actions
    }

    /// Subjects that carry all events that action hooks want, whole scopes at a time.
    pub(crate) fn subjects(&self) -> BTreeSet<&'static str> {
        self.actions
            .iter()
            .flat_map(|hook| hook.patterns())
            .flat_map(|pattern| subjects_of(pattern))
            .collect()
    }

    /// Any action hook wants this event.
    pub(crate) fn wants(&self, name: &EventName) -> bool {
        self.actions.iter().any(|hook| matches(hook.as_ref(), name))
    }

    /// The schedule hooks with their schedules.
    pub(crate) fn schedules(&self) -> &[(Arc<dyn ScheduleHook>, Schedule)] {
        &self.schedules
    }
}

/// Whether an action hook wants events of this name.
pub(crate) fn matches(hook: &dyn ActionHook, name: &EventName) -> bool {
    hook.patterns().iter().any(|pattern| fits(pattern, name))
}

/// Subjects of the stream that a pattern of event names may be found on.
fn subjects_of(pattern: &str) -> impl Iterator<Item = &'static str> {
    let scope = pattern.split('.').next().unwrap_or_default();
    let carries = move |subject: &&str| scope == "*" || subject.split('.').next() == Some(scope);
    bus::topology::SUBJECTS.iter().copied().filter(carries)
}

fn priority(registrations: &[Registration], event: &EventName, collection: &str) -> Option<i32> {
    let covers =
        |wanted: &str| wanted == collection || (wanted == "*" && !collection.starts_with("directus_"));
    registrations
        .iter()
        .filter(|one| one.event == event.as_str() && covers(&one.collection))
        .map(|one| one.priority)
        .min()
}

#[cfg(test)]
mod tests {
    use chassis::BoxError;
    use model::EventName;
    use serde_json::value::RawValue;

    use super::Registry;
    use crate::hook::{FilterCall, FilterError, FilterHook, Registration, ScheduleHook, Tick};
    use crate::{Config, Error};

    struct Named(&'static str, Vec<(&'static str, &'static str, i32)>);

    #[tonic::async_trait]
    impl FilterHook for Named {
        fn name(&self) -> &str {
            self.0
        }

        fn registrations(&self) -> Vec<Registration> {
            let one = |&(event, collection, priority): &(&str, &str, i32)| Registration {
                event: event.to_owned(),
                collection: collection.to_owned(),
                priority,
            };
            self.1.iter().map(one).collect()
        }

        async fn run(&self, _call: &FilterCall) -> Result<Option<Vec<Box<RawValue>>>, FilterError> {
            Ok(None)
        }
    }

    struct At(&'static str);

    #[tonic::async_trait]
    impl ScheduleHook for At {
        fn name(&self) -> &str {
            "at"
        }

        fn cron(&self) -> &str {
            self.0
        }

        async fn run(&self, _tick: &Tick) -> Result<(), BoxError> {
            Ok(())
        }
    }

    fn order(registry: &Registry, event: &str, collection: &str) -> Vec<String> {
        let name = EventName::parse(event).unwrap();
        registry.filters_for(&name, collection).iter().map(|hook| hook.name().to_owned()).collect()
    }

    #[test]
    fn hooks_run_by_priority_then_name() {
        let registry = Registry::new()
            .filter(Named("late", vec![("items.create", "*", 200)]))
            .filter(Named("b", vec![("items.create", "articles", 100)]))
            .filter(Named("a", vec![("items.create", "*", 100), ("items.create", "articles", 150)]))
            .filter(Named("first", vec![("items.create", "articles", -1), ("items.update", "articles", 1)]));
        registry.check().unwrap();
        assert_eq!(order(&registry, "items.create", "articles"), ["first", "a", "b", "late"]);
        assert_eq!(order(&registry, "items.create", "pages"), ["a", "late"]);
        assert_eq!(order(&registry, "items.update", "articles"), ["first"]);
        assert!(order(&registry, "items.create", "directus_users").is_empty(), "* means user collections");
        assert!(order(&registry, "items.delete", "articles").is_empty());
    }

    #[test]
    fn rows_are_sorted_and_single() {
        let registry = Registry::new()
            .filter(Named(
                "b",
                vec![("items.update", "x", 5), ("items.create", "x", 5), ("items.create", "x", 3)],
            ))
            .filter(Named("a", vec![("items.create", "*", 100)]));
        let rows: Vec<_> = registry
            .rows()
            .into_iter()
            .map(|row| format!("{} {} {} {}", row.hook, row.event, row.collection, row.priority))
            .collect();
        assert_eq!(rows, ["a items.create * 100", "b items.create x 3", "b items.update x 5"]);
    }

    #[test]
    fn a_set_that_cannot_work_is_refused() {
        let registry = Registry::new()
            .filter(Named("a", vec![("items", "*", 1)]))
            .filter(Named("a", vec![]))
            .schedule(At("not cron"))
            .schedule(At("* * * * *"));
        let Err(Error::Registry(wrong)) = registry.check() else { panic!("accepted") };
        assert_eq!(wrong.len(), 3, "{wrong:?}");
    }

    #[test]
    fn the_bundled_set_works_and_registers_nothing_by_default() {
        let registry = Registry::bundled(&Config::default());
        registry.check().unwrap();
        assert!(registry.rows().is_empty());
        assert_eq!((registry.actions().len(), registry.schedules().len()), (1, 1));
    }
}

//! Plans that were made before: a query that comes again is neither parsed nor planned.
//!
//! They belong to one snapshot and go with it, so no plan outlives the schema it was made for. A plan is found again by
//! the bytes of its query and by equal access; one that holds anything of the one who asked is found by him alone, and
//! one that holds the time is never kept. What was not asked for lately goes when the room is used up.

mod generations;

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use access::Access;
use bytes::Bytes;
use chassis::metrics::{self, IntCounter};
use planner::{Binding, ReadOne, ReadPlan, Statement, Variables};
use query::Meta;

use generations::{Entry, Generations};

/// A plan that takes more bytes is not kept.
const LARGEST: usize = 256 * 1024;
/// What a plan takes beside its texts, about.
const OVERHEAD: usize = 512;

/// What a plan answers.
#[derive(Debug)]
pub enum Plan {
    /// A list.
    List(ListPlan),
    /// One item.
    One(ReadOne),
}

/// How to answer a list.
#[derive(Debug)]
pub struct ListPlan {
    /// The plan.
    pub plan: ReadPlan,
    /// Counts beside it.
    pub meta: Meta,
    /// There may be too many items for one document.
    pub is_large: bool,
}

impl Plan {
    /// Its statement, without a key.
    fn statement(&self) -> &Statement {
        match self {
            Self::List(list) => &list.plan.statement,
            Self::One(plan) => plan.keyless(),
        }
    }
}

/// A plan, and what was found out about it since.
#[derive(Debug)]
pub struct Kept {
    /// The plan.
    pub plan: Plan,
    /// Collections that it reads, once somebody wanted to know.
    pub collections: OnceLock<Vec<String>>,
}

/// A plan to be run.
#[derive(Debug, Clone)]
pub struct Ready {
    /// The plan.
    pub kept: Arc<Kept>,
    /// Its text was run before: it is worth a prepared statement. Texts that come once would push out the others.
    pub prepared: bool,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// One item, or a list.
    pub one: bool,
    /// Of which collection.
    pub collection: &'a str,
    /// The query's canonical bytes.
    pub query: &'a Bytes,
    /// What the one who asks may do.
    pub access: &'a Access,
    /// Who he is.
    pub variables: &'a Variables,
}

/// The plans of a snapshot.
#[derive(Debug, Default)]
pub struct Plans(Mutex<Generations>);

impl Plans {
    /// The plan for what is asked: the one that is kept, or the one that `make` makes, if it makes any.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn of<E>(
        &self,
        asked: &Asked<'_>,
        make: impl FnOnce() -> Result<Option<Plan>, E>,
    ) -> Result<Option<Ready>, E> {
        let hash = hash(&(asked.one, asked.collection, &asked.query[..]));
        if let Some(kept) = self.generations(|generations| generations.find(hash, asked)) {
            METRICS.hits.inc();
            return Ok(Some(Ready { kept, prepared: true }));
        }
        METRICS.misses.inc();
        let Some(plan) = make()? else { return Ok(None) };
        let statement = plan.statement();
        let (uses, weight) = (statement.uses, weight(statement) + asked.query.len());
        let text = self::hash(&*statement.sql);
        let kept = Arc::new(Kept { plan, collections: OnceLock::new() });
        let prepared = self.generations(|generations| {
            if !uses.now && weight <= LARGEST {
                let caller = uses.caller.then(|| asked.variables.clone());
                generations.put(hash, Entry::new(asked, caller, weight, Arc::clone(&kept)));
            }
            generations.texts.seen(text)
        });
        Ok(Some(Ready { kept, prepared }))
    }

    fn generations<T>(&self, act: impl FnOnce(&mut Generations) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn hash(what: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

fn weight(statement: &Statement) -> usize {
    OVERHEAD + statement.sql.len() + statement.bindings.iter().map(Binding::weight).sum::<usize>()
}

struct Metrics {
    hits: IntCounter,
    misses: IntCounter,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(|| {
    let help = "Queries whose plan was kept from before (hit) or had to be made (miss).";
    let plans = metrics::counter("eventus_plans_total", help, &["outcome"]);
    Metrics { hits: plans.with_label_values(&["hit"]), misses: plans.with_label_values(&["miss"]) }
});

#[cfg(test)]
mod tests;

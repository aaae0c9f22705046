//! Reads that take long are told: of which collection, and what the plan looks like. Never with a value.

use std::time::Duration;

use model::Collection;
use planner::Reader;

use super::read::query;

/// One line for one read.
pub fn tell(statement: &str, took: Duration, bytes: &[u8], collection: &Collection, reader: Reader<'_>) {
    let plan = planner::tree(&query(bytes).unwrap_or_default(), collection, reader).shape;
    tracing::warn!(
        collection = collection.name,
        statement,
        milliseconds = took.as_secs_f64() * 1_000.0,
        %plan,
        "slow query"
    );
}

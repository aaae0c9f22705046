//! Changes sorted into what one statement can make, and those statements.

use std::borrow::Cow;
use std::collections::HashMap;

use model::{Collection, Error, Errors, Filter};
use planner::{Payload, Reader, Stamp, Statement, UpdateChange};
use query::Query;
use sqlx::PgConnection;

use super::super::write::{CHUNK, Written};
use crate::execute;
use crate::failure::Failure;
use crate::state::State;

/// Changes that one statement can make: the same fields for all keys.
pub struct Group {
    /// Distinct.
    pub keys: Vec<String>,
    /// One for all, or one per key.
    pub payloads: Vec<Payload>,
}

/// Changes that name the same fields go together; a key that comes twice goes into a later statement.
pub fn groups(keys: &[String], payloads: Vec<Payload>, each: bool) -> Vec<Group> {
    if !each {
        let groups = keys.chunks(CHUNK).map(|keys| Group { keys: keys.to_vec(), payloads: payloads.clone() });
        return groups.collect();
    }
    let mut rounds: HashMap<&str, usize> = HashMap::new();
    let mut order: Vec<(usize, Vec<String>)> = Vec::new();
    let mut groups: HashMap<(usize, Vec<String>), Group> = HashMap::new();
    for (key, payload) in keys.iter().zip(payloads) {
        let round = rounds.entry(key).and_modify(|round| *round += 1).or_insert(0);
        let mut names: Vec<String> = payload.iter().map(|(name, _)| name.to_owned()).collect();
        names.sort();
        names.dedup();
        let kind = (*round, names);
        let group = groups.entry(kind.clone()).or_insert_with(|| {
            order.push(kind);
            Group { keys: Vec::new(), payloads: Vec::new() }
        });
        group.keys.push(key.clone());
        group.payloads.push(payload);
    }
    order.sort_by_key(|(round, _)| *round);
    let mut sorted = Vec::with_capacity(order.len());
    for kind in order {
        if let Some(group) = groups.remove(&kind) {
            let keys = group.keys.chunks(CHUNK);
            let payloads = group.payloads.chunks(CHUNK);
            sorted.extend(keys.zip(payloads).map(|(k, p)| Group { keys: k.to_vec(), payloads: p.to_vec() }));
        }
    }
    sorted
}

/// The statements of these groups in their order; none for those that change nothing.
pub fn statements(
    state: &State,
    groups: &[Group],
    filter: Option<&Filter>,
    query: &Query,
    collection: &Collection,
    reader: Reader<'_>,
    stamp: &Stamp,
) -> Result<Vec<Statement>, Errors> {
    let mut statements = Vec::with_capacity(groups.len());
    let mut untouched = Vec::new();
    let mut stamp = Cow::Borrowed(stamp);
    for group in groups {
        match statement(state, group, filter, query, (collection, reader), &stamp)? {
            Some(statement) => statements.push(statement),
            None => untouched.extend_from_slice(&group.keys),
        }
        stamp = Cow::Owned(stamp.further(group.keys.len()));
    }
    if !statements.is_empty() && !untouched.is_empty() {
        // They are part of the answer, and of what he must be allowed to change.
        statements.push(planner::plan_untouched(&untouched, collection, reader)?);
    }
    Ok(statements)
}

fn statement(
    state: &State,
    Group { keys, payloads }: &Group,
    filter: Option<&Filter>,
    query: &Query,
    (collection, reader): (&Collection, Reader<'_>),
    stamp: &Stamp,
) -> Result<Option<Statement>, Errors> {
    let event_ids: Vec<_> = keys.iter().map(|_| state.ids.ordered()).collect();
    let change = UpdateChange { keys, payloads, event_ids: &event_ids, filter };
    planner::plan_update(&change, query, collection, reader, stamp)
}

/// Changes items in a transaction that does more than that. One that is out of reach takes all of it back. Whether
/// anything that is stored was to be changed; the stamp goes on to what follows.
pub async fn within(
    conn: &mut PgConnection,
    state: &State,
    groups: &[Group],
    (collection, reader): (&Collection, Reader<'_>),
    stamp: &mut Stamp,
) -> Result<bool, Failure> {
    let nothing = Query { fields: Some(Vec::new()), ..Query::default() };
    let mut any = false;
    for group in groups {
        let plan = statement(state, group, None, &nothing, (collection, reader), stamp)?;
        let Some(plan) = plan else { continue };
        let reached = Written::of(execute::rows(conn, &plan).await?)?.keys.len();
        if reached < group.keys.len() {
            return Err(Error::forbidden().into());
        }
        stamp.first_index += reached;
        any = true;
    }
    Ok(any)
}

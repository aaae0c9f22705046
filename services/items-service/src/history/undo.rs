//! Undo: events that do the opposite, newest first, in one transaction.

use std::collections::{BTreeMap, HashMap, HashSet};

use access::Access;
use event_store::Horizon;
use event_store::writes::{self, Writes};
use model::{Collection, Error, ErrorCode, Errors};
use planner::{CreateNeeds, Once, Reader, Stamp, Statement, UpdateChange};
use prost::Message as _;
use proto::history::v1 as pb;
use query::{AsOf, Query};
use rpc::Caller;
use serde_json::{Value, json};
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use crate::execute;
use crate::failure::Failure;
use crate::items::moment::{self, away};
use crate::items::once::Kept;
use crate::items::write::{Tries, Written};
use crate::items::{cascade, once};
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::system::rules::Rules;
use steps::{Act, Group, Step, groups, items};

mod steps;

/// Events that are taken back together at most.
const MOST: usize = 10_000;

/// Only administrators come here.
static EVERYTHING: Access = Access::admin();

/// Takes writes back, or says what would be done.
pub async fn run(
    state: &State,
    caller: &Caller,
    request: pb::UndoRequest,
) -> Result<pb::JsonResponse, Errors> {
    let asked = || pb::UndoRequest { idempotency_key: String::new(), ..request.clone() };
    let asked = || [&b"undo"[..], &asked().encode_to_vec()].concat();
    let once = once::of(caller, &request.idempotency_key, asked, &state.idempotency)?;
    once::answered(state, once.as_ref(), taken_back(state, caller, &request, once.as_ref())).await
}

async fn taken_back(
    state: &State,
    caller: &Caller,
    request: &pb::UndoRequest,
    once: Option<&Once>,
) -> Result<pb::JsonResponse, Errors> {
    let wanted = wanted(state, request).await?;
    let mut tries = Tries::default();
    loop {
        match attempt(state, caller, (request, &wanted), once).await {
            Ok(done) => return Ok(pb::JsonResponse { json: done.into(), replayed: false }),
            Err(failure) => tries.after(failure, state, "").await?,
        }
    }
}

async fn wanted(state: &State, request: &pb::UndoRequest) -> Result<Writes, Errors> {
    let pb::UndoRequest { request_id, from, to, .. } = request;
    if !request_id.is_empty() {
        return Ok(Writes::OfRequest(request_id.clone()));
    }
    if *from < 1 || to < from {
        return Err(
            Error::invalid_payload("\"from\" and \"to\" must be positions, \"from\" the lower").into()
        );
    }
    let horizon = Horizon::load(&state.db).await.map_err(|error| away(&error))?.position;
    if *from <= horizon {
        return Err(Error::history_gone(horizon).into());
    }
    match moment::position(state, AsOf::Position(*to)).await {
        Ok(_) => Ok(Writes::Between(*from, *to)),
        Err(Failure::Refused(_)) => Err(Error::invalid_payload("\"to\" is not a settled position").into()),
        Err(Failure::Sql(error)) => Err(state.failure(&error, "")),
    }
}

async fn attempt(
    state: &State,
    caller: &Caller,
    (request, wanted): (&pb::UndoRequest, &Writes),
    once: Option<&Once>,
) -> Result<String, Failure> {
    let snapshot = &*state.snapshots.present();
    let asking = state.asking(caller).await?;
    let reader = Reader { access: &EVERYTHING, ..asking.reader(snapshot) };
    let mut tx = execute::begin(&state.db).await?;
    once::claim(&mut tx, once).await?;
    let limit = i64::try_from(MOST + 1).unwrap_or(i64::MAX);
    let events = writes::events(&mut tx, wanted, limit).await.map_err(|error| away(&error))?;
    // Of a request that was cut in two by the horizon a part can't be taken back.
    if let Some(first) = events.first().filter(|first| first.batch_index > 0)
        && matches!(wanted, Writes::OfRequest(_))
    {
        let horizon = Horizon::load(&state.db).await.map_err(|error| away(&error))?.position;
        if horizon > 0 && first.position - i64::from(first.batch_index) <= horizon {
            return Err(Error::history_gone(horizon).into());
        }
    }
    if events.len() > MOST {
        return Err(Error::invalid_payload(format!("These are more than {MOST} events")).into());
    }
    let (all, left_out) = steps::steps(&events, &snapshot.schema);
    if all.is_empty() {
        return Err(Error::invalid_payload("There is no write of an item to take back").into());
    }
    let cause = events.first().map(|event| event.id);
    let stamp = state.stamp(caller);
    let stamp = Stamp { causation_id: cause, depth: stamp.depth.saturating_add(1), ..stamp };
    let mut work = Work { state, caller, snapshot, reader, stamp, force: request.force, moved: false };
    let present = work.lock(&mut tx, &all).await?;
    let (todo, skipped) = work.checked(&mut tx, all, present).await?;
    let told: Vec<Value> = todo.iter().map(Step::told).collect();
    work.take_back_all(&mut tx, groups(todo)).await?;
    let skipped: Vec<Value> = left_out.into_iter().chain(skipped).collect();
    let done = json!({"dry_run": request.dry_run, "undone": told, "skipped": skipped}).to_string();
    if request.dry_run {
        tx.rollback().await?;
    } else {
        let written = Written { items: done.clone(), keys: Vec::new(), version: None };
        once::keep(&mut tx, once, &written).await?;
        execute::commit(tx).await?;
        if work.moved {
            state.announce_control().await;
        }
        state.announce().await;
    }
    Ok(done)
}

impl From<Kept> for pb::JsonResponse {
    fn from(kept: Kept) -> Self {
        Self { json: kept.items.unwrap_or_default().into(), replayed: true }
    }
}

/// 409 with the items that stand in the way.
fn conflict(items: Vec<Value>) -> Failure {
    Error::new(ErrorCode::Conflict)
        .with_message("The writes can't be taken back: see \"items\".")
        .with("items", items)
        .into()
}

/// Why a group was not taken back.
enum Stuck {
    /// These items stand in the way: perhaps not any more when others are done.
    By(Vec<Value>),
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Stuck {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Items that are there, by collection.
type Present = HashMap<String, HashSet<String>>;

struct Work<'a> {
    state: &'a State,
    caller: &'a Caller,
    snapshot: &'a Snapshot,
    reader: Reader<'a>,
    stamp: Stamp,
    force: bool,
    /// A control row moved.
    moved: bool,
}

impl Work<'_> {
    /// Locks the items that are there, collection by collection: from now on nobody else changes them.
    async fn lock(&self, conn: &mut PgConnection, steps: &[Step]) -> Result<Present, Failure> {
        let mut present = Present::new();
        for (name, keys) in items(steps) {
            let keys: Vec<String> = keys.into_keys().collect();
            let collection = self.snapshot.collection(&name)?;
            let statement = planner::plan_lock(&keys, None, collection, self.reader)?;
            let rows = execute::rows(conn, &statement).await?;
            let there: Result<HashSet<String>, sqlx::Error> =
                rows.iter().map(|row| row.try_get("key")).collect();
            present.insert(name, there?);
        }
        Ok(present)
    }

    /// The steps that can be done, and those that are left out where that is wanted.
    async fn checked(
        &self,
        conn: &mut PgConnection,
        steps: Vec<Step>,
        mut present: Present,
    ) -> Result<(Vec<Step>, Vec<Value>), Failure> {
        let changed = self.changed_since(conn, &steps).await?;
        let (mut todo, mut wrong, mut skipped) = (Vec::with_capacity(steps.len()), Vec::new(), Vec::new());
        for step in steps {
            let there = present.entry(step.collection.clone()).or_default();
            let is_there = there.contains(&step.key);
            let stands = match step.act {
                Act::Create => !is_there,
                Act::Update | Act::Delete => is_there,
            };
            if !self.force && changed.contains(&(step.collection.clone(), step.key.clone())) {
                wrong.push(step.refused("changed_since"));
            } else if !self.force && !step.lost.is_empty() {
                let reason = if step.erased { "erased" } else { "secret_values_are_gone" };
                wrong.push(step.refused(reason));
            } else if !stands {
                let reason = if is_there { "is_there" } else { "is_gone" };
                let list = if self.force { &mut skipped } else { &mut wrong };
                list.push(step.refused(reason));
            } else {
                match step.act {
                    Act::Create => drop(there.insert(step.key.clone())),
                    Act::Delete => drop(there.remove(&step.key)),
                    Act::Update => {}
                }
                todo.push(step);
            }
        }
        if wrong.is_empty() { Ok((todo, skipped)) } else { Err(conflict(wrong)) }
    }

    /// Items that somebody else changed after the first of their writes that is taken back.
    async fn changed_since(
        &self,
        conn: &mut PgConnection,
        steps: &[Step],
    ) -> Result<HashSet<(String, String)>, Failure> {
        let positions: Vec<i64> = steps.iter().map(|step| step.position).collect();
        let mut changed = HashSet::new();
        for (name, firsts) in items(steps) {
            let keys: Vec<String> = firsts.keys().cloned().collect();
            let first = firsts.values().min().copied().unwrap_or_default();
            let beside = writes::beside(conn, (&name, &keys), first, &positions).await;
            for beside in beside.map_err(|error| away(&error))? {
                if firsts.get(&beside.key).is_some_and(|first| beside.position > *first) {
                    changed.insert((name.clone(), beside.key));
                }
            }
        }
        Ok(changed)
    }

    /// Does all groups in their order. A write of items within items is logged from the outside to the inside, so what
    /// is refused waits until the rest is done, and with it whatever comes for the same items.
    async fn take_back_all(&mut self, conn: &mut PgConnection, groups: Vec<Group>) -> Result<(), Failure> {
        let mut left = groups;
        while !left.is_empty() {
            let (before, mut waiting, mut wrong) = (left.len(), Vec::new(), Vec::new());
            let mut held: HashSet<(String, String)> = HashSet::new();
            for group in left {
                let own = || group.steps.iter().map(|step| (step.collection.clone(), step.key.clone()));
                if own().any(|item| held.contains(&item)) {
                    held.extend(own());
                    waiting.push(group);
                    continue;
                }
                sqlx::query("SAVEPOINT taken_back").execute(&mut *conn).await?;
                match self.take_back(conn, &group).await {
                    Ok(()) => {
                        sqlx::query("RELEASE taken_back").execute(&mut *conn).await?;
                    }
                    Err(Stuck::Failed(failure)) => return Err(failure),
                    Err(Stuck::By(items)) => {
                        sqlx::query("ROLLBACK TO taken_back").execute(&mut *conn).await?;
                        wrong.extend(items);
                        held.extend(own());
                        waiting.push(group);
                    }
                }
            }
            if waiting.len() == before {
                return Err(conflict(wrong));
            }
            left = waiting;
        }
        Ok(())
    }

    /// Does one group. What PostgreSQL refuses is told of its items.
    async fn take_back(&mut self, conn: &mut PgConnection, group: &Group) -> Result<(), Stuck> {
        let Some(first) = group.steps.first() else { return Ok(()) };
        let collection = self.snapshot.collection(&first.collection)?;
        let keys: Vec<String> = group.steps.iter().map(|step| step.key.clone()).collect();
        let payloads: Vec<_> = group.steps.iter().map(|step| step.payload.clone()).collect();
        let mut rules = match first.act {
            Act::Delete => Rules::delete(collection, &keys),
            Act::Create => Rules::create(collection, &payloads),
            Act::Update => Rules::update(collection, &keys, &payloads, &self.caller.accountability),
        };
        if first.act == Act::Delete {
            let referring = cascade::referring(conn, self.snapshot, collection, &keys).await?;
            if !referring.is_empty() {
                let told = |step: &Step| step.refused("others_refer_to_it");
                let mut items: Vec<Value> = group.steps.iter().map(told).collect();
                items.extend(referring.into_iter().map(
                    |(collection, key)| json!({"collection": collection, "key": key, "reason": "refers_to_it"}),
                ));
                return Err(Stuck::By(items));
            }
        }
        let statement = self.statement(group, &keys, collection);
        let done = async {
            rules.before(conn).await?;
            if let Some(statement) = statement? {
                execute::rows(conn, &statement).await?;
            }
            rules.after(conn).await
        };
        let done: Result<(), Failure> = done.await;
        done.map_err(|failure| named(failure, group))?;
        self.moved |= rules.moves_control();
        self.stamp.first_index += keys.len();
        Ok(())
    }

    /// The statement of a group; nothing when nothing that is stored comes back.
    fn statement(
        &self,
        group: &Group,
        keys: &[String],
        collection: &Collection,
    ) -> Result<Option<Statement>, Errors> {
        let event_ids: Vec<Uuid> = keys.iter().map(|_| self.state.ids.ordered()).collect();
        let (reader, stamp, ids) = (self.reader, &self.stamp, &event_ids[..]);
        let payloads: Vec<_> = group.steps.iter().map(|step| step.payload.clone()).collect();
        let answer = Query { fields: Some(vec![collection.primary_key.clone()]), ..Query::default() };
        // What was allowed once may come back, by whomever it was made.
        let quiet = collection.unstamped();
        match group.steps.first().map(|step| step.act) {
            None => Ok(None),
            Some(Act::Delete) => {
                let whole = planner::Deletion::Whole;
                planner::plan_delete(whole, keys, ids, None, collection, reader, stamp).map(Some)
            }
            Some(Act::Create) => {
                let needs = CreateNeeds { event_ids: ids, fresh_keys: &[] };
                planner::plan_create(&payloads, &needs, &answer, &quiet, reader, stamp).map(Some)
            }
            Some(Act::Update) => {
                let change = UpdateChange { keys, payloads: &payloads, event_ids: ids, filter: None };
                planner::plan_update(&change, &answer, &quiet, reader, stamp)
            }
        }
    }
}

/// A refusal, with the items that it is about.
fn named(failure: Failure, group: &Group) -> Stuck {
    let collection = group.steps.first().map_or("", |first| first.collection.as_str());
    let errors = match failure {
        Failure::Refused(errors) => errors,
        Failure::Sql(error) => match execute::refusal(&error, collection) {
            Some(refused) => refused.into(),
            None => return Failure::Sql(error).into(),
        },
    };
    if errors.0.iter().any(|error| error.code.status() >= 500) {
        return errors.into();
    }
    let causes: BTreeMap<&str, Value> =
        errors.0.iter().map(|error| (error.code.as_str(), json!(error.extensions))).collect();
    let told = group.steps.iter().map(|step| {
        let mut told = step.refused("does_not_fit");
        told["errors"] = json!(causes);
        told
    });
    Stuck::By(told.collect())
}

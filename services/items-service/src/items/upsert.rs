//! Upserting: payloads that agree with an item in the deciding fields change it, the others make new items.

mod deciding;
mod sorting;

use access::{Access, Action};
use bytes::Bytes;
use model::{Collection, Error, Errors};
use planner::{Once, Payload, Reader, Stamp};
use prost::Message as _;
use proto::items::v1 as pb;
use query::Query;
use rpc::Caller;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use super::create::{self, writable};
use super::judge::Judging;
use super::nested::{self, Place, Wanted, Whose};
use super::read::query;
use super::singleton;
use super::update;
use super::write::{Tries, Written, shown};
use super::{condition, once};
use crate::execute;
use crate::failure::Failure;
use crate::filter::Question;
use crate::snapshot::Snapshot;
use crate::state::{Asking, State};
use crate::system::payload;
use deciding::Deciding;
use sorting::{Sorted, Sorting};

/// How often another who brings the same values may come first.
const RACES: u32 = 8;

/// What is looked up on nobody's behalf: rights are asked for by the writes.
static EVERYTHING: Access = Access::admin();

/// Creates or changes items.
pub async fn items(
    state: &State,
    caller: &Caller,
    request: pb::UpsertItemsRequest,
) -> Result<pb::WriteItemsResponse, Errors> {
    if singleton::is(state, &request.collection) {
        return Err(singleton::no_route(&request.collection, None).into());
    }
    let asked = || pb::UpsertItemsRequest { idempotency_key: String::new(), ..request.clone() };
    let asked = || [&b"upsert"[..], &asked().encode_to_vec()].concat();
    let once = once::of(caller, &request.idempotency_key, asked, &state.idempotency)?;
    once::answered(state, once.as_ref(), write(state, caller, &request, once.as_ref())).await
}

/// Creates or changes items; the answer is kept under the key, if there is one.
async fn write(
    state: &State,
    caller: &Caller,
    request: &pb::UpsertItemsRequest,
    once: Option<&Once>,
) -> Result<pb::WriteItemsResponse, Errors> {
    let (payloads, _) = planner::parse_payloads(&request.payload)?;
    state.limits.check_batch(payloads.len())?;
    let query = query(&request.query)?;
    let (asking, stamp) = (state.asking(caller).await?, state.stamp(caller));
    let upsert = Upsert { state, caller, request, payloads, query, asking, stamp, once };
    let (mut tries, mut races, mut lost) = (Tries::default(), 0, None);
    loop {
        match upsert.attempt(lost.take()).await {
            Ok(Attempt::Done(done)) => return Ok(done),
            Ok(Attempt::Lost(loss)) if races < RACES => {
                races += 1;
                lost = loss;
            }
            Ok(Attempt::Lost(loss)) => {
                let error = loss.map(|loss| state.failure(&loss.error, &request.collection));
                return Err(error.unwrap_or_else(|| Error::unavailable("items").into()));
            }
            Err(failure) => tries.after(failure, state, &request.collection).await?,
        }
    }
}

/// What became of an attempt.
enum Attempt {
    /// It is stored.
    Done(pb::WriteItemsResponse),
    /// Somebody else has written meanwhile: what is there has to be looked at again.
    Lost(Option<Loss>),
}

/// A value was taken when it was written.
struct Loss {
    /// What was thought to be there.
    sorted: Sorted,
    error: sqlx::Error,
}

/// One call.
struct Upsert<'a> {
    state: &'a State,
    caller: &'a Caller,
    request: &'a pb::UpsertItemsRequest,
    payloads: Vec<Payload>,
    query: Query,
    asking: Asking,
    stamp: Stamp,
    once: Option<&'a Once>,
}

impl Upsert<'_> {
    /// Tries it once. When what is there is what it was when a value was found to be taken, that was no race.
    async fn attempt(&self, lost: Option<Loss>) -> Result<Attempt, Failure> {
        let Self { state, request, .. } = self;
        let snapshot = state.snapshots.present();
        let collection = self.writable(&snapshot)?;
        let deciding = Deciding::of(&state.db, collection, &request.on_conflict).await?;
        let agreeing = planner::plan_agreeing(&self.payloads, &deciding.fields, collection)?;
        let sorted = Sorted::of(&execute::rows_alone(&state.db, &agreeing).await?, self.payloads.len())?;
        sorted.check_doubles(&deciding)?;
        if let Some(loss) = lost.filter(|loss| loss.sorted == sorted) {
            return Err(Failure::Sql(loss.error));
        }
        let reader = self.asking.reader(&snapshot);
        self.allowed(&sorted, collection, reader)?;
        let sorting = Sorting { payloads: &self.payloads, sorted: &sorted, deciding: &deciding };
        let mut new = sorting.new_items(collection, &*state.ids)?;
        let mut changes = sorting.changes(collection)?;
        let creating = Judging::init(&state.db, (collection, Action::Create), reader, &self.stamp).await?;
        self.prepare(&snapshot, &creating, &mut new.payloads, &[]).await?;
        let changing = Judging::init(&state.db, (collection, Action::Update), reader, &self.stamp).await?;
        let plain = self.prepare(&snapshot, &changing, &mut changes.payloads, &changes.keys).await?;
        let held = changing.held(plain.map(|plain| update::groups(&changes.keys, plain, true)), None);
        if !changes.keys.is_empty() {
            condition::check(state, self.caller, collection, (None, false))?;
        }
        let mut tx = execute::begin(&state.db).await?;
        let conn = &mut *tx;
        once::claim(conn, self.once).await?;
        // What is lost is taken back at once: the next attempt claims the key again.
        if !self.still_so(conn, &sorted, &agreeing, collection, reader).await? {
            tx.rollback().await?;
            return Ok(Attempt::Lost(None));
        }
        if let Some(held) = &held {
            held.check(conn).await?;
        }
        let place = Place { state, caller: self.caller, snapshot: &snapshot, reader, stamp: &self.stamp };
        let nested = nested::any(&new.payloads, collection) || nested::any(&changes.payloads, collection);
        let written = match nested {
            true => self.write_nested(conn, (new, changes), collection, place).await,
            false => self.write(conn, (new, changes), collection, reader).await.map(|keys| (keys, false)),
        };
        let (keys, moves_control) = match written {
            Ok(written) => written,
            Err(Failure::Sql(error)) if is_taken(&error) => {
                tx.rollback().await?;
                return Ok(Attempt::Lost(Some(Loss { sorted, error })));
            }
            Err(other) => return Err(other),
        };
        let items = self.read_back(conn, &keys, collection, reader).await?;
        let written = Written { items, keys, version: None };
        once::keep(conn, self.once, &written).await?;
        execute::commit(tx).await?;
        if moves_control {
            state.announce_control().await;
        }
        if !written.keys.is_empty() {
            state.announce().await;
        }
        Ok(Attempt::Done(written.into()))
    }

    /// Only collections of the user's own: what system collections do beside a write goes by creation and change.
    fn writable<'s>(&self, snapshot: &'s Snapshot) -> Result<&'s Collection, Failure> {
        let name = &self.request.collection;
        let collection = writable(snapshot, name, Action::Create)?;
        let access = &self.asking.access;
        let any = access.allows(name, Action::Create) || access.allows(name, Action::Update);
        if collection.system || !any {
            return Err(Error::forbidden_collection(name).into());
        }
        Ok(collection)
    }

    /// What is to be done may be done at all.
    fn allowed(&self, sorted: &Sorted, collection: &Collection, reader: Reader<'_>) -> Result<(), Error> {
        let name = &collection.name;
        let creates = sorted.keys.iter().any(Option::is_none) && !reader.access.allows(name, Action::Create);
        let changes = sorted.keys.iter().any(Option::is_some) && !reader.access.allows(name, Action::Update);
        if creates || changes { Err(Error::forbidden_collection(name)) } else { Ok(()) }
    }

    /// The payloads after the filter hooks, if any is registered, ready for planning. Gives them as they were before
    /// secrets were hashed, where rules may have to look at them once more.
    async fn prepare(
        &self,
        snapshot: &Snapshot,
        judging: &Judging<'_>,
        payloads: &mut Vec<Payload>,
        keys: &[String],
    ) -> Result<Option<Vec<Payload>>, Failure> {
        let Judging { collection, action, .. } = *judging;
        let verb = if action == Action::Create { "create" } else { "update" };
        let event = format!("{}.{verb}", collection.scope());
        if !payloads.is_empty() && snapshot.has_filter(&event, &collection.name) {
            let payload = Bytes::from(serde_json::to_vec(payloads).map_err(|_| Error::internal())?);
            let question = Question { event: &event, collection: &collection.name, payload, keys };
            let changed = planner::parse_payloads(&self.state.filters.ask(question, self.caller).await?)?.0;
            if changed.len() != payloads.len() {
                return Err(Error::internal().into());
            }
            *payloads = changed;
        }
        judging.admit(payloads)?;
        let plain = judging.has_rules().then(|| payloads.clone());
        payload::prepare(payloads, collection, action, self.state.storing(judging.reader)).await?;
        Ok(plain)
    }

    /// Locks the items that are to change, and looks whether all is as it was.
    async fn still_so(
        &self,
        conn: &mut PgConnection,
        sorted: &Sorted,
        agreeing: &planner::Statement,
        collection: &Collection,
        reader: Reader<'_>,
    ) -> Result<bool, Failure> {
        let present: Vec<String> = sorted.keys.iter().flatten().cloned().collect();
        if !present.is_empty() {
            let any = Reader { access: &EVERYTHING, ..reader };
            execute::rows(conn, &planner::plan_lock(&present, None, collection, any)?).await?;
        }
        let now = Sorted::of(&execute::rows(conn, agreeing).await?, self.payloads.len())?;
        Ok(now == *sorted)
    }

    /// Writes all of it; gives the keys in the order of the payloads.
    async fn write(
        &self,
        conn: &mut PgConnection,
        (new, changes): (sorting::New, sorting::Changes),
        collection: &Collection,
        reader: Reader<'_>,
    ) -> Result<Vec<String>, Failure> {
        let Self { state, stamp, .. } = self;
        let mut keys = vec![String::new(); self.payloads.len()];
        if !new.payloads.is_empty() {
            let mut made = Vec::with_capacity(new.payloads.len());
            for statement in create::statements(state, &new.payloads, &nothing(), collection, reader, stamp)?
            {
                made.extend(keys_of(&execute::rows(conn, &statement).await?)?);
            }
            for (ord, key) in new.named(made, collection)? {
                keys[ord] = key;
            }
        }
        let groups = update::groups(&changes.keys, changes.payloads, true);
        let mut stamp = stamp.further(new.payloads.len());
        update::within(conn, state, &groups, (collection, reader), &mut stamp).await?;
        for (ord, key) in changes.ords.iter().zip(changes.keys) {
            keys[*ord] = key;
        }
        Ok(keys)
    }

    /// Writes all of it with the items that are nested in it; gives the keys in the order of the payloads, and whether a
    /// control row has moved.
    async fn write_nested(
        &self,
        conn: &mut PgConnection,
        (new, changes): (sorting::New, sorting::Changes),
        collection: &Collection,
        place: Place<'_>,
    ) -> Result<(Vec<String>, bool), Failure> {
        let made = new.payloads.into_iter().map(|payload| Wanted::top(payload, Whose::New));
        let own = changes.keys.into_iter().zip(changes.payloads);
        let changed = own.map(|(key, payload)| Wanted::top(payload, Whose::These(vec![key])));
        let wanted = made.chain(changed).collect();
        let (written, moves_control) = nested::within(conn, place, collection, wanted, None).await?;
        let mut keys = vec![String::new(); self.payloads.len()];
        for (ord, written) in new.ords.iter().chain(&changes.ords).zip(written) {
            keys[*ord] = written.into_iter().next().ok_or_else(Error::internal)?;
        }
        Ok((keys, moves_control))
    }

    /// The items as they are now; nothing when the caller may not read them.
    async fn read_back(
        &self,
        conn: &mut PgConnection,
        keys: &[String],
        collection: &Collection,
        reader: Reader<'_>,
    ) -> Result<String, Failure> {
        let plan = shown(planner::plan_read_ordered(keys, &self.query, collection, reader), reader)?;
        let Some(plan) = plan else { return Ok(String::new()) };
        let rows = execute::rows(conn, &plan).await?;
        Ok(rows.first().map_or(Ok(String::new()), |row| row.try_get("items"))?)
    }
}

/// Statements that write need not read back.
fn nothing() -> Query {
    Query { fields: Some(Vec::new()), ..Query::default() }
}

/// The keys that a statement has written.
fn keys_of(rows: &[PgRow]) -> Result<Vec<String>, sqlx::Error> {
    let keys = rows.first().map(|row| row.try_get::<Option<Vec<String>>, _>("keys")).transpose()?;
    Ok(keys.flatten().unwrap_or_default())
}

/// A value that has to be unique is taken.
fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("23505"))
}

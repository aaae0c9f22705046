//! Sorting by hand: an item takes the place of another, and those between them move up.

use access::Action;
use model::{Collection, Error, Errors};
use planner::{Once, Payload, Reader, Stamp};
use prost::Message as _;
use proto::items::v1 as pb;
use rpc::Caller;
use sqlx::{PgConnection, Row as _};

use super::create::writable;
use super::once;
use super::update;
use super::write::{Tries, Written};
use crate::execute;
use crate::failure::Failure;
use crate::state::State;

/// First key of the advisory lock under which a collection is sorted; the second is the name's hash.
const SORTING: i32 = 730_608_585;

/// How often somebody else may move the two items between the look at them and their lock.
const RACES: u32 = 8;

/// An item and where it stands.
type Place = (String, Option<i64>);

/// Moves an item to the place of another.
pub async fn items(
    state: &State,
    caller: &Caller,
    request: pb::SortItemsRequest,
) -> Result<pb::SortItemsResponse, Errors> {
    let asked = || pb::SortItemsRequest { idempotency_key: String::new(), ..request.clone() };
    let asked = || [&b"sort"[..], &asked().encode_to_vec()].concat();
    let once = once::of(caller, &request.idempotency_key, asked, &state.idempotency)?;
    once::answered(state, once.as_ref(), sort(state, caller, &request, once.as_ref())).await
}

async fn sort(
    state: &State,
    caller: &Caller,
    request: &pb::SortItemsRequest,
    once: Option<&Once>,
) -> Result<pb::SortItemsResponse, Errors> {
    let (mut tries, mut races) = (Tries::default(), 0);
    loop {
        match attempt(state, caller, request, once).await {
            Ok(Some(keys)) => return Ok(pb::SortItemsResponse { keys, replayed: false }),
            Ok(None) if races < RACES => races += 1,
            Ok(None) => return Err(Error::unavailable("items").into()),
            Err(failure) => tries.after(failure, state, &request.collection).await?,
        }
    }
}

/// The keys of the items that moved; nothing when the two were moved meanwhile.
async fn attempt(
    state: &State,
    caller: &Caller,
    request: &pb::SortItemsRequest,
    once: Option<&Once>,
) -> Result<Option<Vec<String>>, Failure> {
    let snapshot = state.snapshots.present();
    let asking = state.asking(caller).await?;
    let reader = asking.reader(&snapshot);
    let collection = snapshot.collection(&request.collection)?;
    planner::sort_field(collection)?;
    let collection = writable(&snapshot, &collection.name, Action::Update)?;
    let look = planner::plan_places(&request.item, &request.to, collection, reader)?;
    let mut tx = execute::begin(&state.db).await?;
    let conn = &mut *tx;
    once::claim(conn, once).await?;
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1, hashtext($2))");
    lock.bind(SORTING).bind(&collection.name).execute(&mut *conn).await?;
    let rows = execute::rows(conn, &look).await?;
    let row = rows.first().ok_or_else(Error::internal)?;
    if !row.try_get::<bool, _>("item")? || !row.try_get::<bool, _>("target")? {
        return Err(Error::forbidden().into());
    }
    let untidy: bool = row.try_get("untidy")?;
    let places: (Option<i64>, Option<i64>) = (row.try_get("from")?, row.try_get("to")?);
    let between = match places {
        (Some(from), Some(to)) if !untidy => Some((from.min(to), from.max(to))),
        _ => None,
    };
    let order = planner::plan_order(between, collection)?;
    let mut order: Vec<Place> = execute::rows(conn, &order)
        .await?
        .iter()
        .map(|row| Ok((row.try_get("key")?, row.try_get("place")?)))
        .collect::<Result<_, sqlx::Error>>()?;
    let before = order.clone();
    if between.is_none() {
        number(&mut order);
    }
    let key = collection.key().ok_or_else(Error::internal)?;
    let (item, target) = (planner::parse_key(&request.item, key)?, planner::parse_key(&request.to, key)?);
    if !rotate(&mut order, &item, &target) {
        // What is lost is taken back at once: the next attempt claims the key again.
        tx.rollback().await?;
        return Ok(None);
    }
    let moved = moved(&before, &order);
    write(state, conn, &moved, (collection, reader), &mut state.stamp(caller)).await?;
    let keys = moved.into_iter().map(|(key, _)| key).collect();
    let written = Written { items: String::new(), keys, version: None };
    once::keep(conn, once, &written).await?;
    execute::commit(tx).await?;
    if !written.keys.is_empty() {
        state.announce().await;
    }
    Ok(Some(written.keys))
}

/// Gives every item a place of its own, in their order.
fn number(order: &mut [Place]) {
    for (place, (_, own)) in (1..).zip(order) {
        *own = Some(place);
    }
}

/// Puts the item into the place of the target; those that it passes move by one towards where it came from.
/// False when one of the two is not among them.
fn rotate(order: &mut [Place], item: &str, target: &str) -> bool {
    let place = |key: &str| order.iter().find(|(own, _)| own == key).and_then(|(_, place)| *place);
    let (Some(from), Some(to)) = (place(item), place(target)) else { return false };
    for (key, place) in order {
        *place = place.map(|place| match place {
            _ if key == item => to,
            // As in the original, gaps stay where they are.
            place if from < place && place <= to => place - 1,
            place if to <= place && place < from => place + 1,
            place => place,
        });
    }
    true
}

/// The items whose place is another now.
fn moved(before: &[Place], after: &[Place]) -> Vec<(String, i64)> {
    let pairs = before.iter().zip(after).filter(|(before, after)| before.1 != after.1);
    pairs.filter_map(|(_, (key, place))| Some((key.clone(), (*place)?))).collect()
}

/// Changes the places.
async fn write(
    state: &State,
    conn: &mut PgConnection,
    moved: &[(String, i64)],
    (collection, reader): (&Collection, Reader<'_>),
    stamp: &mut Stamp,
) -> Result<(), Failure> {
    let field = &planner::sort_field(collection)?.name;
    let (mut keys, mut payloads) = (Vec::with_capacity(moved.len()), Vec::with_capacity(moved.len()));
    for (key, place) in moved {
        let mut payload = Payload::default();
        payload.set_text(field, &place.to_string())?;
        keys.push(key.clone());
        payloads.push(payload);
    }
    // Nobody edits these items: who and when was the last stays as it is.
    let quiet = collection.unstamped();
    let groups = update::groups(&keys, payloads, true);
    update::within(conn, state, &groups, (&quiet, reader), stamp).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::{Place, moved, number, rotate};

    fn sorted(places: &[(&str, Option<i64>)], item: &str, target: &str) -> String {
        let mut order: Vec<Place> = places.iter().map(|(key, place)| ((*key).to_owned(), *place)).collect();
        let before = order.clone();
        if order.iter().any(|(_, place)| place.is_none()) {
            number(&mut order);
        }
        assert!(rotate(&mut order, item, target));
        let moved = moved(&before, &order);
        moved.iter().map(|(key, place)| format!("{key}{place}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn items_move_as_in_the_original() {
        let five = [("a", Some(1)), ("b", Some(2)), ("c", Some(3)), ("d", Some(4)), ("e", Some(5))];
        assert_eq!(sorted(&five, "a", "d"), "a4 b1 c2 d3");
        assert_eq!(sorted(&five, "e", "b"), "b3 c4 d5 e2");
        assert_eq!(sorted(&five, "b", "b"), "");
        let gaps = [("a", Some(10)), ("b", Some(20)), ("c", Some(30)), ("d", Some(40))];
        assert_eq!(sorted(&gaps, "a", "d"), "a40 b19 c29 d39");
        let none = [("c", Some(1)), ("d", Some(2)), ("a", None), ("b", None), ("e", None)];
        assert_eq!(sorted(&none, "b", "c"), "c2 d3 a4 b1 e5");
    }
}

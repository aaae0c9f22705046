//! What happened to one item.

use bytes::Bytes;
use event_store::writes;
use model::{Error, Errors};
use planner::HistoryPage;
use proto::history::v1 as pb;
use rpc::Caller;
use sqlx::Row as _;

use crate::execute;
use crate::failure::Failure;
use crate::items::moment::{self, away};
use crate::items::{of_the_query, write::Tries};
use crate::state::{Asking, State};

/// Events of an answer: when no number is named, and at most.
const LIMIT: (i64, i64) = (100, 1_000);

/// Answers for the history of an item.
pub async fn read(state: &State, caller: &Caller, request: pb::ReadHistoryRequest) -> Result<Bytes, Errors> {
    let page = page(&request)?;
    let asking = state.asking(caller).await?;
    let mut tries = Tries::default();
    loop {
        match attempt(state, caller, &asking, &request, page).await {
            Ok(done) => return Ok(done),
            Err(failure) => {
                tries.after(failure, state, &request.collection).await.map_err(of_the_query)?;
            }
        }
    }
}

fn page(request: &pb::ReadHistoryRequest) -> Result<HistoryPage, Error> {
    let (default, most) = LIMIT;
    let limit = request.limit.unwrap_or(default);
    if !(1..=most).contains(&limit) {
        return Err(Error::invalid_query(format!("\"limit\" must be a number from 1 to {most}")));
    }
    if request.offset < 0 {
        return Err(Error::invalid_query("\"offset\" must be a number greater than or equal to 0"));
    }
    Ok(HistoryPage { limit, offset: request.offset })
}

async fn attempt(
    state: &State,
    caller: &Caller,
    asking: &Asking,
    request: &pb::ReadHistoryRequest,
    page: HistoryPage,
) -> Result<Bytes, Failure> {
    let snapshot = &*state.snapshots.present();
    let collection = snapshot.collection(&request.collection)?;
    let field = collection.key().ok_or_else(Error::internal)?;
    let key = planner::parse_key(&request.key, field)?;
    let last = writes::last(&state.db, &collection.name, &key).await.map_err(|error| away(&error))?;
    // Who may read a deleted item is said by what it was at the end.
    let past = match last {
        Some((position, true)) => Some(snapshot.at(position - 1)),
        _ => None,
    };
    let (collection, reader) = moment::within(past.as_ref(), collection, asking.reader(snapshot))?;
    let statement = planner::plan_history(&key, page, collection, reader)?;
    let db = state.reading.of(&caller.accountability);
    let row = execute::row_alone(db, &statement, past.is_none()).await?;
    let row = row.ok_or_else(Error::forbidden)?;
    Ok(Bytes::from(row.try_get::<String, _>("history")?))
}

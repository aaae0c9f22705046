//! Operation `ListRuns`: runs of action and schedule hooks, newest first.

use proto::hooks::v1::{HookRun, ListRunsRequest, ListRunsResponse};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::runs::Listed;
use crate::state::State;
use crate::{Error, runs};

const DEFAULT_LIMIT: i32 = 100;
const MAX_LIMIT: i32 = 1_000;

/// The runs of one event, or of all.
pub(crate) async fn list_runs(state: &State, request: ListRunsRequest) -> Result<ListRunsResponse, Error> {
    let (event, limit) = read(&request)?;
    let runs = runs::list(&state.db, event, limit.into()).await?;
    let runs: Result<Vec<_>, _> = runs.into_iter().map(written).collect();
    Ok(ListRunsResponse { runs: runs? })
}

fn read(request: &ListRunsRequest) -> Result<(Option<Uuid>, i32), model::Error> {
    let event = match request.event_id.as_str() {
        "" => None,
        text => {
            let id = Uuid::try_parse(text);
            Some(id.map_err(|_| model::Error::invalid_query("\"event_id\" has to be a UUID"))?)
        }
    };
    match request.limit {
        0 => Ok((event, DEFAULT_LIMIT)),
        limit @ 1..=MAX_LIMIT => Ok((event, limit)),
        _ => Err(model::Error::invalid_query("\"limit\" has to be between 1 and 1000")),
    }
}

fn written(run: Listed) -> Result<HookRun, Error> {
    let rfc3339 = |time: OffsetDateTime| time.format(&Rfc3339).map_err(Error::Time);
    let key = match (run.key, run.scheduled_at) {
        (Some(key), _) => key,
        (None, Some(tick)) => rfc3339(tick)?,
        (None, None) => String::new(),
    };
    Ok(HookRun {
        hook: run.hook,
        kind: run.kind,
        event_id: run.event_id.map(|id| id.to_string()).unwrap_or_default(),
        position: run.position,
        event: run.event,
        collection: run.collection,
        key,
        trace_id: run.trace_id.unwrap_or_default(),
        time: rfc3339(run.time)?,
        error: run.error.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use proto::hooks::v1::ListRunsRequest;

    use super::read;

    #[test]
    fn requests_are_checked() {
        let request = |event_id: &str, limit| ListRunsRequest { event_id: event_id.to_owned(), limit };
        assert_eq!(read(&request("", 0)).unwrap(), (None, 100));
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(read(&request(id, 1_000)).unwrap(), (Some(id.parse().unwrap()), 1_000));
        for (event, limit) in [("x", 1), ("", -1), ("", 1_001)] {
            assert!(read(&request(event, limit)).is_err(), "{event} {limit}");
        }
    }
}

//! Operation `ListDeliveries`: newest first, each with its attempts.

use std::collections::HashMap;

use proto::webhooks::v1::{Attempt, Delivery, ListDeliveriesRequest, ListDeliveriesResponse};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::Error;
use crate::state::State;

const DEFAULT_LIMIT: i32 = 100;
const MAX_LIMIT: i32 = 1_000;

// Ids are ordered by time.
const DELIVERIES: &str = "
SELECT id, endpoint, event_id, position, event, state, trace_id, created
FROM eventus.webhook_deliveries
WHERE ($1::uuid IS NULL OR endpoint = $1) AND ($2::uuid IS NULL OR event_id = $2) AND ($3::text IS NULL OR state = $3)
ORDER BY id DESC LIMIT $4";

const ATTEMPTS: &str = "
SELECT delivery, number, time, status, duration_ms, error FROM eventus.webhook_attempts
WHERE delivery = ANY($1) ORDER BY delivery, number";

/// What is asked for, checked.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    endpoint: Option<Uuid>,
    event: Option<Uuid>,
    state: Option<String>,
    limit: i32,
}

/// Deliveries of one endpoint, event or state, or all.
pub(crate) async fn list_deliveries(
    state: &State,
    request: ListDeliveriesRequest,
) -> Result<ListDeliveriesResponse, Error> {
    let wanted = check(request)?;
    let rows = sqlx::query(DELIVERIES)
        .persistent(false)
        .bind(wanted.endpoint)
        .bind(wanted.event)
        .bind(wanted.state)
        .bind(i64::from(wanted.limit))
        .fetch_all(&state.db)
        .await?;
    let ids: Result<Vec<Uuid>, _> = rows.iter().map(|row| row.try_get(0)).collect();
    let mut attempts: HashMap<Uuid, Vec<Attempt>> = HashMap::new();
    for row in sqlx::query(ATTEMPTS).bind(ids?).fetch_all(&state.db).await? {
        attempts.entry(row.try_get(0)?).or_default().push(attempt(&row)?);
    }
    let deliveries: Result<Vec<_>, _> = rows.iter().map(|row| delivery(row, &mut attempts)).collect();
    Ok(ListDeliveriesResponse { deliveries: deliveries? })
}

fn check(request: ListDeliveriesRequest) -> Result<Wanted, model::Error> {
    let id = |name: &str, text: &str| match text {
        "" => Ok(None),
        text => Uuid::try_parse(text)
            .map(Some)
            .map_err(|_| model::Error::invalid_query(format!("\"{name}\" has to be a UUID"))),
    };
    let limit = match request.limit {
        0 => DEFAULT_LIMIT,
        limit @ 1..=MAX_LIMIT => limit,
        _ => return Err(model::Error::invalid_query("\"limit\" has to be between 1 and 1000")),
    };
    if !["", "pending", "succeeded", "failed"].contains(&request.state.as_str()) {
        return Err(model::Error::invalid_query("\"state\" has to be pending, succeeded or failed"));
    }
    Ok(Wanted {
        endpoint: id("endpoint", &request.endpoint)?,
        event: id("event_id", &request.event_id)?,
        state: Some(request.state).filter(|text| !text.is_empty()),
        limit,
    })
}

fn rfc3339(time: OffsetDateTime) -> Result<String, Error> {
    time.format(&Rfc3339).map_err(Error::Time)
}

fn delivery(row: &PgRow, attempts: &mut HashMap<Uuid, Vec<Attempt>>) -> Result<Delivery, Error> {
    let id: Uuid = row.try_get(0)?;
    Ok(Delivery {
        id: id.to_string(),
        endpoint: row.try_get::<Uuid, _>(1)?.to_string(),
        event_id: row.try_get::<Uuid, _>(2)?.to_string(),
        position: row.try_get(3)?,
        event: row.try_get(4)?,
        state: row.try_get(5)?,
        trace_id: row.try_get::<Option<String>, _>(6)?.unwrap_or_default(),
        attempts: attempts.remove(&id).unwrap_or_default(),
        created: rfc3339(row.try_get(7)?)?,
    })
}

fn attempt(row: &PgRow) -> Result<Attempt, Error> {
    Ok(Attempt {
        number: row.try_get(1)?,
        time: rfc3339(row.try_get(2)?)?,
        status: row.try_get(3)?,
        duration_ms: row.try_get(4)?,
        error: row.try_get(5)?,
    })
}

#[cfg(test)]
mod tests {
    use proto::webhooks::v1::ListDeliveriesRequest;

    use super::{Wanted, check};

    #[test]
    fn requests_are_checked() {
        let nothing = Wanted { endpoint: None, event: None, state: None, limit: 100 };
        assert_eq!(check(ListDeliveriesRequest::default()).unwrap(), nothing);
        let id = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
        let request = ListDeliveriesRequest {
            endpoint: id.clone(),
            state: "failed".to_owned(),
            event_id: id,
            limit: 1_000,
        };
        let wanted = check(request).unwrap();
        assert_eq!((wanted.limit, wanted.state.as_deref()), (1_000, Some("failed")));
        assert!(wanted.endpoint.is_some() && wanted.endpoint == wanted.event);
        let bad = [
            ListDeliveriesRequest { endpoint: "x".to_owned(), ..Default::default() },
            ListDeliveriesRequest { event_id: "x".to_owned(), ..Default::default() },
            ListDeliveriesRequest { state: "done".to_owned(), ..Default::default() },
            ListDeliveriesRequest { limit: 1_001, ..Default::default() },
            ListDeliveriesRequest { limit: -1, ..Default::default() },
        ];
        for request in bad {
            assert!(check(request.clone()).is_err(), "{request:?}");
        }
    }
}

//! Operation `UpdateEndpoint`. A disabled endpoint gets nothing new, and what it still had to get waits.

use proto::webhooks::v1::{Endpoint, UpdateEndpointRequest};

use crate::Error;
use crate::endpoints::{TOPIC, check_events, check_name, check_url, columns, hold_deliveries, id, read};
use crate::state::State;

const UPDATE: &str = concat!(
    "UPDATE eventus.webhook_endpoints SET url = COALESCE($2, url), events = COALESCE($3, events), \
     enabled = COALESCE($4, enabled), name = COALESCE($5, name) WHERE id = $1 RETURNING ",
    columns!()
);

/// Changes what is given. FORBIDDEN when there is none of this id.
pub(crate) async fn update_endpoint(
    state: &State,
    request: UpdateEndpointRequest,
) -> Result<Endpoint, Error> {
    let id = id(&request.id)?;
    request.url.as_deref().map_or(Ok(()), |url| check_url(state, url))?;
    request.name.as_deref().map_or(Ok(()), check_name)?;
    let events = (!request.events.is_empty()).then_some(&request.events);
    events.map_or(Ok(()), |events| check_events(events))?;
    let mut transaction = state.db.begin().await?;
    let row = sqlx::query(UPDATE)
        .bind(id)
        .bind(&request.url)
        .bind(events)
        .bind(request.enabled)
        .bind(&request.name)
        .fetch_optional(&mut *transaction)
        .await?;
    let row = row.ok_or_else(model::Error::forbidden)?;
    if let Some(enabled) = request.enabled {
        hold_deliveries(&mut transaction, id, !enabled).await?;
    }
    db::control::bump(&mut transaction, TOPIC).await?;
    transaction.commit().await?;
    state.endpoints_changed().await;
    state.queued.notify_one();
    read(&row)
}

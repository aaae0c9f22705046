//! Operation `CreateEndpoint`. Its answer alone shows the secret.

use proto::webhooks::v1::{CreateEndpointRequest, Endpoint};

use crate::Error;
use crate::endpoints::{TOPIC, check_events, check_name, check_url, columns, read, secret};
use crate::state::State;

const CREATE: &str = concat!(
    "INSERT INTO eventus.webhook_endpoints (id, url, events, name, secret, since) \
     SELECT $1, $2, $3, $4, $5, CASE WHEN is_called THEN last_value ELSE 0 END FROM eventus.events_position \
     RETURNING ",
    columns!()
);

/// Makes an endpoint; events that are written after the answer reach it.
pub(crate) async fn create_endpoint(
    state: &State,
    request: CreateEndpointRequest,
) -> Result<Endpoint, Error> {
    check_url(state, &request.url)?;
    check_events(&request.events)?;
    check_name(&request.name)?;
    let secret = secret(&request.secret)?;
    let mut transaction = state.db.begin().await?;
    let row = sqlx::query(CREATE)
        .bind(state.ids.ordered())
        .bind(&request.url)
        .bind(&request.events)
        .bind(&request.name)
        .bind(secret.expose())
        .fetch_one(&mut *transaction)
        .await?;
    db::control::bump(&mut transaction, TOPIC).await?;
    transaction.commit().await?;
    state.endpoints_changed().await;
    Ok(Endpoint { secret: secret.expose().to_owned(), ..read(&row)? })
}

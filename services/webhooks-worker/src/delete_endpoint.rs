//! Operation `DeleteEndpoint`. Its deliveries and their attempts go with it.

use proto::webhooks::v1::{DeleteEndpointResponse, EndpointRequest};

use crate::Error;
use crate::endpoints::{TOPIC, id};
use crate::state::State;

const DELETE: &str = "DELETE FROM eventus.webhook_endpoints WHERE id = $1";

/// Deletes an endpoint; an attempt that is under way ends, no other begins. FORBIDDEN when there is none of this id.
pub(crate) async fn delete_endpoint(
    state: &State,
    request: EndpointRequest,
) -> Result<DeleteEndpointResponse, Error> {
    let mut transaction = state.db.begin().await?;
    let done = sqlx::query(DELETE).bind(id(&request.id)?).execute(&mut *transaction).await?;
    if done.rows_affected() == 0 {
        return Err(model::Error::forbidden().into());
    }
    db::control::bump(&mut transaction, TOPIC).await?;
    transaction.commit().await?;
    state.endpoints_changed().await;
    Ok(DeleteEndpointResponse {})
}

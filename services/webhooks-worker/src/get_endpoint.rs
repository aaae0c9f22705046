//! Operation `GetEndpoint`.

use proto::webhooks::v1::{Endpoint, EndpointRequest};

use crate::Error;
use crate::endpoints::{columns, id, read};
use crate::state::State;

const GET: &str = concat!("SELECT ", columns!(), " FROM eventus.webhook_endpoints WHERE id = $1");

/// One endpoint, without its secret. FORBIDDEN when there is none of this id.
pub(crate) async fn get_endpoint(state: &State, request: EndpointRequest) -> Result<Endpoint, Error> {
    let row = sqlx::query(GET).bind(id(&request.id)?).fetch_optional(&state.db).await?;
    read(&row.ok_or_else(model::Error::forbidden)?)
}

//! `/shares/auth`, `/shares/info/:share`: guests of shares come in. Shares themselves are items like any other.

use axum::extract::State;
use axum::response::Response;
use model::Error;
use proto::auth::v1::{LoginShareRequest, ReadShareRequest};
use serde::Deserialize;

use super::auth::tokens::{self, Mode};
use crate::answer;
use crate::body::JsonBody;
use crate::caller::Anyone;
use crate::failure::Failure;
use crate::path::Names;
use crate::state::Gateway;

#[derive(Deserialize)]
struct Credentials {
    share: Option<String>,
    password: Option<String>,
    mode: Option<Mode>,
}

/// POST /shares/auth
pub async fn login(
    State(gateway): State<Gateway>,
    Anyone(caller): Anyone,
    body: JsonBody,
) -> Result<Response, Failure> {
    let Credentials { share, password, mode } = body.parse()?;
    let share = share.ok_or_else(|| Error::invalid_payload("\"share\" is required"))?;
    let mode = mode.unwrap_or(Mode::Json);
    let request = LoginShareRequest { share, password, session_token: mode == Mode::Session };
    let tokens = gateway.auth().login_share(gateway.call(&caller, request)).await?.into_inner();
    Ok(tokens::answer(&gateway, mode, &tokens))
}

/// GET /shares/info/:share
pub async fn read(
    State(gateway): State<Gateway>,
    Anyone(caller): Anyone,
    Names(share): Names<String>,
) -> Result<Response, Failure> {
    let request = gateway.call(&caller, ReadShareRequest { share });
    Ok(answer::of(&gateway.auth().read_share(request).await?.into_inner().json))
}

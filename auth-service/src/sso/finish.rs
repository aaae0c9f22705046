//! The second half of a login: the browser is back, with what the provider says in the query and with what it has kept.

use std::collections::HashMap;

use model::{Error as Told, ErrorCode};
use proto::auth::v1::{FinishSsoRequest, FinishSsoResponse, TokensResponse};
use rpc::Caller;
use tokio::time::Instant;

use super::flight::{Flight, same};
use super::provider::Provider;
use super::{account, enter, exchange, person, redirect};
use crate::attempts::stall;
use crate::state::State;
use crate::{Error, login};

/// Finishes a login.
pub async fn finish(
    state: &State,
    caller: &Caller,
    request: FinishSsoRequest,
) -> Result<FinishSsoResponse, Error> {
    let started = Instant::now();
    let provider = state.providers.named(&request.provider)?;
    let name = &provider.config.name;
    let flight = Flight::opened(&request.flight, &state.sealer, name, state.clock.now());
    let session = provider.config.session;
    let done = match &flight {
        Some(flight) => attempt(state, caller, provider, flight, &request.parameters).await,
        None => Err(provider.refused("the browser has begun no login, or too long ago")),
    };
    login::count(state, &done);
    let told = match done {
        Ok((tokens, redirect)) => return Ok(FinishSsoResponse { redirect, tokens: Some(tokens), session }),
        Err(error) => error.public(),
    };
    if told.code.status() == 401 {
        stall(state, started).await;
    }
    let to = flight.map_or_else(|| state.config.sso.start(), |flight| flight.redirect);
    let redirect = redirect::with_reason(&to, told.code.as_str());
    Ok(FinishSsoResponse { redirect, tokens: None, session })
}

async fn attempt(
    state: &State,
    caller: &Caller,
    provider: &Provider,
    flight: &Flight,
    said: &HashMap<String, String>,
) -> Result<(TokensResponse, String), Error> {
    let said = |name: &str| said.get(name).map(String::as_str);
    if !said("state").is_some_and(|state| same(state, &flight.state)) {
        return Err(provider.refused("the answer is of another login"));
    }
    let endpoints = provider.endpoints().await?;
    if let Some(issuer) = &endpoints.issuer
        && said("iss").map_or(endpoints.names_itself, |iss| iss != issuer)
    {
        return Err(provider.refused("the answer is of another issuer"));
    }
    if said("error").is_some() {
        return Err(provider.refused("the provider, or its user, has refused"));
    }
    let code = said("code").ok_or_else(|| provider.refused("the answer has no code"))?;
    let claims = exchange::claims(state, provider, &endpoints, flight, code).await?;
    let person = person::of(&provider.config, &claims).map_err(|why| provider.refused(why))?;
    let user = account::settle(state, caller, provider, &person).await?;
    let otp = flight.otp.as_deref();
    let entry = enter::Entry { user, otp, provider: &provider.config.name, session: provider.config.session };
    match enter::enter(state, caller, &entry).await? {
        Some(tokens) => Ok((tokens, flight.redirect.clone())),
        None => Err(Told::new(ErrorCode::InvalidCredentials).into()),
    }
}

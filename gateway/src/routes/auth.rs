//! `/auth`: logins, in the three modes json, cookie and session.

pub mod sso;
pub mod tokens;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use model::Error;
use proto::auth::v1::{GetPublicKeysRequest, LoginRequest, LogoutRequest, ProvidersRequest, RefreshRequest};
use serde::{Deserialize, Serialize};

use crate::answer;
use crate::body::JsonBody;
use crate::caller::{Anyone, require_home};
use crate::config::CookieConfig;
use crate::cookie;
use crate::failure::Failure;
use crate::state::Gateway;

use tokens::Mode;

#[derive(Deserialize)]
struct Credentials {
    email: Option<String>,
    password: Option<String>,
    otp: Option<String>,
    mode: Option<Mode>,
}

#[derive(Deserialize)]
struct Refresh {
    refresh_token: Option<String>,
    mode: Option<Mode>,
}

#[derive(Serialize)]
struct Provider<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    driver: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    icon: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ways<'a> {
    data: Vec<Provider<'a>>,
    disable_default: bool,
}

/// GET /auth: the ways to log in beside the local one; `?sessionOnly`: only those that bring a session token.
pub async fn providers(
    State(gateway): State<Gateway>,
    Anyone(caller): Anyone,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let all = gateway.auth().providers(gateway.call(&caller, ProvidersRequest {})).await?.into_inner();
    let only_sessions = sso::parameter(query.as_deref(), "sessionOnly").is_some();
    let shown = all.providers.iter().filter(|provider| provider.session || !only_sessions);
    let data = shown
        .map(|provider| Provider {
            name: &provider.name,
            driver: &provider.driver,
            icon: provider.icon.as_deref(),
            label: provider.label.as_deref(),
        })
        .collect();
    // Structs of texts: JSON can always be made of them.
    let ways = Ways { data, disable_default: all.disable_default };
    Ok(answer::respond(serde_json::to_vec(&ways).unwrap_or_default()))
}

/// GET /.well-known/jwks.json: the public keys of access tokens, for others who verify them.
pub async fn public_keys(
    State(gateway): State<Gateway>,
    Anyone(caller): Anyone,
) -> Result<Response, Failure> {
    let request = gateway.call(&caller, GetPublicKeysRequest {});
    Ok(answer::respond(gateway.auth().get_public_keys(request).await?.into_inner().json))
}

/// POST /auth/login
pub async fn login(
    State(gateway): State<Gateway>,
    Anyone(caller): Anyone,
    body: JsonBody,
) -> Result<Response, Failure> {
    let Credentials { email, password, otp, mode } = body.parse()?;
    let email = email.ok_or_else(|| Error::invalid_payload("\"email\" is required"))?;
    if !email.contains('@') {
        return Err(Error::invalid_payload("\"email\" must be a valid email").into());
    }
    let password = password.ok_or_else(|| Error::invalid_payload("\"password\" is required"))?;
    let mode = mode.unwrap_or(Mode::Json);
    let request = LoginRequest { email, password, otp, session_token: mode == Mode::Session };
    let tokens = gateway.auth().login(gateway.call(&caller, request)).await?.into_inner();
    Ok(tokens::answer(&gateway, mode, &tokens))
}

/// POST /auth/refresh
pub async fn refresh(
    State(gateway): State<Gateway>,
    Anyone(caller): Anyone,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Failure> {
    let asked: Refresh = body.parse()?;
    let mode = asked.mode.unwrap_or(if asked.refresh_token.is_some() { Mode::Json } else { Mode::Cookie });
    let cookie = match mode {
        Mode::Session => &gateway.config.session_cookie,
        Mode::Json | Mode::Cookie => &gateway.config.refresh_cookie,
    };
    let refresh_token = token(&gateway, &headers, asked, &[cookie])?;
    let request = RefreshRequest { refresh_token, session_token: mode == Mode::Session };
    let tokens = gateway.auth().refresh(gateway.call(&caller, request)).await?.into_inner();
    Ok(tokens::answer(&gateway, mode, &tokens))
}

/// POST /auth/logout
pub async fn logout(
    State(gateway): State<Gateway>,
    Anyone(caller): Anyone,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Failure> {
    let asked: Refresh = body.parse()?;
    let (refresh, session) = (&gateway.config.refresh_cookie, &gateway.config.session_cookie);
    let cookies = if asked.mode == Some(Mode::Session) { [session, refresh] } else { [refresh, session] };
    let refresh_token = token(&gateway, &headers, asked, &cookies)?;
    gateway.auth().logout(gateway.call(&caller, LogoutRequest { refresh_token })).await?;
    Ok(tokens::forget(&gateway, &headers))
}

/// The refresh token: from the body, else from the first of these cookies that came, and then only from home.
fn token(
    gateway: &Gateway,
    headers: &HeaderMap,
    asked: Refresh,
    cookies: &[&CookieConfig],
) -> Result<String, Error> {
    if let Some(token) = asked.refresh_token.filter(|token| !token.is_empty()) {
        return Ok(token);
    }
    let found = cookies.iter().find_map(|cookie| cookie::find(headers, &cookie.name));
    let reason = "The refresh token is required in either the payload or cookie";
    let token = found.ok_or_else(|| Error::invalid_payload(reason))?;
    require_home(headers, gateway)?;
    Ok(token.to_owned())
}

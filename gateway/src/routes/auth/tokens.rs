//! How tokens are handed out: in the body, or in cookies that scripts can't read.

use axum::response::Response;
use http::HeaderMap;
use http::header::SET_COOKIE;
use proto::auth::v1::TokensResponse;
use serde::{Deserialize, Serialize};
use time::Duration;

use crate::config::CookieConfig;
use crate::state::Gateway;
use crate::{answer, cookie};

/// Where the client keeps its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Both tokens in the body.
    Json,
    /// The refresh token in a cookie.
    Cookie,
    /// One access token for all, in a cookie.
    Session,
}

#[derive(Serialize)]
struct Given<'a> {
    expires: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<&'a str>,
}

/// The answer to a login or refresh.
pub fn answer(gateway: &Gateway, mode: Mode, tokens: &TokensResponse) -> Response {
    let config = &gateway.config;
    let TokensResponse { access_token, refresh_token, expires, refresh_expires } = tokens;
    let expires = *expires;
    let shown = Given {
        expires,
        refresh_token: (mode == Mode::Json).then_some(refresh_token),
        access_token: (mode != Mode::Session).then_some(access_token),
    };
    let response = answer::value(&shown);
    match mode {
        Mode::Json => response,
        Mode::Cookie => {
            with_cookie(gateway, response, &config.refresh_cookie, refresh_token, *refresh_expires)
        }
        Mode::Session => with_cookie(gateway, response, &config.session_cookie, access_token, expires),
    }
}

/// Hands the tokens out in a cookie with an answer that says nothing of them: all in one (`session`), or the refresh
/// token.
pub fn kept(gateway: &Gateway, response: Response, session: bool, tokens: &TokensResponse) -> Response {
    let config = &gateway.config;
    if session {
        return with_cookie(gateway, response, &config.session_cookie, &tokens.access_token, tokens.expires);
    }
    let (token, expires) = (&tokens.refresh_token, tokens.refresh_expires);
    with_cookie(gateway, response, &config.refresh_cookie, token, expires)
}

/// 204, and the browser forgets the cookies that it sent.
pub fn forget(gateway: &Gateway, sent: &HeaderMap) -> Response {
    let mut response = answer::empty();
    for config in [&gateway.config.refresh_cookie, &gateway.config.session_cookie] {
        if let (Some(_), Some(line)) = (cookie::find(sent, &config.name), cookie::clear(config)) {
            response.headers_mut().append(SET_COOKIE, line);
        }
    }
    response
}

fn with_cookie(
    gateway: &Gateway,
    mut response: Response,
    config: &CookieConfig,
    token: &str,
    milliseconds: i64,
) -> Response {
    let lifetime = Duration::milliseconds(milliseconds);
    // Our own tokens are cookie text.
    if let Some(line) = cookie::set(config, token, lifetime, &*gateway.clock) {
        response.headers_mut().append(SET_COOKIE, line);
    }
    response
}

//! `/auth/login/:provider`: a browser goes to a provider of single sign-on and comes back.
//!
//! What it carries meanwhile is a cookie that the auth service has sealed; in a browser that has none, the answer of a
//! provider is good for nothing.

use std::collections::HashMap;

use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use model::Error;
use percent_encoding::percent_decode_str;
use proto::auth::v1::{BeginSsoRequest, FinishSsoRequest};
use time::Duration;

use super::tokens;
use crate::body;
use crate::caller::Anyone;
use crate::config::{CookieConfig, SameSite};
use crate::cookie;
use crate::failure::Failure;
use crate::path::Names;
use crate::state::Gateway;

/// What a provider says in its answer, as far as it is looked at.
const SAID: [&str; 4] = ["code", "state", "error", "iss"];
/// Bytes of an answer that is posted.
const LONGEST: usize = 64 * 1024;

/// GET /auth/login/:provider: 302 to the provider.
pub async fn begin(
    State(gateway): State<Gateway>,
    Anyone(caller): Anyone,
    Names(provider): Names<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let config = flight(&gateway, &provider)?;
    let given = |name| parameter(query.as_deref(), name);
    let (redirect, otp) = (given("redirect"), given("otp").filter(|otp| !otp.is_empty()));
    let prompt = given("prompt").is_some_and(|prompt| !prompt.is_empty());
    let request = BeginSsoRequest { provider, redirect, otp, prompt };
    let begun = gateway.auth().begin_sso(gateway.call(&caller, request)).await?.into_inner();
    let mut response = moved(StatusCode::FOUND, &begun.url)?;
    let lifetime = Duration::milliseconds(begun.lifetime);
    let line = cookie::set(&config, &begun.flight, lifetime, &*gateway.clock);
    response.headers_mut().append(SET_COOKIE, line.ok_or_else(Error::internal)?);
    Ok(response)
}

/// GET /auth/login/:provider/callback: the provider's answer. 302 to where the login ends.
pub async fn finish(
    State(gateway): State<Gateway>,
    Anyone(caller): Anyone,
    Names(provider): Names<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let config = flight(&gateway, &provider)?;
    let parameters = said(query.as_deref());
    let flight = cookie::find(&headers, &config.name).unwrap_or_default().to_owned();
    let request = FinishSsoRequest { provider, flight, parameters };
    // Whatever comes of it, what the browser carried is used up.
    let used = cookie::clear(&config);
    let done = match gateway.auth().finish_sso(gateway.call(&caller, request)).await {
        Ok(done) => done.into_inner(),
        Err(status) => return Err(Failure::from(status).with_cookie(used)),
    };
    let mut response = moved(StatusCode::FOUND, &done.redirect)?;
    if let Some(tokens) = &done.tokens {
        response = tokens::kept(&gateway, response, done.session, tokens);
    }
    response.headers_mut().extend(used.map(|line| (SET_COOKIE, line)));
    Ok(response)
}

/// POST /auth/login/:provider/callback: the provider's answer as a form (`response_mode` `form_post`). A browser brings
/// its cookie only when it asks by itself, so it is told to ask again.
pub async fn posted(
    State(gateway): State<Gateway>,
    Names(provider): Names<String>,
    request: Request,
) -> Result<Response, Failure> {
    flight(&gateway, &provider)?;
    let form = body::read_file(request, LONGEST).await?;
    let said = said(std::str::from_utf8(&form).ok());
    let text = |(name, value): (&String, &String)| {
        let value = percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
        format!("{name}={value}")
    };
    let pairs: Vec<String> = said.iter().map(text).collect();
    moved(StatusCode::SEE_OTHER, &format!("./callback?{}", pairs.join("&")))
}

/// The cookie of a login that has begun. Only this host sets it where it is secure: no neighbour can put his own login
/// into somebody's browser.
fn flight(gateway: &Gateway, provider: &str) -> Result<CookieConfig, Failure> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if provider.is_empty() || provider.len() > 64 || !provider.bytes().all(plain) {
        return Err(Failure::route_not_found(&format!("/auth/login/{provider}")));
    }
    let secure = gateway.config.session_cookie.secure;
    let prefix = if secure { "__Host-" } else { "" };
    // The way back is a navigation from another site.
    let same_site = SameSite::Lax;
    Ok(CookieConfig { name: format!("{prefix}eventus_login_{provider}"), domain: None, secure, same_site })
}

/// The first parameter of this name.
pub fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs
        .map(|(key, value)| (decoded(key), value))
        .find(|(key, _)| key == name)
        .map(|(_, value)| decoded(value))
}

fn said(query: Option<&str>) -> HashMap<String, String> {
    let one = |name: &str| Some((name.to_owned(), parameter(query, name)?));
    SAID.into_iter().filter_map(one).collect()
}

fn moved(status: StatusCode, to: &str) -> Result<Response, Failure> {
    let to = HeaderValue::from_str(to).map_err(|_| Error::internal())?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(LOCATION, to);
    // Nobody keeps it, and nobody is told where it came from: codes stand in addresses here.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

//! Code -> tokens -> claims, spoken with the provider itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use outbound::Request;
use serde::Deserialize;

use super::begin::{encoded, form};
use super::config::ClientAuth;
use super::flight::Flight;
use super::id_token::{self, Expected, Refused};
use super::person::Claims;
use super::provider::{Endpoints, Provider, json};
use crate::Error;
use crate::state::State;

/// Longest code.
const LONGEST: usize = 8 * 1024;

/// What the provider gives for a code.
#[derive(Deserialize)]
struct Tokens {
    access_token: Option<String>,
    id_token: Option<String>,
    token_type: Option<String>,
}

#[derive(Deserialize)]
struct Failed {
    error: String,
}

/// What a code stands for: claims of its owner, the most trusted last.
///
/// # Errors
/// `INVALID_CREDENTIALS` for what is not believed, `SERVICE_UNAVAILABLE` when the provider is no help.
pub async fn claims(
    state: &State,
    provider: &Provider,
    endpoints: &Endpoints,
    flight: &Flight,
    code: &str,
) -> Result<Vec<Claims>, Error> {
    let tokens = redeem(state, provider, endpoints, flight, code).await?;
    let Some(issuer) = &endpoints.issuer else {
        let person = owner(provider, endpoints, &tokens).await?;
        return Ok(vec![person.ok_or_else(|| provider.away("it does not say who that is"))?]);
    };
    let token = tokens.id_token.as_deref().ok_or_else(|| provider.away("it gives no id token"))?;
    let expected = Expected {
        issuer,
        client_id: &provider.config.client_id,
        nonce: &flight.nonce,
        now: state.clock.now(),
    };
    let mut verified = id_token::verify(token, &provider.keys(endpoints, false).await?, &expected);
    if verified == Err(Refused::UnknownKey) {
        verified = id_token::verify(token, &provider.keys(endpoints, true).await?, &expected);
    }
    let claims = verified.map_err(|error| match error {
        Refused::UnknownKey => provider.refused("the id token is signed by an unknown key"),
        Refused::Because(why) => provider.refused(why),
    })?;
    let mut sources = Vec::new();
    if let Some(person) = owner(provider, endpoints, &tokens).await? {
        if person.get("sub") != claims.get("sub") {
            return Err(provider.refused("id token and access token are of two people"));
        }
        sources.push(person);
    }
    sources.push(claims);
    Ok(sources)
}

async fn redeem(
    state: &State,
    provider: &Provider,
    endpoints: &Endpoints,
    flight: &Flight,
    code: &str,
) -> Result<Tokens, Error> {
    if code.is_empty() || code.len() > LONGEST {
        return Err(provider.refused("the code is none"));
    }
    let config = &provider.config;
    let callback = state.config.sso.callback(&config.name);
    let secret = config.client_secret.as_ref().map_or("", |secret| secret.expose());
    let mut pairs = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &callback),
        ("code_verifier", &flight.verifier),
    ];
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    match config.client_auth {
        ClientAuth::Basic => {
            let pair = STANDARD.encode(format!("{}:{}", encoded(&config.client_id), encoded(secret)));
            authorize(&mut headers, &format!("Basic {pair}"));
        }
        ClientAuth::Post => {
            pairs.extend([("client_id", config.client_id.as_str()), ("client_secret", secret)])
        }
        ClientAuth::None => pairs.push(("client_id", &config.client_id)),
    }
    let url = endpoints.token.clone();
    let request = Request { method: Method::POST, url, headers, body: form(&pairs).into(), deadline: None };
    let (status, body) = provider.send(request).await.map_err(|why| provider.away(why))?;
    if status == StatusCode::OK {
        let tokens: Tokens = json(&body).map_err(|why| provider.away(why))?;
        let bearer = tokens.token_type.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
        return match tokens.access_token.is_some() && bearer {
            true => Ok(tokens),
            false => Err(provider.refused("the code is good for nothing")),
        };
    }
    match json::<Failed>(&body) {
        Ok(failed) if failed.error == "invalid_grant" => {
            Err(provider.refused("the code is not good, or was used"))
        }
        _ => Err(provider.away("it takes no codes of ours: are CLIENT_ID and CLIENT_SECRET right?")),
    }
}

/// Who the owner of the access token is; `None` when this provider says that in the id token only.
async fn owner(provider: &Provider, endpoints: &Endpoints, tokens: &Tokens) -> Result<Option<Claims>, Error> {
    let (Some(url), Some(token)) = (&endpoints.person, &tokens.access_token) else { return Ok(None) };
    let mut headers = HeaderMap::new();
    authorize(&mut headers, &format!("Bearer {token}"));
    let body = provider.get(url.clone(), headers).await.map_err(|why| provider.away(why))?;
    json(&body).map(Some).map_err(|why| provider.away(why))
}

/// What is no header text is left out; the provider refuses then.
fn authorize(headers: &mut HeaderMap, text: &str) {
    if let Ok(mut value) = HeaderValue::from_str(text) {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
}

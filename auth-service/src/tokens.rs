//! Access tokens: JWT (HS256 by `SECRET`, or by private keys; the key says the algorithm) with Directus's claims and the session they live by.
//!
//! Role and rights in the claims are for the client's eyes: who acts is read from the database each time.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Error as Told, ErrorCode};
use proto::auth::v1::TokensResponse;
use rpc::jws::{self, Expected, Key};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::access::Known;
use crate::state::State;
use crate::token::RefreshToken;
use crate::{Config, Error};

const ISSUER: &str = "directus";
const TYPE: &str = "JWT";

/// How the client keeps its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A short access token beside a refresh token.
    Pair,
    /// One long access token that carries its refresh token (`mode: session`).
    Session,
}

impl Mode {
    /// The mode of a request.
    pub fn of(session_token: bool) -> Self {
        if session_token { Self::Session } else { Self::Pair }
    }

    /// How long its access token lives.
    pub fn access_lifetime(self, config: &Config) -> Duration {
        match self {
            Self::Pair => config.access_ttl,
            Self::Session => config.session_ttl,
        }
    }

    /// How long its session lives without a refresh.
    pub fn refresh_lifetime(self, config: &Config) -> Duration {
        match self {
            Self::Pair => config.refresh_ttl,
            Self::Session => config.session_ttl,
        }
    }
}

/// Claims of an access token.
#[derive(Serialize, Deserialize)]
pub struct Claims {
    /// User; absent for the guest of a share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// His role.
    pub role: Option<Uuid>,
    /// Any policy grants the app.
    pub app_access: bool,
    /// Any policy grants everything.
    pub admin_access: bool,
    /// A policy demands a second factor that he has not got yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub enforce_tfa: bool,
    /// The share that its guest came in by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Uuid>,
    /// The session's name; the token is good only while it lives.
    pub sid: String,
    /// Session mode: the refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// When it was made, Unix seconds.
    pub iat: i64,
    /// When it expires, Unix seconds.
    pub exp: i64,
    /// `directus`, so that existing consumers take it.
    pub iss: String,
}

/// Makes the answer to a login or refresh of somebody at an address.
pub fn issue(
    state: &State,
    (known, ip, enforce_tfa): (&Known, Option<&str>, bool),
    refresh: &RefreshToken,
    mode: Mode,
    now: OffsetDateTime,
) -> Result<TokensResponse, Error> {
    let held = known.at(ip)?;
    let (app, admin) = (held.app || held.admin, held.admin);
    let flags = (app, admin, enforce_tfa);
    signed(state, (Some(known.user), known.role, None), flags, refresh, mode, now)
}

/// Makes the answer to a login or refresh of a share's guest.
pub fn issue_guest(
    state: &State,
    share: Uuid,
    refresh: &RefreshToken,
    mode: Mode,
    now: OffsetDateTime,
) -> Result<TokensResponse, Error> {
    signed(state, (None, None, Some(share)), (false, false, false), refresh, mode, now)
}

fn signed(
    state: &State,
    (id, role, share): (Option<Uuid>, Option<Uuid>, Option<Uuid>),
    (app_access, admin_access, enforce_tfa): (bool, bool, bool),
    refresh: &RefreshToken,
    mode: Mode,
    now: OffsetDateTime,
) -> Result<TokensResponse, Error> {
    let lifetime = mode.access_lifetime(&state.config);
    let claims = Claims {
        id,
        role,
        app_access,
        admin_access,
        enforce_tfa,
        share,
        sid: refresh.session(),
        session: (mode == Mode::Session).then(|| refresh.as_str().to_owned()),
        iat: now.unix_timestamp(),
        exp: (now + lifetime).unix_timestamp(),
        iss: ISSUER.to_owned(),
    };
    Ok(TokensResponse {
        access_token: jws::sign(signing(state)?, &claims).map_err(rpc::Error::from)?,
        refresh_token: refresh.as_str().to_owned(),
        expires: model::milliseconds(lifetime),
        refresh_expires: model::milliseconds(mode.refresh_lifetime(&state.config)),
    })
}

/// The claims of an access token that is ours and has not expired.
///
/// # Errors
/// `TOKEN_EXPIRED`; `INVALID_CREDENTIALS` when the signature is not ours; `INVALID_TOKEN` when it is malformed, of
/// another algorithm or of another issuer.
pub fn read(state: &State, text: &str, now: OffsetDateTime) -> Result<Claims, Told> {
    let expected = Expected { now, issuer: Some(ISSUER), audience: None };
    jws::verify_by(&state.access_keys, text, &expected).map_err(|error| {
        Told::new(match error {
            jws::Error::Expired => ErrorCode::TokenExpired,
            jws::Error::Signature => ErrorCode::InvalidCredentials,
            _ => ErrorCode::InvalidToken,
        })
    })
}

/// The keys of access tokens: private ones where they are given, and `SECRET` itself, as existing consumers expect.
/// Tokens that it has signed are good to their end also when others sign now.
pub fn access_keys(config: &Config) -> Result<Vec<Key>, Error> {
    let given = config.access_keys.as_ref().map(|pem| Key::from_pem(pem.expose(), TYPE)).transpose();
    let mut keys = given.map_err(|_| Error::AccessKeys)?.unwrap_or_default();
    keys.push(Key::new(config.secret.expose().as_bytes(), TYPE));
    Ok(keys)
}

/// The public parts of these keys for others who verify, as JSON (RFC 7517). `SECRET` is not among them.
pub fn public_keys(state: &State) -> String {
    let keys: Vec<serde_json::Value> = state.access_keys.iter().filter_map(Key::jwk).collect();
    serde_json::json!({ "keys": keys }).to_string()
}

fn signing(state: &State) -> Result<&Key, Error> {
    state.access_keys.first().ok_or(Error::AccessKeys)
}

/// Whether a text is to be judged as a JWT: three parts, the first of them a JSON object. Any other text may be a
/// static token.
pub fn looks_like_jwt(text: &str) -> bool {
    let mut parts = text.split('.');
    let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    object::<HashMap<String, IgnoredAny>>(header).is_some()
}

/// The refresh token within an access token of session mode. Its signature and age do not matter: the refresh token
/// has to stand for itself.
pub fn carried(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Carrier {
        session: String,
    }
    looks_like_jwt(text)
        .then(|| object::<Carrier>(text.split('.').nth(1)?))
        .flatten()
        .map(|found| found.session)
}

fn object<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

//! Links that are mailed: a signed text that says for what and whom, and pages that it may be given to.
//!
//! As in the original they are JWT by `SECRET` with a `scope`, so an access token is none of them and none of them an
//! access token. A link of a password names the present password by a keyed hash: it ends with it.

mod allowed;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Error as Told, ErrorCode};
use ring::hmac;
use rpc::jws::{self, Expected, Key};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use url::Url;

use crate::Error;
use crate::config::LinkConfig;

pub use allowed::Allowed;

const ISSUER: &str = "directus";

/// What a link is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Setting a password.
    PasswordReset,
    /// Accepting an invitation.
    Invite,
    /// Saying that one's address is one's own.
    PendingRegistration,
}

/// What a link says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Whom it was sent to.
    pub email: String,
    /// What it is good for.
    pub scope: Scope,
    /// The password that it is to take the place of, hashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    iat: i64,
    exp: i64,
    iss: String,
}

/// Makes and reads links.
pub struct Links {
    key: Key,
    passwords: hmac::Key,
}

impl Links {
    /// With keys of `secret`.
    pub fn new(secret: &str) -> Self {
        let own = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let derived = hmac::sign(&own, b"eventus passwords in links v1");
        Self {
            key: Key::new(secret.as_bytes(), "JWT"),
            passwords: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()),
        }
    }

    /// The token of a link.
    ///
    /// # Errors
    /// Never: claims are JSON.
    pub fn token(
        &self,
        scope: Scope,
        email: &str,
        hash: Option<String>,
        (now, lifetime): (OffsetDateTime, Duration),
    ) -> Result<String, Error> {
        let claims = Claims {
            email: email.to_owned(),
            scope,
            hash,
            iat: now.unix_timestamp(),
            exp: (now + lifetime).unix_timestamp(),
            iss: ISSUER.to_owned(),
        };
        Ok(jws::sign(&self.key, &claims).map_err(rpc::Error::from)?)
    }

    /// What a token says, if it is ours, of this scope, and not over.
    ///
    /// # Errors
    /// `INVALID_TOKEN`, `TOKEN_EXPIRED`; `FORBIDDEN` when it is good for something else.
    pub fn read(&self, token: &str, scope: Scope, now: OffsetDateTime) -> Result<Claims, Told> {
        let expected = Expected { now, issuer: Some(ISSUER), audience: None };
        let claims: Claims = jws::verify(&self.key, token, &expected).map_err(|error| {
            Told::new(match error {
                jws::Error::Expired => ErrorCode::TokenExpired,
                _ => ErrorCode::InvalidToken,
            })
        })?;
        if claims.scope == scope { Ok(claims) } else { Err(Told::forbidden()) }
    }

    /// How a link names a stored password, or that there is none yet.
    pub fn name_of(&self, user: uuid::Uuid, password: Option<&str>) -> String {
        let mut work = hmac::Context::with_key(&self.passwords);
        work.update(user.as_bytes());
        work.update(password.unwrap_or_default().as_bytes());
        URL_SAFE_NO_PAD.encode(&work.sign().as_ref()[..16])
    }

    /// Whether a link names this password; looked at to the end.
    pub fn names(&self, name: &str, user: uuid::Uuid, password: Option<&str>) -> bool {
        let right = self.name_of(user, password);
        right.len() == name.len()
            && right.bytes().zip(name.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

/// The address of a page with the token in its query; `own` is our page, where none is wished.
pub fn address(config: &LinkConfig, wished: Option<&Url>, own: &str, token: &str) -> String {
    match wished {
        Some(page) => {
            let mut page = page.clone();
            page.query_pairs_mut().append_pair("token", token);
            page.to_string()
        }
        None => page(config, &format!("{own}?token={token}")),
    }
}

/// The address of a page of ours.
pub fn page(config: &LinkConfig, path: &str) -> String {
    format!("{}/{path}", config.public_url.trim_end_matches('/'))
}

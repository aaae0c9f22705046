//! Compact JWS (RFC 7515), signed by one key and verified by several, so that keys can be changed while tokens live.
//!
//! The key says algorithm and type, the token has no say: `none`, other algorithms and tokens made for another
//! purpose are refused.

mod key;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub use key::{Key, NoKeys};

/// Longest token that is looked at, in bytes.
const LONGEST: usize = 16 * 1024;
/// How far the clocks of two processes may be apart, in seconds.
const SKEW: i64 = 5;

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a compact JWS of ours.
    #[error("malformed")]
    Malformed,
    /// Its header names another algorithm.
    #[error("another algorithm")]
    Algorithm,
    /// Its header names another type.
    #[error("another type")]
    Type,
    /// Not signed with this key, or changed since.
    #[error("bad signature")]
    Signature,
    /// `exp` has passed.
    #[error("expired")]
    Expired,
    /// `nbf` or `iat` lies in the future.
    #[error("not valid yet")]
    NotYet,
    /// `aud` is another.
    #[error("another audience")]
    Audience,
    /// `iss` is another.
    #[error("another issuer")]
    Issuer,
    /// The claims are no JSON object, or not the expected one.
    #[error("claims don't fit")]
    Claims,
}

/// What else a token must fulfil. `exp` is always demanded.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The present.
    pub now: OffsetDateTime,
    /// `iss` must be this.
    pub issuer: Option<&'a str>,
    /// `aud` must be this (or hold it).
    pub audience: Option<&'a str>,
}

#[derive(Serialize, Deserialize)]
struct Header<'a> {
    alg: &'a str,
    #[serde(default)]
    typ: Option<&'a str>,
    #[serde(default, skip_serializing)]
    crit: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Registered {
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    iat: Option<f64>,
    #[serde(default)]
    iss: Option<String>,
    #[serde(default)]
    aud: Option<Audience>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// The signed token of these claims. Put `exp` in them: `verify` wants it.
///
/// # Errors
/// `Claims` when they can't be written as JSON.
pub fn sign<C: Serialize>(key: &Key, claims: &C) -> Result<String, Error> {
    let payload = serde_json::to_vec(claims).map_err(|_| Error::Claims)?;
    let mut token = String::with_capacity(key.header.len() + payload.len() * 4 / 3 + 48);
    token.push_str(&key.header);
    BASE64.encode_string(&payload, &mut token);
    let tag = key.sign(token.as_bytes())?;
    token.push('.');
    BASE64.encode_string(tag, &mut token);
    Ok(token)
}

/// The claims of a token that one of these keys has signed: the one whose name it bears, or of those without a name
/// whichever it was.
///
/// # Errors
/// Why it is refused; of several keys what the last one says.
pub fn verify_by<C: DeserializeOwned>(
    keys: &[Key],
    token: &str,
    expected: &Expected<'_>,
) -> Result<C, Error> {
    let kid = kid(token)?;
    let mut refused = Error::Signature;
    for key in keys.iter().filter(|key| key.kid == kid) {
        match verify(key, token, expected) {
            Err(Error::Signature) => {}
            Err(other) => refused = other,
            verified => return verified,
        }
    }
    Err(refused)
}

/// The name of the key that a token claims to be signed by.
fn kid(token: &str) -> Result<Option<String>, Error> {
    #[derive(Deserialize)]
    struct Named {
        kid: Option<String>,
    }
    if token.len() > LONGEST {
        return Err(Error::Malformed);
    }
    let (header, _) = token.split_once('.').ok_or(Error::Malformed)?;
    let header = BASE64.decode(header).map_err(|_| Error::Malformed)?;
    let header: Named = serde_json::from_slice(&header).map_err(|_| Error::Malformed)?;
    Ok(header.kid)
}

/// The claims of a token, if everything about it is right. The signature is checked before anything in the claims
/// is looked at, in constant time.
pub fn verify<C: DeserializeOwned>(key: &Key, token: &str, expected: &Expected<'_>) -> Result<C, Error> {
    if token.len() > LONGEST {
        return Err(Error::Malformed);
    }
    let (signed, tag) = token.rsplit_once('.').ok_or(Error::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(Error::Malformed)?;
    if payload.contains('.') {
        return Err(Error::Malformed);
    }
    check_header(key, header)?;
    let tag = BASE64.decode(tag).map_err(|_| Error::Malformed)?;
    key.verify(signed.as_bytes(), &tag)?;
    let payload = BASE64.decode(payload).map_err(|_| Error::Malformed)?;
    check_claims(&payload, expected)?;
    serde_json::from_slice(&payload).map_err(|_| Error::Claims)
}

fn check_header(key: &Key, header: &str) -> Result<(), Error> {
    if key.header.strip_suffix('.') == Some(header) {
        return Ok(());
    }
    // Others may order or space it differently.
    let header = BASE64.decode(header).map_err(|_| Error::Malformed)?;
    let header: Header<'_> = serde_json::from_slice(&header).map_err(|_| Error::Malformed)?;
    if header.alg != key.alg || header.crit.is_some() {
        return Err(Error::Algorithm);
    }
    if header.typ != Some(key.typ.as_str()) {
        return Err(Error::Type);
    }
    Ok(())
}

fn check_claims(payload: &[u8], expected: &Expected<'_>) -> Result<(), Error> {
    let claims: Registered = serde_json::from_slice(payload).map_err(|_| Error::Claims)?;
    #[expect(clippy::cast_precision_loss, reason = "seconds of this age fit")]
    let (now, latest) = (expected.now.unix_timestamp() as f64, (expected.now.unix_timestamp() + SKEW) as f64);
    if now >= claims.exp {
        return Err(Error::Expired);
    }
    if claims.nbf.is_some_and(|nbf| nbf > latest) || claims.iat.is_some_and(|iat| iat > latest) {
        return Err(Error::NotYet);
    }
    if expected.issuer.is_some() && expected.issuer != claims.iss.as_deref() {
        return Err(Error::Issuer);
    }
    let meant = |wanted: &str| match &claims.aud {
        Some(Audience::One(one)) => one == wanted,
        Some(Audience::Many(many)) => many.iter().any(|one| one == wanted),
        None => false,
    };
    if expected.audience.is_some_and(|wanted| !meant(wanted)) {
        return Err(Error::Audience);
    }
    Ok(())
}

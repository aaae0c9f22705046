//! Id tokens (OpenID Connect Core 3.1.3.7): signed by the provider, for us, for this login, now.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::flight;
use super::keys::Key;

/// Longest token that is looked at, in bytes.
const LONGEST: usize = 64 * 1024;
/// How far the provider's clock may be from ours, in seconds.
const SKEW: i64 = 30;

/// What a token has to say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub nonce: &'a str,
    pub now: OffsetDateTime,
}

/// Why a token is refused; the text is for the log.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// Signed by a key that the set does not have: it may have changed.
    UnknownKey,
    /// Anything else.
    Because(&'static str),
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    #[serde(default)]
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Registered {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    nonce: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// The claims of a token, if everything about it is right. The signature comes before anything in the claims.
pub fn verify(token: &str, keys: &[Key], expected: &Expected<'_>) -> Result<Map<String, Value>, Refused> {
    let because = |why| move || Refused::Because(why);
    let malformed = because("the id token is malformed");
    if token.len() > LONGEST {
        return Err(malformed());
    }
    let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
    let (header, payload) = signed.split_once('.').ok_or_else(malformed)?;
    let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed());
    let header: Header = serde_json::from_slice(&bytes(header)?).map_err(|_| malformed())?;
    if header.crit.is_some() {
        return Err(Refused::Because("the id token has critical extensions"));
    }
    let key = choose(keys, &header)?;
    if !key.verifies(signed.as_bytes(), &bytes(signature)?) {
        return Err(Refused::Because("the id token's signature is wrong"));
    }
    let payload = bytes(payload)?;
    let claims: Registered =
        serde_json::from_slice(&payload).map_err(|_| Refused::Because("the id token's claims don't fit"))?;
    check(&claims, expected).map_err(Refused::Because)?;
    serde_json::from_slice(&payload).map_err(|_| malformed())
}

/// The key that a token names, if it is for the algorithm that the token names; without a name the only one that is.
fn choose<'a>(keys: &'a [Key], header: &Header) -> Result<&'a Key, Refused> {
    const KNOWN: [&str; 4] = ["RS256", "ES256", "EdDSA", "Ed25519"];
    if !KNOWN.contains(&header.alg.as_str()) {
        return Err(Refused::Because("the id token's algorithm is not one of ours"));
    }
    let mut fitting = keys.iter().filter(|key| key.is_for(&header.alg));
    let Some(id) = &header.kid else {
        let only = fitting.next().filter(|_| fitting.next().is_none());
        return only.ok_or(Refused::Because("the id token does not say which key has signed it"));
    };
    if let Some(found) = fitting.find(|key| key.id() == Some(id)) {
        return Ok(found);
    }
    if keys.iter().any(|key| key.id() == Some(id)) {
        return Err(Refused::Because("the id token's algorithm is not its key's"));
    }
    Err(Refused::UnknownKey)
}

fn check(claims: &Registered, expected: &Expected<'_>) -> Result<(), &'static str> {
    #[expect(clippy::cast_precision_loss, reason = "seconds of this age fit")]
    let (now, latest) = (expected.now.unix_timestamp() as f64, (expected.now.unix_timestamp() + SKEW) as f64);
    let (meant, alone) = match &claims.aud {
        Audience::One(one) => (one == expected.client_id, true),
        Audience::Many(many) => (many.iter().any(|one| one == expected.client_id), many.len() == 1),
    };
    let nonce = claims.nonce.as_deref().is_some_and(|nonce| flight::same(nonce, expected.nonce));
    let checks = [
        (claims.iss == expected.issuer, "the id token is of another issuer"),
        (meant, "the id token is for somebody else"),
        (alone || claims.azp.is_some(), "the id token is for several and does not say who asked"),
        (
            claims.azp.as_ref().is_none_or(|azp| azp == expected.client_id),
            "somebody else asked for the id token",
        ),
        (now < claims.exp, "the id token has expired"),
        (claims.iat <= latest, "the id token is of the future"),
        (claims.nbf.is_none_or(|nbf| nbf <= latest), "the id token is not valid yet"),
        (nonce, "the id token is of another login"),
        (!claims.sub.is_empty(), "the id token names nobody"),
    ];
    checks.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, why)| Err(why))
}

#[cfg(test)]
mod tests;

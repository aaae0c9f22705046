//! The signature that makes an accountability believable between processes of the fleet.

use std::sync::Arc;

use model::Accountability;
use ring::hmac;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{Error, jws};

/// How long a signed accountability is good, in seconds: as long as a call may wait to be sent.
const LIFETIME: i64 = 60;
const AUDIENCE: &str = "eventus";

/// Signs and verifies accountabilities with a key derived from the fleet's `SECRET`.
#[derive(Debug, Clone)]
pub struct Signer {
    key: Arc<jws::Key>,
}

#[derive(Serialize)]
struct Outgoing<'a> {
    aud: &'static str,
    iat: i64,
    exp: i64,
    acc: &'a Accountability,
}

#[derive(Deserialize)]
struct Incoming {
    acc: Accountability,
}

impl Signer {
    /// The signer of everyone who knows this secret. Its key is derived, so that it can sign nothing else.
    pub fn new(secret: &str) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let derived = hmac::sign(&secret, b"eventus accountability v1");
        Self { key: Arc::new(jws::Key::new(derived.as_ref(), "acc")) }
    }

    /// Good for 60 seconds from `now`.
    pub fn sign(&self, accountability: &Accountability, now: OffsetDateTime) -> String {
        let iat = now.unix_timestamp();
        let claims = Outgoing { aud: AUDIENCE, iat, exp: iat + LIFETIME, acc: accountability };
        // An Accountability is strings, numbers and lists: JSON can always be made of it. Were it not so, the
        // empty token is refused by everyone.
        jws::sign(&self.key, &claims).unwrap_or_default()
    }

    /// The accountability, if someone with our secret signed it less than 60 seconds ago.
    pub fn verify(&self, token: &str, now: OffsetDateTime) -> Result<Accountability, Error> {
        let expected = jws::Expected { now, issuer: None, audience: Some(AUDIENCE) };
        let claims: Incoming = jws::verify(&self.key, token, &expected)?;
        Ok(claims.acc)
    }
}

#[cfg(test)]
mod tests {
    use model::Accountability;
    use time::{Duration, OffsetDateTime};

    use super::Signer;
    use crate::{Error, jws};

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn why(result: Result<Accountability, Error>) -> jws::Error {
        match result {
            Err(Error::Token(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn good_for_a_minute_and_for_our_secret_only() {
        let signer = Signer::new("secret");
        let acts = Accountability::process("gateway");
        let token = signer.sign(&acts, NOW);
        assert_eq!(signer.verify(&token, NOW).unwrap(), acts);
        assert_eq!(signer.verify(&token, NOW + Duration::seconds(59)).unwrap(), acts);
        assert_eq!(why(signer.verify(&token, NOW + Duration::seconds(60))), jws::Error::Expired);
        assert_eq!(why(signer.verify(&token, NOW - Duration::seconds(10))), jws::Error::NotYet);
        assert_eq!(why(Signer::new("other").verify(&token, NOW)), jws::Error::Signature);
        assert_eq!(why(signer.verify("", NOW)), jws::Error::Malformed);
    }

    #[test]
    fn a_token_for_another_purpose_is_none() {
        // Same secret text, not derived: an access token of the auth service.
        let claims = serde_json::json!({ "exp": 1_000, "aud": "eventus", "acc": { "admin": true } });
        let token = jws::sign(&jws::Key::new(b"secret", "acc"), &claims).unwrap();
        assert_eq!(why(Signer::new("secret").verify(&token, NOW)), jws::Error::Signature);
        // The right key, but meant for somebody else.
        let signer = Signer::new("secret");
        let claims = serde_json::json!({ "exp": 1_000, "aud": "others", "acc": { "admin": true } });
        let token = jws::sign(&signer.key, &claims).unwrap();
        assert_eq!(why(signer.verify(&token, NOW)), jws::Error::Audience);
    }
}

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

/// Signs and verifies accountabilities with keys derived from the fleet's secrets: the first signs, all verify.
#[derive(Debug, Clone)]
pub struct Signer {
    keys: Arc<[jws::Key]>,
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
    /// The signer of everyone who knows this secret.
    pub fn new(secret: &str) -> Self {
        Self::of(&[secret])
    }

    /// The signer of a fleet that is on its way from one secret to another. Keys are derived, so that they can sign
    /// nothing else. Without a secret nothing can be signed or verified.
    pub fn of(secrets: &[impl AsRef<str>]) -> Self {
        let derived = |secret: &str| {
            let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            let derived = hmac::sign(&secret, b"eventus accountability v1");
            jws::Key::new(derived.as_ref(), "acc")
        };
        Self { keys: secrets.iter().map(|secret| derived(secret.as_ref())).collect() }
    }

    /// Good for 60 seconds from `now`.
    pub fn sign(&self, accountability: &Accountability, now: OffsetDateTime) -> String {
        let iat = now.unix_timestamp();
        let claims = Outgoing { aud: AUDIENCE, iat, exp: iat + LIFETIME, acc: accountability };
        // An Accountability is strings, numbers and lists: JSON can always be made of it. Were it not so, the
        // empty token is refused by everyone.
        self.keys.first().and_then(|key| jws::sign(key, &claims).ok()).unwrap_or_default()
    }

    /// The accountability, if someone with our secret signed it less than 60 seconds ago.
    pub fn verify(&self, token: &str, now: OffsetDateTime) -> Result<Accountability, Error> {
        let expected = jws::Expected { now, issuer: None, audience: Some(AUDIENCE) };
        let claims: Incoming = jws::verify_by(&self.keys, token, &expected)?;
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

    /// Every step of a rotation, beside the one before it and the one after it.
    #[test]
    fn a_fleet_changes_its_secret_without_a_refused_call() {
        let acts = Accountability::process("gateway");
        let steps: [&[&str]; 4] = [&["old"], &["old", "new"], &["new", "old"], &["new"]];
        let fleet = steps.map(Signer::of);
        for (index, one) in fleet.iter().enumerate() {
            let token = one.sign(&acts, NOW);
            for (other_index, other) in fleet.iter().enumerate() {
                let verified = other.verify(&token, NOW);
                if index.abs_diff(other_index) <= 1 {
                    assert_eq!(verified.unwrap(), acts, "{index} {other_index}");
                }
            }
        }
        let token = fleet[0].sign(&acts, NOW);
        assert_eq!(why(fleet[3].verify(&token, NOW)), jws::Error::Signature);
        assert_eq!(why(fleet[1].verify(&token, NOW + Duration::seconds(60))), jws::Error::Expired);
        let none: [&str; 0] = [];
        assert!(Signer::of(&none).verify(&Signer::of(&none).sign(&acts, NOW), NOW).is_err());
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
        let token = jws::sign(&signer.keys[0], &claims).unwrap();
        assert_eq!(why(signer.verify(&token, NOW)), jws::Error::Audience);
    }
}

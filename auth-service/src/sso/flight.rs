//! What a browser carries from the beginning of a login to its end: sealed, for one provider, for a few minutes. It is
//! what binds the answer of the provider to the browser that asked, and needs no memory of ours.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::Error;

/// How long somebody may take to log in at the provider.
pub const LIFETIME: Duration = Duration::from_secs(300);

/// A login that has begun.
#[derive(Debug, Serialize, Deserialize)]
pub struct Flight {
    /// What the provider gives back in its answer.
    pub state: String,
    /// What stands in the id token.
    pub nonce: String,
    /// PKCE: what only we know of the code.
    pub verifier: String,
    /// Where the browser goes in the end.
    pub redirect: String,
    /// One-time password of who has a second factor here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otp: Option<String>,
    /// When it is over, Unix seconds.
    until: i64,
}

impl Flight {
    /// A new one.
    ///
    /// # Errors
    /// When the machine gives no randomness.
    pub fn begun(redirect: String, otp: Option<String>, now: OffsetDateTime) -> Result<Self, Error> {
        let random = secrets::random_text::<32>;
        let (state, nonce, verifier) = (random()?, random()?, random()?);
        Ok(Self { state, nonce, verifier, redirect, otp, until: (now + LIFETIME).unix_timestamp() })
    }

    /// PKCE: what the provider is told of the verifier (S256).
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.verifier.as_bytes()))
    }

    /// The text that the browser keeps.
    ///
    /// # Errors
    /// When the machine gives no randomness.
    pub fn sealed(&self, sealer: &secrets::Sealer, provider: &str) -> Result<String, Error> {
        let json = serde_json::to_string(self).map_err(Error::Payload)?;
        Ok(sealer.seal(&json, &place(provider))?)
    }

    /// The login that a browser comes back from, if it is not over.
    pub fn opened(text: &str, sealer: &secrets::Sealer, provider: &str, now: OffsetDateTime) -> Option<Self> {
        let json = sealer.open(text, &place(provider)).ok()?;
        let flight: Self = serde_json::from_str(&json).ok()?;
        (now.unix_timestamp() < flight.until).then_some(flight)
    }
}

/// No collection's field: those have a dot.
fn place(provider: &str) -> String {
    format!("flight {provider}")
}

/// Whether two secrets are the same, in a time that says nothing of how far they are.
pub fn same(a: &str, b: &str) -> bool {
    digest(&SHA256, a.as_bytes()).as_ref() == digest(&SHA256, b.as_bytes()).as_ref()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use time::OffsetDateTime;

    use super::{Flight, LIFETIME};

    #[test]
    fn a_flight_ends_and_holds_for_its_provider_only() {
        let sealer =
            secrets::Sealer::try_new("a secret of more than 32 characters, as it should be").unwrap();
        let now = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let flight = Flight::begun("/x".to_owned(), None, now).unwrap();
        assert_eq!(flight.challenge().len(), 43);
        let sealed = flight.sealed(&sealer, "acme").unwrap();
        assert!(!sealed.contains(&flight.state));
        let opened = |text: &str, provider: &str, after: Duration| {
            Flight::opened(text, &sealer, provider, now + after).map(|flight| flight.state)
        };
        assert_eq!(opened(&sealed, "acme", Duration::ZERO), Some(flight.state));
        assert_eq!(opened(&sealed, "acme", LIFETIME), None);
        assert_eq!(opened(&sealed, "other", Duration::ZERO), None);
        assert_eq!(opened(&sealed[..sealed.len() - 1], "acme", Duration::ZERO), None);
        let other = secrets::Sealer::try_new("another secret of more than 32 characters, too").unwrap();
        assert!(Flight::opened(&sealed, &other, "acme", now).is_none());
    }
}

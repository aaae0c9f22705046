//! Signs deliveries as Standard Webhooks says (<https://www.standardwebhooks.com>): HMAC-SHA256 over id, time and
//! body, so that a receiver needs no code of ours.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use ring::rand::SecureRandom;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};
use time::OffsetDateTime;

/// What stands before the base64 text of a secret.
const PREFIX: &str = "whsec_";

/// Bytes of a secret that is made here.
const LENGTH: usize = 32;

/// A secret that an endpoint shares with us: `whsec_` + base64 of 24 to 64 bytes. Never printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why something is not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The secret is not `whsec_` + base64 of 24 to 64 bytes.
    #[error("a secret is `whsec_` and base64 of 24 to 64 bytes")]
    Secret,
    /// The machine gives no random bytes.
    #[error("no random bytes")]
    Random,
    /// The id or body is not what can be signed.
    #[error("can't be signed")]
    Content,
}

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// The random source has nothing.
    pub fn generate(random: &dyn SecureRandom) -> Result<Self, SignError> {
        let mut bytes = [0; LENGTH];
        random.fill(&mut bytes).map_err(|_| SignError::Random)?;
        Ok(Self(format!("{PREFIX}{}", BASE64.encode(bytes))))
    }

    /// Checks the form.
    ///
    /// # Errors
    /// It does not fit.
    pub fn parse(text: &str) -> Result<Self, SignError> {
        let bytes = text.strip_prefix(PREFIX).and_then(|encoded| BASE64.decode(encoded).ok());
        let fits = bytes.is_some_and(|bytes| (24..=64).contains(&bytes.len()));
        if fits { Ok(Self(text.to_owned())) } else { Err(SignError::Secret) }
    }

    /// Its text, to be stored or shown to its owner once.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Puts `webhook-id`, `webhook-timestamp` (of this attempt) and `webhook-signature` on a request. The id stays
    /// the same over all attempts; it must hold no dot.
    ///
    /// # Errors
    /// The id is no header text or holds a dot, or the body is no UTF-8.
    pub fn sign(
        &self,
        headers: &mut HeaderMap,
        id: &str,
        at: OffsetDateTime,
        body: &[u8],
    ) -> Result<(), SignError> {
        let webhook = Webhook::new(&self.0).map_err(|_| SignError::Secret)?;
        let timestamp = at.unix_timestamp();
        let signature = webhook.sign(id, timestamp, body).map_err(|_| SignError::Content)?;
        if id.contains('.') {
            return Err(SignError::Content);
        }
        let mut put = |name: &'static str, value: &str| {
            let value = HeaderValue::from_str(value).map_err(|_| SignError::Content)?;
            headers.insert(HeaderName::from_static(name), value);
            Ok(())
        };
        put(HEADER_WEBHOOK_ID, id)?;
        put(HEADER_WEBHOOK_TIMESTAMP, &timestamp.to_string())?;
        put(HEADER_WEBHOOK_SIGNATURE, &signature)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use model::{Clock as _, SystemClock};
    use ring::rand::SystemRandom;
    use standardwebhooks::Webhook;
    use time::OffsetDateTime;

    use super::{Secret, SignError};

    /// The vector of the specification's own libraries.
    #[test]
    fn signs_as_the_specification_does() {
        let secret = Secret::parse("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap();
        let at = OffsetDateTime::from_unix_timestamp(1_649_367_553).unwrap();
        let body = br#"{"email":"test@example.com","username":"test_user"}"#;
        let mut headers = HeaderMap::new();
        secret.sign(&mut headers, "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", at, body).unwrap();
        assert_eq!(headers["webhook-signature"], "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
        assert_eq!(headers["webhook-id"], "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk");
        assert_eq!(headers["webhook-timestamp"], "1649367553");
    }

    #[test]
    fn a_made_secret_signs_what_a_receiver_verifies() {
        let random = SystemRandom::new();
        let secret = Secret::generate(&random).unwrap();
        assert_ne!(secret, Secret::generate(&random).unwrap());
        assert_eq!(Secret::parse(secret.expose()).unwrap(), secret);
        assert!(!format!("{secret:?}").contains("whsec"));
        let mut headers = HeaderMap::new();
        secret.sign(&mut headers, "0199", SystemClock.now(), b"{}").unwrap();
        let receiver = Webhook::new(secret.expose()).unwrap();
        receiver.verify(b"{}", &headers).unwrap();
        assert!(receiver.verify(b"{ }", &headers).is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for bad in ["", "whsec_", "whsec_short", "C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_%%%"] {
            assert_eq!(Secret::parse(bad), Err(SignError::Secret), "{bad}");
        }
        let secret = Secret::parse("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap();
        let at = OffsetDateTime::UNIX_EPOCH;
        for (id, body) in [("a.b", "{}".as_bytes()), ("a\nb", b"{}"), ("a", b"\xff")] {
            let signed = secret.sign(&mut HeaderMap::new(), id, at, body);
            assert_eq!(signed, Err(SignError::Content), "{id:?}");
        }
    }
}

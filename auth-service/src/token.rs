//! The text of refresh tokens and their successors.
//!
//! A refresh token is 64 url-safe characters: 32 that name its session for as long as that lives, and 32 that change
//! with each refresh. Only hashes are stored. The successor of a token is a keyed hash of it, so that two requests
//! that refresh the same token at once are given the same successor, without the plain text being kept anywhere.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{digest, hmac};
use secrets::hex;

use crate::Error;

/// Characters of one half of a refresh token, and the random bytes behind them.
const HALF: usize = 32;
const HALF_BYTES: usize = 24;

/// The key that successors of refresh tokens are made with.
#[derive(Clone)]
pub struct Succession(hmac::Key);

impl Succession {
    /// Derives the key from `SECRET`.
    pub fn new(secret: &str) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let derived = hmac::sign(&secret, b"eventus refresh v1");
        Self(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }
}

/// The plain text of a refresh token. Never stored, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken(String);

impl RefreshToken {
    /// The first token of a new session.
    ///
    /// # Errors
    /// When the machine gives no randomness.
    pub fn fresh() -> Result<Self, Error> {
        let mut bytes = [0u8; HALF_BYTES * 2];
        secrets::random(&mut bytes)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Takes a client's text if it has the form of a refresh token.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == HALF * 2
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        fits.then(|| Self(text.to_owned()))
    }

    /// The text that the client keeps.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `directus_sessions.token`: lower-case hex SHA-256 of the half that stays.
    pub fn session(&self) -> String {
        hex(digest::digest(&digest::SHA256, &self.0.as_bytes()[..HALF]).as_ref())
    }

    /// SHA-256 of the whole token, 43 url-safe characters.
    pub fn hash(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, self.0.as_bytes()))
    }

    /// The token that follows this one.
    pub fn successor(&self, succession: &Succession) -> Self {
        let tag = hmac::sign(&succession.0, self.0.as_bytes());
        let mut text = self.0[..HALF].to_owned();
        URL_SAFE_NO_PAD.encode_string(&tag.as_ref()[..HALF_BYTES], &mut text);
        Self(text)
    }
}

#[cfg(test)]
mod tests {
    use super::{RefreshToken, Succession};

    #[test]
    fn tokens_have_64_characters_and_a_session_that_stays() {
        let succession = Succession::new("secret");
        let first = RefreshToken::fresh().unwrap();
        let second = first.successor(&succession);
        assert_eq!((first.as_str().len(), second.as_str().len()), (64, 64));
        assert_eq!(RefreshToken::parse(second.as_str()).map(|t| t.session()), Some(first.session()));
        assert_ne!(first.hash(), second.hash());
        assert_eq!(first.session().len(), 64);
        assert!(second == first.successor(&Succession::new("secret")));
        assert!(second != first.successor(&Succession::new("another")));
    }

    #[test]
    fn only_the_form_of_a_token_is_taken() {
        assert!(RefreshToken::parse("").is_none());
        assert!(RefreshToken::parse(&"a".repeat(63)).is_none());
        assert!(RefreshToken::parse(&"é".repeat(32)).is_none());
        assert!(RefreshToken::parse(&format!("{}'", "a".repeat(63))).is_none());
    }
}

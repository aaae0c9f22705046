//! Randomness for secrets.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SecureRandom;

use crate::Error;

/// Fills bytes that nobody can guess.
///
/// # Errors
/// When the machine gives no randomness.
pub fn random(bytes: &mut [u8]) -> Result<(), Error> {
    ring::rand::SystemRandom::new().fill(bytes).map_err(|_| Error::Random)
}

/// A random text of `BYTES` bytes, url-safe: generated passwords and static tokens.
///
/// # Errors
/// When the machine gives no randomness.
pub fn random_text<const BYTES: usize>() -> Result<String, Error> {
    let mut bytes = [0u8; BYTES];
    random(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

//! Values that are encrypted at rest: AES-256-GCM under a key derived from the fleet's secret (HKDF, RFC 5869).
//!
//! A sealed text is `$aes256gcm$` and base64 of nonce, ciphertext and tag. It opens only in the place that it was sealed
//! for, so nobody with write access to the table alone can move it to a field that he may read.
//!
//! What clients carry without reading it is sealed the same way, url-safe and under a key of its own purpose.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};

use crate::{Error, random};

const SEALED: &str = "$aes256gcm$";

/// Seals and opens texts.
#[derive(Debug)]
pub struct Sealer {
    key: LessSafeKey,
}

impl Sealer {
    /// With a key of its own from the fleet's `secret`. Another secret opens nothing of it.
    ///
    /// # Errors
    /// Never, as far as ring keeps to RFC 5869.
    pub fn try_new(secret: &str) -> Result<Self, Error> {
        Self::with_purpose(secret, "encrypted fields")
    }

    /// As [`Self::try_new`], for something else than fields.
    ///
    /// # Errors
    /// Never, as far as ring keeps to RFC 5869.
    pub fn with_purpose(secret: &str, purpose: &str) -> Result<Self, Error> {
        let extracted = Salt::new(HKDF_SHA256, b"eventus").extract(secret.as_bytes());
        let info = [purpose.as_bytes()];
        let expanded = extracted.expand(&info, &AES_256_GCM).map_err(|_| Error::Seal)?;
        Ok(Self { key: LessSafeKey::new(UnboundKey::from(expanded)) })
    }

    /// Seals a text for a place (`collection.field`).
    ///
    /// # Errors
    /// When the machine gives no randomness.
    pub fn seal(&self, text: &str, place: &str) -> Result<String, Error> {
        Ok(format!("{SEALED}{}", STANDARD_NO_PAD.encode(self.sealed(text.as_bytes(), place)?)))
    }

    /// Seals a few bytes for whom the context names, url-safe. The same bytes never look alike.
    ///
    /// # Errors
    /// When the machine gives no randomness.
    pub fn ticket(&self, bytes: &[u8], context: &str) -> Result<String, Error> {
        Ok(URL_SAFE_NO_PAD.encode(self.sealed(bytes, context)?))
    }

    /// Opens what was sealed in this context.
    ///
    /// # Errors
    /// `Seal` when it is no ticket of this secret, purpose and context.
    pub fn open_ticket(&self, ticket: &str, context: &str) -> Result<Vec<u8>, Error> {
        self.opened(URL_SAFE_NO_PAD.decode(ticket).map_err(|_| Error::Seal)?, context)
    }

    /// Nonce, ciphertext and tag.
    fn sealed(&self, clear: &[u8], place: &str) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(NONCE_LEN + clear.len() + AES_256_GCM.tag_len());
        bytes.resize(NONCE_LEN, 0);
        random(&mut bytes)?;
        let nonce = Nonce::try_assume_unique_for_key(&bytes).map_err(|_| Error::Seal)?;
        let mut sealed = clear.to_vec();
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(place.as_bytes()), &mut sealed)
            .map_err(|_| Error::Seal)?;
        bytes.append(&mut sealed);
        Ok(bytes)
    }

    fn opened(&self, mut bytes: Vec<u8>, place: &str) -> Result<Vec<u8>, Error> {
        if bytes.len() <= NONCE_LEN {
            return Err(Error::Seal);
        }
        let mut sealed = bytes.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&bytes).map_err(|_| Error::Seal)?;
        let clear = self
            .key
            .open_in_place(nonce, Aad::from(place.as_bytes()), &mut sealed)
            .map_err(|_| Error::Seal)?;
        Ok(clear.to_vec())
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// `Seal` when it is no sealed text, or was sealed with another secret or for another place.
    pub fn open(&self, sealed: &str, place: &str) -> Result<String, Error> {
        let bytes = sealed.strip_prefix(SEALED).and_then(|text| STANDARD_NO_PAD.decode(text).ok());
        let clear = self.opened(bytes.ok_or(Error::Seal)?, place)?;
        String::from_utf8(clear).map_err(|_| Error::Seal)
    }
}

#[cfg(test)]
mod tests {
    use super::Sealer;

    #[test]
    fn what_is_sealed_opens_here_and_nowhere_else() {
        let sealer = Sealer::try_new("a secret of more than 32 characters, as it should be").unwrap();
        for text in ["", "x", "Über die Brücke", "$aes256gcm$"] {
            let sealed = sealer.seal(text, "people.iban").unwrap();
            assert!(sealed.starts_with("$aes256gcm$"));
            // A letter or two may stand in any base64 by chance.
            assert!(text.len() < 8 || !sealed[11..].contains(text));
            assert_ne!(sealed, sealer.seal(text, "people.iban").unwrap(), "equal texts don't look equal");
            assert_eq!(sealer.open(&sealed, "people.iban").unwrap(), text);
            sealer.open(&sealed, "people.name").unwrap_err();
            let other = Sealer::try_new("another secret of more than 32 characters").unwrap();
            other.open(&sealed, "people.iban").unwrap_err();
            for at in 11..sealed.len() {
                let mut bent = sealed.clone().into_bytes();
                bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
                let bent = String::from_utf8(bent).unwrap();
                assert!(sealer.open(&bent, "people.iban").is_err(), "{at}");
            }
        }
        for wrong in ["", "text", "$aes256gcm$", "$aes256gcm$AAAA", "$aes256gcm$%"] {
            sealer.open(wrong, "people.iban").unwrap_err();
        }
    }

    #[test]
    fn tickets_open_for_whom_they_are() {
        let of = |purpose: &str| {
            Sealer::with_purpose("a secret of more than 32 characters, as it should be", purpose).unwrap()
        };
        let places = of("places");
        let ticket = places.ticket(&7i64.to_be_bytes(), "user 1").unwrap();
        assert_ne!(ticket, places.ticket(&7i64.to_be_bytes(), "user 1").unwrap());
        assert_eq!(places.open_ticket(&ticket, "user 1").unwrap(), 7i64.to_be_bytes());
        places.open_ticket(&ticket, "user 2").unwrap_err();
        of("others").open_ticket(&ticket, "user 1").unwrap_err();
        for at in 0..ticket.len() {
            let mut bent = ticket.clone().into_bytes();
            bent[at] = if bent[at] == b'A' { b'Q' } else { b'A' };
            assert!(places.open_ticket(&String::from_utf8(bent).unwrap(), "user 1").is_err(), "{at}");
        }
        for wrong in ["", "7", "AAAAAAAAAAAAAAAA", "%"] {
            places.open_ticket(wrong, "user 1").unwrap_err();
        }
    }
}

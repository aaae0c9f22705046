//! Values that are encrypted at rest: AES-256-GCM under a key derived from the fleet's secret (HKDF, RFC 5869).
//!
//! A sealed text is `$aes256gcm$` and base64 of nonce, ciphertext and tag. It opens only in the place that it was sealed
//! for, so nobody with write access to the table alone can move it to a field that he may read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
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
        let extracted = Salt::new(HKDF_SHA256, b"eventus").extract(secret.as_bytes());
        let expanded = extracted.expand(&[b"encrypted fields"], &AES_256_GCM).map_err(|_| Error::Seal)?;
        Ok(Self { key: LessSafeKey::new(UnboundKey::from(expanded)) })
    }

    /// Seals a text for a place (`collection.field`).
    ///
    /// # Errors
    /// When the machine gives no randomness.
    pub fn seal(&self, text: &str, place: &str) -> Result<String, Error> {
        let mut nonce = [0u8; NONCE_LEN];
        random(&mut nonce)?;
        let mut bytes = nonce.to_vec();
        let mut sealed = text.as_bytes().to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(place.as_bytes()), &mut sealed)
            .map_err(|_| Error::Seal)?;
        bytes.append(&mut sealed);
        Ok(format!("{SEALED}{}", STANDARD_NO_PAD.encode(bytes)))
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// `Seal` when it is no sealed text, or was sealed with another secret or for another place.
    pub fn open(&self, sealed: &str, place: &str) -> Result<String, Error> {
        let bytes = sealed.strip_prefix(SEALED).and_then(|text| STANDARD_NO_PAD.decode(text).ok());
        let mut bytes = bytes.filter(|bytes| bytes.len() > NONCE_LEN).ok_or(Error::Seal)?;
        let mut sealed = bytes.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&bytes).map_err(|_| Error::Seal)?;
        let text = self
            .key
            .open_in_place(nonce, Aad::from(place.as_bytes()), &mut sealed)
            .map_err(|_| Error::Seal)?;
        String::from_utf8(text.to_vec()).map_err(|_| Error::Seal)
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
}

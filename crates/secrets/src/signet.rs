//! Short texts that clients carry between requests and must not change: a tag under a key derived from the fleet's
//! secret (HKDF, RFC 5869; HMAC-SHA-256, cut to 128 bits).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac;

use crate::Error;

/// Bytes of a tag.
const TAG: usize = 16;

/// Makes and checks tags.
#[derive(Debug)]
pub struct Signet {
    key: hmac::Key,
}

impl Signet {
    /// With a key of its own from the fleet's `secret` for this purpose.
    ///
    /// # Errors
    /// Never, as far as ring keeps to RFC 5869.
    pub fn try_new(secret: &str, purpose: &str) -> Result<Self, Error> {
        let extracted = Salt::new(HKDF_SHA256, b"eventus").extract(secret.as_bytes());
        let info = [purpose.as_bytes()];
        let expanded = extracted.expand(&info, hmac::HMAC_SHA256).map_err(|_| Error::Seal)?;
        Ok(Self { key: hmac::Key::from(expanded) })
    }

    /// The text with its tag, url-safe. It holds in this context only, and everybody can read it.
    pub fn sign(&self, text: &[u8], context: &[u8]) -> String {
        let mut signed = text.to_vec();
        signed.extend_from_slice(&self.tag(text, context));
        URL_SAFE_NO_PAD.encode(signed)
    }

    /// The text that was signed in this context; nothing when it was not.
    pub fn verified(&self, signed: &str, context: &[u8]) -> Option<Vec<u8>> {
        let mut text = URL_SAFE_NO_PAD.decode(signed).ok()?;
        let tag = text.split_off(text.len().checked_sub(TAG)?);
        // Looked at to the end: whoever tries must not learn how far he came.
        let differs = self.tag(&text, context).iter().zip(&tag).fold(0, |differs, (a, b)| differs | (a ^ b));
        (differs == 0).then_some(text)
    }

    fn tag(&self, text: &[u8], context: &[u8]) -> [u8; TAG] {
        let mut work = hmac::Context::with_key(&self.key);
        // The length parts the two: no text passes for the end of a context.
        work.update(&(context.len() as u64).to_be_bytes());
        work.update(context);
        work.update(text);
        let mut tag = [0; TAG];
        tag.copy_from_slice(&work.sign().as_ref()[..TAG]);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::Signet;

    #[test]
    fn what_is_signed_holds_here_and_nowhere_else() {
        let signet = |secret: &str, purpose: &str| Signet::try_new(secret, purpose).unwrap();
        let own = signet("a secret of more than 32 characters, as it should be", "cursors");
        for (text, context) in [(&b""[..], &b"list"[..]), (b"[\"1\"]", b""), (b"text", b"list")] {
            let signed = own.sign(text, context);
            assert_eq!(own.verified(&signed, context), Some(text.to_vec()));
            assert_eq!(own.verified(&signed, b"another"), None);
            for other in [
                signet("another secret of more than 32 characters", "cursors"),
                signet("a secret of more than 32 characters, as it should be", "other"),
            ] {
                assert_eq!(other.verified(&signed, context), None);
            }
            for at in 0..signed.len() {
                let mut bent = signed.clone().into_bytes();
                bent[at] = if bent[at] == b'A' { b'Q' } else { b'A' };
                let bent = String::from_utf8(bent).unwrap();
                assert_eq!(own.verified(&bent, context), None, "{at}");
            }
            assert_eq!(own.verified(&signed[1..], context), None);
        }
        let signed = own.sign(b"b", b"a");
        assert_eq!(own.verified(&signed, b"ab"), None);
        for wrong in ["", "x", "%", "AAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(own.verified(wrong, b""), None);
        }
    }
}

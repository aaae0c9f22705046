//! One-time passwords of time (RFC 6238): SHA-1, six digits, steps of 30 seconds, as every app for them knows.

use data_encoding::BASE32_NOPAD;
use ring::hmac;
use time::OffsetDateTime;

use crate::Error;

/// Bytes of a new secret: what RFC 4226 recommends.
const BYTES: usize = 20;
/// Fewest bytes of a secret that a client may bring along: what the original makes.
const LEAST: usize = 10;
/// Characters of a stored secret, at most.
const LONGEST: usize = 255;
const STEP: i64 = 30;
const DIGITS: usize = 6;

/// A secret that is shared with an app.
pub struct Shared {
    text: String,
    key: hmac::Key,
}

impl Shared {
    /// A new one.
    ///
    /// # Errors
    /// The machine gives no randomness.
    pub fn fresh() -> Result<Self, Error> {
        let mut bytes = [0u8; BYTES];
        secrets::random(&mut bytes)?;
        Ok(Self::of(&bytes))
    }

    /// One that is stored: base32, however it is written.
    pub fn stored(text: &str) -> Option<Self> {
        let text: String = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '=' | '-')).collect();
        let bytes = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()?;
        (!bytes.is_empty()).then(|| Self::of(&bytes))
    }

    /// One that a client brings along: long enough that nobody guesses it.
    pub fn brought(text: &str) -> Option<Self> {
        let long = |shared: &Self| shared.text.len() * 5 / 8 >= LEAST;
        (text.len() <= LONGEST).then(|| Self::stored(text)).flatten().filter(long)
    }

    fn of(bytes: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, bytes);
        Self { text: BASE32_NOPAD.encode(bytes), key }
    }

    /// Base32 in capital letters, without padding: as it is stored and shown.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The step of time whose one-time password this is: the present one, or one before or after it. All are looked at,
    /// each to its end.
    pub fn step_of(&self, otp: &str, now: OffsetDateTime) -> Option<i64> {
        let present = now.unix_timestamp().div_euclid(STEP);
        let otp: [u8; DIGITS] = otp.as_bytes().try_into().ok()?;
        let same =
            |step: i64| self.password(step).iter().zip(otp).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0;
        [present - 1, present, present + 1].into_iter().fold(None, |found, step| {
            let fits = same(step);
            if fits { Some(step) } else { found }
        })
    }

    /// The digits of a step (RFC 4226, section 5.3).
    fn password(&self, step: i64) -> [u8; DIGITS] {
        let tag = hmac::sign(&self.key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let at = usize::from(tag[tag.len() - 1] & 15);
        let mut number = u32::from_be_bytes([tag[at] & 0x7f, tag[at + 1], tag[at + 2], tag[at + 3]]);
        let mut digits = [b'0'; DIGITS];
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        digits
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::Shared;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    /// Appendix B of RFC 6238, its last six digits.
    #[test]
    fn the_passwords_of_the_standard() {
        let shared = Shared::of(b"12345678901234567890");
        for (seconds, otp) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(shared.step_of(otp, at(seconds)), Some(seconds / 30), "{seconds}");
            assert_eq!(shared.step_of(otp, at(seconds + 30)), Some(seconds / 30));
            assert_eq!(shared.step_of(otp, at(seconds - 30)), Some(seconds / 30));
            assert_eq!(shared.step_of(otp, at(seconds + 90)), None);
            assert_eq!(shared.step_of(otp, at(seconds - 90)), None);
        }
        for wrong in ["", "28708", "2870820", "28708é", "abcdef"] {
            assert_eq!(shared.step_of(wrong, at(59)), None, "{wrong}");
        }
    }

    #[test]
    fn secrets_are_read_as_people_write_them() {
        let shared = Shared::fresh().unwrap();
        assert_eq!(shared.text().len(), 32);
        let lower = format!("{}====", shared.text().to_lowercase());
        for written in [shared.text(), &lower] {
            assert_eq!(Shared::brought(written).unwrap().text(), shared.text());
        }
        assert!(Shared::stored("AAAA").is_some() && Shared::brought("AAAA").is_none());
        assert!(Shared::brought("DALV2523MEXVEFZR").is_some(), "as long as the original's");
        for wrong in ["", "not base32!", "A", "01890189018901890189"] {
            assert!(Shared::stored(wrong).is_none(), "{wrong}");
        }
    }
}

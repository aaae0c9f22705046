//! Static tokens: stored as `sha256:` and the hash of their text; taken-over ones stand there as they are.

use ring::digest;

/// What a stored static token begins with when its hash is stored.
const HASHED: &str = "sha256:";

/// How a new static token is stored: `sha256:` and lower-case hex.
pub fn hashed_static(token: &str) -> String {
    format!("{HASHED}{}", hex(digest::digest(&digest::SHA256, token.as_bytes()).as_ref()))
}

/// The stored forms that a presented static token matches: hashed, and plain as a taken-over database has it.
/// Nothing when the presented text has the stored form itself, so that a leaked hash opens nothing.
pub fn stored_forms(presented: &str) -> Option<[String; 2]> {
    let usable = !presented.is_empty() && !presented.contains('\0') && !presented.starts_with(HASHED);
    usable.then(|| [hashed_static(presented), presented.to_owned()])
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{hashed_static, stored_forms};

    #[test]
    fn a_stored_hash_is_not_a_token() {
        let stored = hashed_static("abc");
        assert_eq!(stored, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(stored_forms(&stored).is_none());
        assert!(stored_forms("").is_none());
        assert!(stored_forms("a\0b").is_none());
        assert_eq!(stored_forms("abc"), Some([stored, "abc".to_owned()]));
    }
}

//! What a client does so that a write happens once and overwrites nothing unseen: `Idempotency-Key` and `If-Match`.

use axum::extract::FromRequestParts;
use http::header::IF_MATCH;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use model::Error;
use proto::items::v1::Condition;

use crate::failure::Failure;
use crate::state::Gateway;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Characters of a key.
const LONGEST: usize = 255;

/// `Idempotency-Key`: a string of HTTP's structured fields (`"a \\"key\\""`), or its characters as they are. Empty: none.
#[derive(Debug, Clone)]
pub struct IdempotencyKey(pub String);

/// `If-Match`. Of a tag only the version counts, so that the tags of one item fit whatever fields were shown.
#[derive(Debug, Clone)]
pub struct IfMatch(pub Option<Condition>);

impl IfMatch {
    /// Refuses it where there is no item yet.
    ///
    /// # Errors
    /// 400.
    pub fn refuse(&self) -> Result<(), Error> {
        match self.0 {
            Some(_) => Err(Error::invalid_header("If-Match", "is for one item that is there")),
            None => Ok(()),
        }
    }
}

impl FromRequestParts<Gateway> for IdempotencyKey {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Gateway) -> Result<Self, Failure> {
        key(&parts.headers).map(Self).map_err(Failure::from)
    }
}

impl FromRequestParts<Gateway> for IfMatch {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Gateway) -> Result<Self, Failure> {
        condition(&parts.headers).map(Self).map_err(Failure::from)
    }
}

fn key(headers: &HeaderMap) -> Result<String, Error> {
    let wrong = |reason: &str| Error::invalid_header("Idempotency-Key", reason);
    let mut lines = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(line) = lines.next() else { return Ok(String::new()) };
    if faults::is_on(faults::Mutant::NoIdempotency) {
        return Ok(String::new());
    }
    if lines.next().is_some() {
        return Err(wrong("stands there twice"));
    }
    let fits = "must be 1 to 255 printable ASCII characters";
    let text = line.to_str().map_err(|_| wrong(fits))?.trim();
    let text = match text.strip_prefix('"') {
        Some(rest) => quoted(rest).ok_or_else(|| wrong("is no well-formed string"))?,
        None => text.to_owned(),
    };
    if text.is_empty() || text.len() > LONGEST || !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(wrong(fits));
    }
    Ok(text)
}

/// What stands between the quotes, the first of which is gone.
fn quoted(rest: &str) -> Option<String> {
    let mut text = String::with_capacity(rest.len());
    let mut letters = rest.chars();
    loop {
        match letters.next()? {
            '"' => return letters.next().is_none().then_some(text),
            '\\' => text.push(letters.next().filter(|letter| matches!(letter, '"' | '\\'))?),
            letter => text.push(letter),
        }
    }
}

fn condition(headers: &HeaderMap) -> Result<Option<Condition>, Error> {
    if !headers.contains_key(IF_MATCH) || faults::is_on(faults::Mutant::NoIfMatch) {
        return Ok(None);
    }
    let wrong = || Error::invalid_header("If-Match", "must be * or entity tags between commas");
    let mut condition = Condition::default();
    let mut tags = 0;
    for line in headers.get_all(IF_MATCH) {
        let mut rest = line.to_str().map_err(|_| wrong())?.trim();
        if rest == "*" {
            condition.exists = true;
            tags += 1;
            continue;
        }
        while !rest.is_empty() {
            let (tag, after) = tag(rest).ok_or_else(wrong)?;
            // Tags that are none of an item's are allowed, and fit none.
            condition.versions.extend(version(tag));
            tags += 1;
            rest = match after.trim_start() {
                "" => "",
                more => more.strip_prefix(',').ok_or_else(wrong)?.trim_start(),
            };
        }
    }
    // `*` stands alone, and nothing at all is no condition.
    if tags == 0 || (condition.exists && tags > 1) {
        return Err(wrong());
    }
    Ok(Some(condition))
}

/// The first tag of a list without its quotes, and what comes after it. A proxy that compresses makes tags weak: the
/// version in them is as good as before.
fn tag(list: &str) -> Option<(&str, &str)> {
    list.strip_prefix("W/").unwrap_or(list).strip_prefix('"')?.split_once('"')
}

/// `7.11-mhIzk` and `7` are version 7.
fn version(tag: &str) -> Option<i64> {
    let digits = tag.split_once('.').map_or(tag, |(digits, _)| digits);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{condition, key};

    fn headers(name: &'static str, lines: &[&str]) -> HeaderMap {
        let pair =
            |line: &&str| (HeaderName::from_static(name), HeaderValue::from_bytes(line.as_bytes()).unwrap());
        lines.iter().map(pair).collect()
    }

    #[test]
    fn keys() {
        let of = |lines: &[&str]| key(&headers("idempotency-key", lines)).map_err(|error| error.message);
        assert_eq!(of(&[]).unwrap(), "");
        assert_eq!(of(&["abc"]).unwrap(), "abc");
        assert_eq!(of(&[r#""abc""#]).unwrap(), "abc");
        assert_eq!(of(&[r#" "a \"b\\" "#]).unwrap(), r#"a "b\"#);
        let long = "a".repeat(255);
        assert_eq!(of(&[&long]).unwrap(), long);
        let longer = "a".repeat(256);
        for wrong in [
            &[""][..],
            &[r#""""#],
            &[r#""a"#],
            &[r#""a"b"#],
            &[r#""\x""#],
            &["\u{e4}"],
            &["a\tb"],
            &[&longer],
            &["a", "a"],
        ] {
            assert!(of(wrong).unwrap_err().starts_with("Invalid header."), "{wrong:?}");
        }
    }

    #[test]
    fn conditions() {
        let of = |lines: &[&str]| {
            let found = condition(&headers("if-match", lines)).map_err(|error| error.message)?;
            Ok::<_, String>(found.map(|found| (found.exists, found.versions)))
        };
        let some = |exists, versions: &[i64]| Ok(Some((exists, versions.to_vec())));
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["*"]), some(true, &[]));
        assert_eq!(of(&[r#""7.11-mhIzk+6CZQ0xNbkxdoJWFe0RFnY""#]), some(false, &[7]));
        assert_eq!(of(&[r#""7""#]), some(false, &[7]));
        assert_eq!(of(&[r#"W/"7.x" , "8.y""#, r#""9""#]), some(false, &[7, 8, 9]));
        assert_eq!(of(&[r#"W/"13-Y72cZALG8c53AvookbtjwYVoS34""#]), some(false, &[]));
        assert_eq!(of(&[r#""+7.x","99999999999999999999.x","a,b""#]), some(false, &[]));
        for wrong in
            [&[""][..], &["7"], &[r#""7"#], &[r#""7" "8""#], &["*", r#""7""#], &["w/\"7\""], &["\u{e4}"]]
        {
            assert!(of(wrong).unwrap_err().starts_with("Invalid header."), "{wrong:?}");
        }
    }
}

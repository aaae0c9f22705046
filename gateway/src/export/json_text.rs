//! JSON text -> members in their order, numbers with every digit: what the encoders read an item from.
//!
//! The text is PostgreSQL's own and whole; what is not is an error all the same, never a panic.

use std::borrow::Cow;

/// Arrays and objects in each other. Bodies of requests may hold 64; what was stored otherwise may be deeper.
const DEPTH_LIMIT: usize = 512;

/// A value, borrowed from its text where that says it literally.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// As it is written.
    Number(&'a str),
    /// Unescaped.
    Text(Cow<'a, str>),
    /// `[..]`
    List(Vec<Json<'a>>),
    /// `{..}` in the order of the text.
    Object(Members<'a>),
}

/// The members of an object.
pub type Members<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

/// The text is no JSON, or nested too deeply.
#[derive(Debug, thiserror::Error)]
#[error("an item is no JSON that can be exported")]
pub struct Unreadable;

/// Reads a whole text.
///
/// # Errors
/// [`Unreadable`].
pub fn parse(text: &[u8]) -> Result<Json<'_>, Unreadable> {
    let text = std::str::from_utf8(text).map_err(|_| Unreadable)?;
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.blank();
    if reader.at == text.len() { Ok(value) } else { Err(Unreadable) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Steps over what has to stand here.
    fn step(&mut self, expected: &str) -> Result<(), Unreadable> {
        if self.text.as_bytes()[self.at..].starts_with(expected.as_bytes()) {
            self.at += expected.len();
            return Ok(());
        }
        Err(Unreadable)
    }

    /// The next byte that is no blank.
    fn next(&mut self) -> Option<u8> {
        self.blank();
        self.peek()
    }

    fn value(&mut self, depth: usize) -> Result<Json<'a>, Unreadable> {
        if depth > DEPTH_LIMIT {
            return Err(Unreadable);
        }
        match self.next().ok_or(Unreadable)? {
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            b'"' => self.string().map(Json::Text),
            b't' => self.step("true").map(|()| Json::Bool(true)),
            b'f' => self.step("false").map(|()| Json::Bool(false)),
            b'n' => self.step("null").map(|()| Json::Null),
            _ => self.number(),
        }
    }

    fn number(&mut self) -> Result<Json<'a>, Unreadable> {
        let begin = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        let text = &self.text[begin..self.at];
        if text.parse::<f64>().is_ok() { Ok(Json::Number(text)) } else { Err(Unreadable) }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Unreadable> {
        let begin = self.at;
        self.step("\"")?;
        let mut escaped = false;
        loop {
            match self.peek().ok_or(Unreadable)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 2;
                }
                _ => self.at += 1,
            }
        }
        self.at += 1;
        // A quote ends the text, so both ends are between letters.
        if escaped {
            let text = self.text.get(begin..self.at).ok_or(Unreadable)?;
            return serde_json::from_str(text).map(Cow::Owned).map_err(|_| Unreadable);
        }
        Ok(Cow::Borrowed(&self.text[begin + 1..self.at - 1]))
    }

    fn list(&mut self, depth: usize) -> Result<Json<'a>, Unreadable> {
        self.step("[")?;
        let mut list = Vec::new();
        if self.next() == Some(b']') {
            self.at += 1;
            return Ok(Json::List(list));
        }
        loop {
            list.push(self.value(depth + 1)?);
            match self.next() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(Unreadable),
            }
        }
        self.at += 1;
        Ok(Json::List(list))
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, Unreadable> {
        self.step("{")?;
        let mut members = Vec::new();
        if self.next() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            self.blank();
            let name = self.string()?;
            self.blank();
            self.step(":")?;
            members.push((name, self.value(depth + 1)?));
            match self.next() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(Unreadable),
            }
        }
        self.at += 1;
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::{Json, parse};

    #[test]
    fn order_and_digits_are_kept() {
        let text = br#" {"b": 9007199254740993, "a":[1.50,null,true,"x\n\u00e9"] , "":{}} "#;
        let Json::Object(members) = parse(text).unwrap() else { panic!("no object") };
        let names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
        assert_eq!(names, ["b", "a", ""]);
        assert_eq!(members[0].1, Json::Number("9007199254740993"));
        let list = vec![Json::Number("1.50"), Json::Null, Json::Bool(true), Json::Text("x\né".into())];
        assert_eq!(members[1].1, Json::List(list));
        assert_eq!(members[2].1, Json::Object(Vec::new()));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            "{",
            "[1",
            "[1,]",
            "{\"a\"}",
            "{\"a\":1,}",
            "nul",
            "1 2",
            "\"a",
            "\"\\",
            "\"\\x\"",
            "--",
            "{a:1}",
            "\"\\é\"",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"\"\xff\"").is_err());
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(deep(400).as_bytes()).is_ok());
        assert!(parse(deep(100_000).as_bytes()).is_err());
    }
}

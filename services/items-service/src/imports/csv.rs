//! CSV as of RFC 4180, record by record from the beginning of a buffer. Lines may end in CR LF, LF or CR. Pure.

use std::borrow::Cow;

/// What stands at the beginning of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The values of a record, and how many bytes it takes with the end of its line.
    Record(Vec<Cow<'a, [u8]>>, usize),
    /// A line without anything, which is no record.
    Blank(usize),
    /// The record goes on behind the buffer.
    More,
    /// Nothing.
    End,
}

/// A value, and where it ends.
type Value<'a> = (Cow<'a, [u8]>, usize);

/// Reads the first record. `last`: nothing comes behind the buffer.
///
/// # Errors
/// A quote that is not closed, or something behind the closing one.
pub fn step(input: &[u8], last: bool) -> Result<Step<'_>, &'static str> {
    if input.is_empty() {
        return Ok(if last { Step::End } else { Step::More });
    }
    let (mut values, mut at) = (Vec::new(), 0);
    loop {
        let Some((value, end)) = value(input, at, last)? else { return Ok(Step::More) };
        values.push(value);
        at = match (input.get(end), input.get(end + 1)) {
            (Some(b','), _) => end + 1,
            (Some(b'\r'), None) if !last => return Ok(Step::More),
            (Some(b'\r'), Some(b'\n')) => return Ok(done(values, end, end + 2)),
            (Some(b'\r' | b'\n'), _) => return Ok(done(values, end, end + 1)),
            (None, _) => return Ok(done(values, end, end)),
            (Some(_), _) => return Err("A value goes on behind its closing quote"),
        };
    }
}

fn done(values: Vec<Cow<'_, [u8]>>, content: usize, used: usize) -> Step<'_> {
    if content == 0 { Step::Blank(used) } else { Step::Record(values, used) }
}

/// The value that begins at `at`, and where it ends.
fn value(input: &[u8], at: usize, last: bool) -> Result<Option<Value<'_>>, &'static str> {
    let rest = &input[at..];
    if rest.first() == Some(&b'"') {
        return quoted(input, at + 1, last);
    }
    let end = rest.iter().position(|byte| matches!(byte, b',' | b'\n' | b'\r'));
    Ok(match end {
        Some(end) => Some((Cow::Borrowed(&rest[..end]), at + end)),
        None if last => Some((Cow::Borrowed(rest), input.len())),
        None => None,
    })
}

/// The same, behind its opening quote. Two quotes stand for one.
fn quoted(input: &[u8], from: usize, last: bool) -> Result<Option<Value<'_>>, &'static str> {
    let mut text: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    let mut at = from;
    while let Some(length) = input[at..].iter().position(|byte| *byte == b'"') {
        let end = at + length;
        match &mut text {
            Cow::Owned(text) => text.extend_from_slice(&input[at..end]),
            borrowed @ Cow::Borrowed(_) => *borrowed = Cow::Borrowed(&input[at..end]),
        }
        match input.get(end + 1) {
            Some(b'"') => {
                text.to_mut().push(b'"');
                at = end + 2;
            }
            None if !last => return Ok(None),
            _ => return Ok(Some((text, end + 1))),
        }
    }
    if last { Err("A quote is not closed") } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::{Step, step};

    /// All records of a text, whatever buffers it comes in.
    fn records(text: &str) -> Result<Vec<Vec<String>>, &'static str> {
        let (input, mut at, mut records) = (text.as_bytes(), 0, Vec::new());
        loop {
            let mut end = at;
            // The buffer grows byte by byte: what is found must not depend on where it ends.
            let found = loop {
                match step(&input[at..end], end == input.len())? {
                    Step::More => end += 1,
                    found => break found,
                }
            };
            match found {
                Step::Record(values, used) => {
                    let text =
                        |value: &std::borrow::Cow<'_, [u8]>| String::from_utf8_lossy(value).into_owned();
                    records.push(values.iter().map(text).collect());
                    at += used;
                }
                Step::Blank(used) => at += used,
                Step::End | Step::More => return Ok(records),
            }
        }
    }

    #[test]
    fn records_are_the_same_in_any_buffers() {
        let of = |text: &str| records(text).unwrap();
        let plain = [vec!["s".to_owned(), "n".to_owned()], vec!["a".to_owned(), "1".to_owned()]];
        for text in [
            "s,n\na,1\n",
            "s,n\r\na,1\r\n",
            "s,n\ra,1\r",
            "s,n\na,1",
            "s,n\r\n\r\n\na,1\n\n",
            "\"s\",n\n\"a\",\"1\"",
        ] {
            assert_eq!(of(text), plain, "{text:?}");
        }
        assert_eq!(of("\"a \"\"q\"\" b\",\"x\r\ny\",\n"), [["a \"q\" b", "x\r\ny", ""]]);
        assert_eq!(of("a\"b, c \n"), [["a\"b", " c "]]);
        assert_eq!(of("\"\"\n,\n\"\"\"\"\n"), [vec![""], vec!["", ""], vec!["\""]]);
        assert_eq!(of(""), Vec::<Vec<String>>::new());
    }

    #[test]
    fn what_is_malformed_says_why() {
        assert!(records("\"a,1\nb,2\n").unwrap_err().contains("not closed"));
        assert!(records("\"a\"b,1\n").unwrap_err().contains("closing quote"));
    }
}

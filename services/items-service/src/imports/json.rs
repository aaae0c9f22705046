//! One JSON array, element by element from the beginning of a buffer. Pure.

use serde::de::IgnoredAny;

/// Nesting of arrays and objects in an element, as in the bodies of other requests.
const DEPTH_LIMIT: usize = 64;

/// Where in the text the buffer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before the array.
    Start,
    /// Behind `[`.
    Open,
    /// Behind an element.
    Behind,
    /// Behind `]`.
    Closed,
}

/// What stands at the beginning of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// An element, an object, and how many bytes were used up to its end.
    Element(&'a str, usize),
    /// It goes on behind the buffer.
    More,
    /// There are no more.
    End,
}

/// Reads up to the end of the next element.
///
/// # Errors
/// It is no array of objects, or no JSON; the array is not closed, or something stands behind it.
pub fn step<'a>(input: &'a [u8], place: &mut Place, last: bool) -> Result<Step<'a>, String> {
    let more = |missing: &str| if last { Err(missing.to_owned()) } else { Ok(Step::More) };
    let mut at = 0;
    loop {
        at += input[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        let byte = input.get(at);
        match (*place, byte) {
            (Place::Closed, None) => return Ok(if last { Step::End } else { Step::More }),
            (Place::Closed, Some(_)) => return Err("Something stands behind the array".to_owned()),
            (Place::Behind, None) => return more("The array is not closed"),
            (_, None) => return more("Parser has expected a value"),
            (Place::Start, Some(b'[')) => (*place, at) = (Place::Open, at + 1),
            (Place::Start, Some(_)) => return Err("Top-level object should be an array.".to_owned()),
            (Place::Open | Place::Behind, Some(b']')) => (*place, at) = (Place::Closed, at + 1),
            (Place::Open, Some(_)) => return element(input, at, place, last),
            (Place::Behind, Some(b',')) => {
                let next =
                    at + 1 + input[at + 1..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                if next == input.len() {
                    // The comma is read again, with what comes behind it.
                    return more("Parser has expected a value");
                }
                return element(input, next, place, last);
            }
            (Place::Behind, Some(_)) => return Err("Elements must have a comma between them".to_owned()),
        }
    }
}

fn element<'a>(input: &'a [u8], at: usize, place: &mut Place, last: bool) -> Result<Step<'a>, String> {
    if input[at] != b'{' {
        return Err("An element of the array is no object".to_owned());
    }
    let Some(length) = length(&input[at..])? else {
        return if last { Err("An element of the array is not closed".to_owned()) } else { Ok(Step::More) };
    };
    let end = at + length;
    let text = std::str::from_utf8(&input[at..end]).map_err(|_| "The file is not UTF-8".to_owned())?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| error.to_string())?;
    *place = Place::Behind;
    Ok(Step::Element(text, end))
}

/// Bytes of the object that stands here; nothing when its end is not here.
fn length(input: &[u8]) -> Result<Option<usize>, String> {
    let (mut depth, mut text, mut escaped) = (0_usize, false, false);
    for (at, byte) in input.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if text => escaped = true,
            b'"' => text = !text,
            _ if text => {}
            b'{' | b'[' if depth == DEPTH_LIMIT => {
                return Err(format!("An element is nested deeper than {DEPTH_LIMIT} levels"));
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(at + 1));
                }
            }
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::{Place, Step, step};

    fn elements(text: &str) -> Result<Vec<String>, String> {
        let (input, mut at, mut place, mut elements) = (text.as_bytes(), 0, Place::Start, Vec::new());
        loop {
            let mut end = at;
            let found = loop {
                let mut there = place;
                match step(&input[at..end], &mut there, end == input.len())? {
                    Step::More => end += 1,
                    found => {
                        place = there;
                        break found;
                    }
                }
            };
            match found {
                Step::Element(text, used) => {
                    elements.push(text.to_owned());
                    at += used;
                }
                Step::End | Step::More => return Ok(elements),
            }
        }
    }

    #[test]
    fn elements_are_the_same_in_any_buffers() {
        let text = " [ {\"a\":\"]}\\\"\"} ,\n{\"b\":[1,{\"c\":{}}]}\t] \n";
        assert_eq!(elements(text).unwrap(), ["{\"a\":\"]}\\\"\"}", "{\"b\":[1,{\"c\":{}}]}"]);
        assert_eq!(elements("[]").unwrap(), Vec::<String>::new());
        assert_eq!(elements("[{}]").unwrap(), ["{}"]);
    }

    #[test]
    fn what_is_malformed_says_why() {
        for (text, reason) in [
            ("", "expected a value"),
            ("{\"a\":1}", "should be an array"),
            ("[1]", "no object"),
            ("[{}", "not closed"),
            ("[{\"a\":", "not closed"),
            ("[{},", "expected a value"),
            ("[{},]", "no object"),
            ("[{}{}]", "comma"),
            ("[{}] x", "behind the array"),
            ("[{\"a\" 1}]", "expected"),
            ("[{]]", "key must be"),
        ] {
            let refused = elements(text).unwrap_err();
            assert!(refused.contains(reason), "{text}: {refused}");
        }
        let deep = format!("[{}1{}]", "{\"a\":".repeat(65), "}".repeat(65));
        assert!(elements(&deep).unwrap_err().contains("deeper"));
    }
}

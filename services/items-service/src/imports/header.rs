//! The first record of a CSV file: which value of a record goes where in an item. Pure.
//!
//! `author.name` and `tags[0]` are places within a value. What values mean is as in the original: nothing at all is not
//! sent, `null`, `true` and `false` are themselves, and what is a JSON object or array is one.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// Places of an array that columns may name.
const LONGEST: usize = 1_000;
/// Steps of a path.
const DEEPEST: usize = 64;

/// A step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// A member, as JSON text.
    Member(String),
    Element(usize),
}

/// The columns.
#[derive(Debug)]
pub struct Header(Vec<Option<Vec<Way>>>);

/// A value that is made of several columns.
enum Tree {
    Leaf(String),
    Object(Vec<(String, Self)>),
    List(Vec<Option<Self>>),
}

impl Header {
    /// From the first record. A column without a name is not looked at, nor is the second of a name.
    ///
    /// # Errors
    /// It is no text, or leads too deep.
    pub fn new(names: &[Cow<'_, [u8]>]) -> Result<Self, String> {
        let mut seen = std::collections::HashSet::new();
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            let name = text(name)?.trim();
            let known = name.is_empty() || !seen.insert(name.to_owned());
            columns.push(if known { None } else { Some(path(name)?) });
        }
        Ok(Self(columns))
    }

    /// A record as a JSON object. Values behind the last column are not looked at.
    ///
    /// # Errors
    /// A value is no text.
    pub fn item(&self, values: &[Cow<'_, [u8]>]) -> Result<String, String> {
        let (mut item, mut trees) = (String::from("{"), Vec::new());
        for (column, value) in self.0.iter().zip(values) {
            let Some(path) = column else { continue };
            let Some(value) = json(text(value)?) else { continue };
            match path.as_slice() {
                [Way::Member(name)] => member(&mut item, name, &value),
                [Way::Member(name), rest @ ..] => put(&mut trees, name, rest, value.into_owned()),
                _ => {}
            }
        }
        for (name, tree) in &trees {
            let mut value = String::new();
            tree.write(&mut value);
            member(&mut item, name, &value);
        }
        item.push('}');
        Ok(item)
    }
}

fn member(object: &mut String, name: &str, value: &str) {
    if object.len() > 1 {
        object.push(',');
    }
    object.push_str(name);
    object.push(':');
    object.push_str(value);
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "The file is not UTF-8".to_owned())
}

/// `a.b[0]` -> a, b, 0. The first step is a member.
fn path(name: &str) -> Result<Vec<Way>, String> {
    let ways: Vec<&str> = name.split(['.', '[']).map(|way| way.strip_suffix(']').unwrap_or(way)).collect();
    if ways.len() > DEEPEST {
        return Err(format!("The column \"{name}\" leads deeper than {DEEPEST} levels"));
    }
    let way = |(index, way): (usize, &&str)| match way.parse::<usize>() {
        Ok(at) if index > 0 && way.bytes().all(|byte| byte.is_ascii_digit()) => {
            if at < LONGEST {
                Ok(Way::Element(at))
            } else {
                Err(format!("The column \"{name}\" leads beyond place {LONGEST}"))
            }
        }
        _ => Ok(Way::Member(serde_json::Value::from(*way).to_string())),
    };
    ways.iter().enumerate().map(way).collect()
}

/// What a value is as JSON; nothing when there is none.
fn json(text: &str) -> Option<Cow<'static, str>> {
    let inner = text.trim_start();
    match text {
        "" => return None,
        "null" => return Some(Cow::Borrowed("null")),
        "true" => return Some(Cow::Borrowed("true")),
        "false" => return Some(Cow::Borrowed("false")),
        _ if inner.starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(text).is_ok() => {
            return Some(Cow::Owned(packed(text)));
        }
        _ => {}
    }
    Some(Cow::Owned(serde_json::Value::from(text).to_string()))
}

/// Well-formed JSON without the space between its tokens.
fn packed(json: &str) -> String {
    let (mut within, mut escaped) = (false, false);
    let keep = |letter: &char| {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = within,
            '"' => within = !within,
            _ => {}
        }
        within || !letter.is_ascii_whitespace()
    };
    json.chars().filter(keep).collect()
}

fn put(members: &mut Vec<(String, Tree)>, name: &str, path: &[Way], value: String) {
    match members.iter_mut().find(|(known, _)| known == name) {
        Some((_, tree)) => tree.set(path, value),
        None => members.push((name.to_owned(), Tree::new(path, value))),
    }
}

impl Tree {
    fn new(path: &[Way], value: String) -> Self {
        let mut tree = match path.first() {
            None => return Self::Leaf(value),
            Some(Way::Member(_)) => Self::Object(Vec::new()),
            Some(Way::Element(_)) => Self::List(Vec::new()),
        };
        tree.set(path, value);
        tree
    }

    /// Another kind of place at the same path: what comes later counts.
    fn set(&mut self, path: &[Way], value: String) {
        match (self, path) {
            (Self::Object(members), [Way::Member(name), rest @ ..]) => put(members, name, rest, value),
            (Self::List(elements), [Way::Element(at), rest @ ..]) => {
                if elements.len() <= *at {
                    elements.resize_with(at + 1, || None);
                }
                match &mut elements[*at] {
                    Some(tree) => tree.set(rest, value),
                    empty => *empty = Some(Self::new(rest, value)),
                }
            }
            (other, path) => *other = Self::new(path, value),
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Leaf(value) => out.push_str(value),
            Self::Object(members) => {
                let mut object = String::from("{");
                for (name, tree) in members {
                    let mut value = String::new();
                    tree.write(&mut value);
                    member(&mut object, name, &value);
                }
                out.push_str(&object);
                out.push('}');
            }
            Self::List(elements) => {
                out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    match element {
                        Some(tree) => tree.write(out),
                        None => out.push_str("null"),
                    }
                }
                out.push(']');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::Header;

    fn item(names: &[&str], values: &[&str]) -> String {
        let bytes = |texts: &[&str]| -> Vec<Cow<'static, [u8]>> {
            texts.iter().map(|text| Cow::Owned(text.as_bytes().to_vec())).collect()
        };
        Header::new(&bytes(names)).unwrap().item(&bytes(values)).unwrap()
    }

    /// What the original makes of the same.
    #[test]
    fn records_are_items() {
        for (names, values, expected) in [
            (&["s", "n"][..], &["a", "1"][..], r#"{"s":"a","n":"1"}"#),
            (&[" s ", " n "], &[" a ", " 1 "], r#"{"s":" a ","n":" 1 "}"#),
            (&["s", "t"], &["", ""], "{}"),
            (&["a", "b", "c"], &["null", "true", "false"], r#"{"a":null,"b":true,"c":false}"#),
            (&["a", "b", "c"], &["NULL", "TRUE", "undefined"], r#"{"a":"NULL","b":"TRUE","c":"undefined"}"#),
            (&["a", "b"], &["007", "1e3"], r#"{"a":"007","b":"1e3"}"#),
            (
                &["j", "k", "l"],
                &[r#"{"x":  "a  \" b"}"#, " [1, 2]", "[1,"],
                r#"{"j":{"x":"a  \" b"},"k":[1,2],"l":"[1,"}"#,
            ),
            (&["s", "s"], &["a", "b"], r#"{"s":"a"}"#),
            (&["s", ""], &["a", "b"], r#"{"s":"a"}"#),
            (&["s", "n"], &["a"], r#"{"s":"a"}"#),
            (&["s"], &["a", "b"], r#"{"s":"a"}"#),
            (&["author.name", "author.id"], &["joe", ""], r#"{"author":{"name":"joe"}}"#),
            (&["c[0]", "c[1]"], &["x", "y"], r#"{"c":["x","y"]}"#),
            (&["c[1]"], &["y"], r#"{"c":[null,"y"]}"#),
            (&["j.a.b", "s", "j.c[0]"], &["1", "q", "2"], r#"{"s":"q","j":{"a":{"b":"1"},"c":["2"]}}"#),
            (&["j.0", "j.x"], &["1", "2"], r#"{"j":{"x":"2"}}"#),
            (&["q\"q"], &["a\"\n"], r#"{"q\"q":"a\"\n"}"#),
        ] {
            assert_eq!(item(names, values), expected, "{names:?} {values:?}");
        }
    }

    #[test]
    fn columns_have_bounds() {
        let of = |name: &str| Header::new(&[Cow::Owned(name.as_bytes().to_vec())]);
        assert!(of("a[999]").is_ok() && of("a[1000]").unwrap_err().contains("place 1000"));
        assert!(of(&"a.".repeat(64)).unwrap_err().contains("deeper"));
        assert!(Header::new(&[Cow::Borrowed(&[0xe9])]).unwrap_err().contains("UTF-8"));
    }
}

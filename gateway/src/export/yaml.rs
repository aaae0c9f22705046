//! `export=yaml`: the form that js-yaml gives by default: blocks indented by two, texts quoted only where they must be.

mod implicit;
mod scalar;

use super::json_text::Json;
use super::number;

/// A name longer than this has a line of its own.
const LONGEST_NAME: usize = 1_024;

/// Writes an item of the list: `- ..`, without the newline at its end.
pub fn entry(item: &Json<'_>, out: &mut String) {
    sequence_entry(item, 0, out);
}

/// Writes a value that is the whole document, without the newline at its end.
pub fn document(value: &Json<'_>, out: &mut String) {
    node(value, 0, true, out);
}

/// A value at a level; a block begins a line of its own unless it is `compact`.
fn node(value: &Json<'_>, level: usize, compact: bool, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::Number(written) => out.push_str(&float(&number::shown(written))),
        Json::Text(text) => scalar::write(text, level, false, out),
        Json::List(list) if list.is_empty() => out.push_str("[]"),
        Json::Object(members) if members.is_empty() => out.push_str("{}"),
        Json::List(list) => {
            for (index, value) in list.iter().enumerate() {
                if !compact || index > 0 {
                    newline(level, out);
                }
                sequence_entry(value, level, out);
            }
        }
        Json::Object(members) => {
            for (index, (name, value)) in members.iter().enumerate() {
                if !compact || index > 0 {
                    newline(level, out);
                }
                member(name, value, level, out);
            }
        }
    }
}

fn sequence_entry(value: &Json<'_>, level: usize, out: &mut String) {
    out.push_str("- ");
    node(value, level + 1, true, out);
}

fn member(name: &str, value: &Json<'_>, level: usize, out: &mut String) {
    let mut key = String::new();
    scalar::write(name, level + 1, true, &mut key);
    let explicit = key.encode_utf16().count() > LONGEST_NAME;
    if explicit {
        out.push_str("? ");
    }
    out.push_str(&key);
    if explicit {
        newline(level, out);
    }
    out.push(':');
    let block = match value {
        Json::List(list) => !list.is_empty(),
        Json::Object(members) => !members.is_empty(),
        _ => false,
    };
    // A block begins with the end of this line.
    if !block || explicit {
        out.push(' ');
    }
    node(value, level + 1, explicit, out);
}

fn newline(level: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", level));
}

/// A fraction without a point would be read as a text: `1e-10` -> `1.e-10`.
fn float(text: &str) -> String {
    if text.contains("e-") && !text.contains('.') { text.replace("e-", ".e-") } else { text.to_owned() }
}

//! `export=json`: the items as a tab-indented array, without an envelope.

use super::json_text::Json;
use super::number;

/// Writes a value whose lines stand `indent` tabs in; the first line goes on where the cursor is.
pub fn pretty(value: &Json<'_>, indent: usize, out: &mut String) {
    match value {
        Json::List(list) if !list.is_empty() => {
            out.push('[');
            for (index, value) in list.iter().enumerate() {
                line(index, indent + 1, out);
                pretty(value, indent + 1, out);
            }
            newline(indent, out);
            out.push(']');
        }
        Json::Object(members) if !members.is_empty() => {
            out.push('{');
            for (index, (name, value)) in members.iter().enumerate() {
                line(index, indent + 1, out);
                text(name, out);
                out.push_str(": ");
                pretty(value, indent + 1, out);
            }
            newline(indent, out);
            out.push('}');
        }
        other => compact(other, out),
    }
}

/// Writes a value on one line, without blanks.
pub fn compact(value: &Json<'_>, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::Number(written) => out.push_str(&number::shown(written)),
        Json::Text(value) => text(value, out),
        Json::List(list) => {
            out.push('[');
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                compact(value, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                text(name, out);
                out.push(':');
                compact(value, out);
            }
            out.push('}');
        }
    }
}

/// Begins the line of one more entry.
pub fn line(index: usize, indent: usize, out: &mut String) {
    if index > 0 {
        out.push(',');
    }
    newline(indent, out);
}

fn newline(indent: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n('\t', indent));
}

fn text(value: &str, out: &mut String) {
    // A text can always be written.
    out.push_str(&serde_json::to_string(value).unwrap_or_default());
}

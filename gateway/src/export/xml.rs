//! `export=xml`: an element for each member, lists as repeated elements.
//!
//! What is no name in XML is written with its letters as `_x003C_` (the way of SQL/XML), so that it can be read back;
//! characters that XML has no way to write become U+FFFD. The original fails on both.

use std::fmt::Write as _;

use super::json;
use super::json_text::Json;
use super::number;

/// The one name that the document and its items have.
pub const ROOT: &str = "data";
/// Before everything.
pub const HEAD: &str = "<?xml version='1.0'?>\n";

/// Writes a value as the content of an element with this name; of a list one element each. Each begins a line.
pub fn element(name: &str, value: &Json<'_>, indent: usize, out: &mut String) {
    if let Json::List(list) = value {
        for value in list {
            element(name, value, indent, out);
        }
        return;
    }
    newline(indent, out);
    content(name, value, indent, out);
}

/// The element itself, where the cursor is.
pub fn content(name: &str, value: &Json<'_>, indent: usize, out: &mut String) {
    out.push('<');
    out.push_str(name);
    let begin = out.len();
    out.push('>');
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(_) => json::compact(value, out),
        Json::Number(written) => out.push_str(&number::shown(written)),
        Json::Text(value) => text(value, out),
        Json::List(_) => element(ROOT, value, indent + 1, out),
        Json::Object(members) => {
            for (name, value) in members {
                element(&named(name), value, indent + 1, out);
            }
        }
    }
    if out.len() == begin + 1 {
        out.truncate(begin);
        out.push_str("/>");
        return;
    }
    if matches!(value, Json::List(_) | Json::Object(_)) {
        newline(indent, out);
    }
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

/// Begins a line.
pub fn newline(indent: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n("    ", indent));
}

fn text(value: &str, out: &mut String) {
    for letter in value.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' if out.ends_with("]]") => out.push_str("&gt;"),
            // A reader of XML would make a line feed of it.
            '\r' => out.push_str("&#xD;"),
            '\t' | '\n' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => out.push(letter),
            _ => out.push('\u{fffd}'),
        }
    }
}

/// A name of XML for any text.
fn named(name: &str) -> String {
    let mut written = String::with_capacity(name.len());
    for (at, letter) in name.char_indices() {
        // What looks like one of ours is written so, too.
        let ours = letter == '_' && is_escape(&name[at..]);
        let fits = if at == 0 { begins_name(letter) } else { continues_name(letter) };
        if fits && !ours {
            written.push(letter);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(written, "_x{:04X}_", u32::from(letter));
        }
    }
    // There is no element without a name.
    if written.is_empty() { "_".to_owned() } else { written }
}

fn is_escape(text: &str) -> bool {
    let Some((digits, _)) = text.strip_prefix("_x").and_then(|rest| rest.split_once('_')) else {
        return false;
    };
    digits.len() >= 4 && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

fn begins_name(letter: char) -> bool {
    matches!(letter, ':' | '_' | 'A'..='Z' | 'a'..='z'
        | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}'
        | '\u{37f}'..='\u{1fff}' | '\u{200c}' | '\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}'
        | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}' | '\u{10000}'..='\u{effff}')
}

fn continues_name(letter: char) -> bool {
    begins_name(letter)
        || matches!(letter, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}' | '\u{2040}')
}

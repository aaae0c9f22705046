//! Texts in YAML: plain, quoted, literal or folded, by js-yaml's rules.

use std::fmt::Write as _;

use super::implicit::{is_something_else, was_something_else};

/// Longest line, in UTF-16 units, before a text is folded.
const WIDTH: usize = 80;
/// What is left of it however deep a text stands.
const LEAST_WIDTH: usize = 40;

#[derive(Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Literal,
    Folded,
    Double,
}

/// Writes a text that stands at a level; names of members stay on one line.
pub fn write(text: &str, level: usize, name: bool, out: &mut String) {
    if text.is_empty() {
        out.push_str("''");
        return;
    }
    if was_something_else(text) {
        // Neither of them has quotes in it.
        let _ = write!(out, "'{text}'");
        return;
    }
    let indent = 2 * level.max(1);
    let width = WIDTH.saturating_sub(indent).max(LEAST_WIDTH);
    match style(text, name, width) {
        Style::Plain => out.push_str(text),
        Style::Single => {
            let _ = write!(out, "'{}'", text.replace('\'', "''"));
        }
        Style::Literal => block('|', text, text, indent, out),
        Style::Folded => block('>', text, &folded(text, width), indent, out),
        Style::Double => escaped(text, out),
    }
}

fn style(text: &str, name: bool, width: usize) -> Style {
    let mut previous = None;
    let mut plain = text.starts_with(may_begin_plain) && !text.ends_with([' ', '\t', ':']);
    for letter in text.chars() {
        if (name || letter != '\n') && !is_printable(letter) {
            return Style::Double;
        }
        plain = plain && may_be_plain(letter, previous);
        previous = Some(letter);
    }
    let long = |line: &str| !line.starts_with(' ') && line.encode_utf16().count() > width;
    if !name && text.split('\n').any(long) {
        return Style::Folded;
    }
    if text.contains('\n') {
        return Style::Literal;
    }
    if plain && !is_something_else(text) { Style::Plain } else { Style::Single }
}

fn is_printable(letter: char) -> bool {
    matches!(letter, ' '..='~' | '\u{a1}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        && !matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

fn may_begin_plain(letter: char) -> bool {
    is_printable(letter)
        && !matches!(
            letter,
            ' ' | '-'
                | '?'
                | ':'
                | ','
                | '['
                | ']'
                | '{'
                | '}'
                | '#'
                | '&'
                | '*'
                | '!'
                | '|'
                | '='
                | '>'
                | '\''
                | '"'
                | '%'
                | '@'
                | '`'
        )
}

/// `: ` and ` #` mean something; all else that can be printed may stand in a plain text.
fn may_be_plain(letter: char, previous: Option<char>) -> bool {
    let blank = letter == ' ';
    match (letter, previous) {
        ('#', previous) => previous.is_some_and(|previous| is_printable(previous) && previous != ' '),
        (_, Some(':')) => is_printable(letter) && !blank,
        _ => is_printable(letter),
    }
}

/// A text on lines of its own, after a mark that says what becomes of its last newlines.
fn block(mark: char, text: &str, lines: &str, indent: usize, out: &mut String) {
    out.push(mark);
    if text.trim_start_matches('\n').starts_with(' ') {
        // The first line does not show how deep the text stands.
        out.push('2');
    }
    match text.strip_suffix('\n') {
        None => out.push('-'),
        Some(rest) if rest.is_empty() || rest.ends_with('\n') => out.push('+'),
        Some(_) => {}
    }
    out.push('\n');
    let lines = lines.strip_suffix('\n').unwrap_or(lines);
    for (index, line) in lines.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(line);
        }
    }
}

/// The text with its lines broken at blanks; where lines already ended, one newline more.
fn folded(text: &str, width: usize) -> String {
    let mut lines = text.split('\n');
    let first = lines.next().unwrap_or_default();
    let mut result = folded_line(first, width);
    let mut before_indented = text.starts_with(['\n', ' ']);
    let mut newlines = 0;
    for line in lines {
        newlines += 1;
        if line.is_empty() {
            continue;
        }
        let indented = line.starts_with(' ');
        result.extend(std::iter::repeat_n('\n', newlines + usize::from(!before_indented && !indented)));
        result.push_str(&folded_line(line, width));
        (before_indented, newlines) = (indented, 0);
    }
    result.extend(std::iter::repeat_n('\n', newlines));
    result
}

fn folded_line(line: &str, width: usize) -> String {
    if line.is_empty() || line.starts_with(' ') {
        return line.to_owned();
    }
    // In units of UTF-16, as widths are counted.
    let units: Vec<u16> = line.encode_utf16().collect();
    let text = |from: usize, to: usize| String::from_utf16_lossy(&units[from..to]);
    let blank = u16::from(b' ');
    let mut pieces = Vec::new();
    let (mut start, mut current, mut at) = (0, 0, 0);
    while at + 1 < units.len() {
        if units[at] != blank || units[at + 1] == blank {
            at += 1;
            continue;
        }
        if at - start > width {
            let end = if current > start { current } else { at };
            pieces.push(text(start, end));
            start = end + 1;
        }
        current = at;
        // The letter after the blank belongs to the match.
        at += 2;
    }
    if units.len() - start > width && current > start {
        pieces.push(text(start, current));
        start = current + 1;
    }
    pieces.push(text(start, units.len()));
    pieces.join("\n")
}

fn escaped(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        let short = match letter {
            '\0' => "\\0",
            '\u{7}' => "\\a",
            '\u{8}' => "\\b",
            '\t' => "\\t",
            '\n' => "\\n",
            '\u{b}' => "\\v",
            '\u{c}' => "\\f",
            '\r' => "\\r",
            '\u{1b}' => "\\e",
            '"' => "\\\"",
            '\\' => "\\\\",
            '\u{85}' => "\\N",
            '\u{a0}' => "\\_",
            '\u{2028}' => "\\L",
            '\u{2029}' => "\\P",
            _ if is_printable(letter) => {
                out.push(letter);
                continue;
            }
            _ => "",
        };
        let code = u32::from(letter);
        // Writing to a String cannot fail.
        let _ = match (short, code) {
            ("", ..=0xff) => write!(out, "\\x{code:02X}"),
            ("", ..=0xffff) => write!(out, "\\u{code:04X}"),
            ("", _) => write!(out, "\\U{code:08X}"),
            (short, _) => write!(out, "{short}"),
        };
    }
    out.push('"');
}

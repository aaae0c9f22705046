//! `export=csv`: a column for each member outside of lists, named by its path, in order of appearance.
//!
//! The header stands first, so it has to be known before the first line: of items that all have the same members the
//! first one says it, others are looked through beforehand ([`Columns::see`]). Formulas (`=1+1`) are not defused, as
//! in the original: the file says what is stored.

use std::collections::HashMap;

use super::json;
use super::json_text::Json;
use super::number;

/// The columns, and the lines under them.
#[derive(Debug, Default)]
pub struct Columns {
    names: Vec<String>,
    places: HashMap<String, usize>,
    begun: bool,
}

impl Columns {
    /// An item will come; its members are columns.
    pub fn see(&mut self, item: &Json<'_>) {
        let mut path = String::new();
        walk(item, &mut path, &mut |path, _| {
            if !self.places.contains_key(path) {
                self.places.insert(path.to_owned(), self.names.len());
                self.names.push(path.to_owned());
            }
        });
    }

    /// Writes an item; before the first one the header. No newline stands at the end of a file.
    pub fn write(&mut self, item: &Json<'_>, out: &mut String) {
        if !self.begun {
            if self.names.is_empty() {
                self.see(item);
            }
            self.begun = true;
            for (index, name) in self.names.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                quoted(name, out);
            }
        }
        out.push('\n');
        let mut cells: Vec<String> = vec![String::new(); self.names.len()];
        let mut path = String::new();
        walk(item, &mut path, &mut |path, value| {
            if let Some(cell) = self.places.get(path).and_then(|place| cells.get_mut(*place)) {
                cell.clear();
                write_cell(value, cell);
            }
        });
        out.push_str(&cells.join(","));
    }
}

/// Every member that is no object with members of its own, with its path.
fn walk(value: &Json<'_>, path: &mut String, visit: &mut impl FnMut(&str, &Json<'_>)) {
    match value {
        Json::Object(members) if !members.is_empty() => {
            let length = path.len();
            for (name, value) in members {
                if length > 0 {
                    path.push('.');
                }
                path.push_str(name);
                walk(value, path, visit);
                path.truncate(length);
            }
        }
        value => visit(path, value),
    }
}

fn write_cell(value: &Json<'_>, out: &mut String) {
    match value {
        Json::Null => {}
        Json::Bool(_) => json::compact(value, out),
        Json::Number(written) => out.push_str(&number::shown(written)),
        Json::Text(text) => quoted(text, out),
        Json::List(_) | Json::Object(_) => {
            let mut text = String::new();
            json::compact(value, &mut text);
            quoted(&text, out);
        }
    }
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

//! Items as a file to be saved: CSV, JSON, XML or YAML, written item by item, byte for byte as the original does.

mod csv;
mod json;
mod json_text;
mod number;
mod xml;
mod yaml;

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use model::Error;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use query::Export;
use time::OffsetDateTime;
use time::macros::format_description;

pub use json_text::Unreadable;
use json_text::{Json, parse};

use crate::answer;
use crate::failure::Failure;
use crate::state::Gateway;

/// Letters that an extended parameter of a header may hold as they are (RFC 5987).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// What a file is called that holds definitions and no items.
pub const OF_SCHEMA: &str = "Export";

/// Writes the items of a list one after the other, or the one item that there is.
#[derive(Debug)]
pub struct Encoder {
    form: Export,
    single: bool,
    written: usize,
    columns: csv::Columns,
}

impl Encoder {
    /// Of one item without a list around it, or of a list.
    pub fn new(form: Export, single: bool) -> Self {
        Self { form, single, written: 0, columns: csv::Columns::default() }
    }

    /// An item that will come: columns are known before the first line is written.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn rehearse(&mut self, item: &[u8]) -> Result<(), Unreadable> {
        if is_csv(self.form) {
            self.columns.see(&parse(item)?);
        }
        Ok(())
    }

    /// Writes an item.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn item(&mut self, item: &[u8], out: &mut String) -> Result<(), Unreadable> {
        self.value(&parse(item)?, out);
        Ok(())
    }

    fn value(&mut self, item: &Json<'_>, out: &mut String) {
        let first = self.written == 0;
        self.written += 1;
        match self.form {
            Export::Csv | Export::CsvUtf8 => {
                if first && self.form == Export::CsvUtf8 {
                    out.push('\u{feff}');
                }
                self.columns.write(item, out);
            }
            Export::Json if self.single => json::pretty(item, 0, out),
            Export::Json => {
                if first {
                    out.push('[');
                }
                json::line(self.written - 1, 1, out);
                json::pretty(item, 1, out);
            }
            Export::Xml => {
                if first {
                    out.push_str(xml::HEAD);
                }
                if self.single {
                    xml::content(xml::ROOT, item, 0, out);
                    return;
                }
                if first {
                    out.push_str("<data>");
                }
                xml::element(xml::ROOT, item, 1, out);
            }
            Export::Yaml if self.single => yaml::document(item, out),
            Export::Yaml => {
                if !first {
                    out.push('\n');
                }
                yaml::entry(item, out);
            }
        }
    }

    /// Writes what stands after the last item.
    pub fn end(&mut self, out: &mut String) {
        let empty = self.written == 0;
        let end = match self.form {
            Export::Csv | Export::CsvUtf8 => "",
            Export::Json if self.single => "",
            Export::Json if empty => "[]",
            Export::Json => "\n]",
            Export::Xml if empty => "<?xml version='1.0'?>\n<data/>",
            Export::Xml if self.single => "",
            Export::Xml => "\n</data>",
            Export::Yaml if empty => "[]\n",
            Export::Yaml => "\n",
        };
        out.push_str(end);
    }
}

/// The form is CSV, which needs to know every member beforehand.
pub fn is_csv(form: Export) -> bool {
    matches!(form, Export::Csv | Export::CsvUtf8)
}

/// A whole document that is in memory anyway: an array is a list, an object one item.
///
/// # Errors
/// [`Unreadable`].
fn document(json: &[u8], form: Export) -> Result<String, Unreadable> {
    let value = parse(json)?;
    let mut out = String::with_capacity(json.len());
    let (items, single) = match &value {
        Json::List(items) => (items.as_slice(), false),
        other => (std::slice::from_ref(other), true),
    };
    let mut encoder = Encoder::new(form, single);
    if is_csv(form) {
        items.iter().for_each(|item| encoder.columns.see(item));
    }
    items.iter().for_each(|item| encoder.value(item, &mut out));
    encoder.end(&mut out);
    Ok(out)
}

/// 200 with this JSON, as a file where one is wanted; `name` is what the file is called.
///
/// # Errors
/// The JSON can't be read.
pub fn answer(gateway: &Gateway, form: Option<Export>, name: &str, json: &[u8]) -> Result<Response, Failure> {
    let Some(form) = form else { return Ok(answer::of(json)) };
    let text = document(json, form).map_err(|error| {
        tracing::error!(%error, name, "nothing was exported");
        Error::internal()
    })?;
    Ok(file(form, name, gateway.clock.now(), Body::from(text)))
}

/// 200 with a file that is named after what it holds.
pub fn file(form: Export, name: &str, now: OffsetDateTime, body: Body) -> Response {
    let (content_type, extension) = match form {
        Export::Csv | Export::CsvUtf8 => (HeaderValue::from_static("text/csv; charset=utf-8"), "csv"),
        Export::Json => (answer::JSON, "json"),
        Export::Xml => (HeaderValue::from_static("text/xml; charset=utf-8"), "xml"),
        Export::Yaml => (HeaderValue::from_static("text/yaml; charset=utf-8"), "yaml"),
    };
    let mut response = answer::streamed(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    // The original does not pad the time of day.
    let format = format_description!(
        "[year][month][day]-[hour padding:none][minute padding:none][second padding:none]"
    );
    let at = now.format(format).unwrap_or_default();
    let disposition = disposition(&format!("{name} {at}.{extension}"));
    headers.extend(HeaderValue::try_from(disposition).ok().map(|value| (CONTENT_DISPOSITION, value)));
    response
}

/// `attachment; filename=".."`; what is not ASCII is said once more in full (RFC 6266).
fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|letter| match letter {
            ' '..='~' => letter,
            _ => '?',
        })
        .collect();
    let quoted = plain.replace('\\', "\\\\").replace('"', "\\\"");
    let full = if plain == name {
        String::new()
    } else {
        format!("; filename*=UTF-8''{}", utf8_percent_encode(name, PLAIN))
    };
    format!("attachment; filename=\"{quoted}\"{full}")
}

#[cfg(test)]
mod tests;

//! `export`: the form in which an answer is wanted. It is no part of the query: the items are the same in every form.

use model::Error;
use serde_json::Value;

use crate::{json, query_string};

/// A form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    /// `csv`
    Csv,
    /// `csv_utf8`: CSV that begins with a byte order mark.
    CsvUtf8,
    /// `json`: indented, without an envelope.
    Json,
    /// `xml`
    Xml,
    /// `yaml`
    Yaml,
}

impl Export {
    /// What a query string says.
    ///
    /// # Errors
    /// `INVALID_QUERY` for an unknown form, or several.
    pub fn from_query_string(text: &str) -> Result<Option<Self>, Error> {
        if !text.contains("export") {
            return Ok(None);
        }
        Self::of(query_string::parse(text)?.get("export"))
    }

    /// What the `query` object of a request body says.
    ///
    /// # Errors
    /// `INVALID_QUERY` for an unknown form, or several.
    pub fn from_json_text(text: &str) -> Result<Option<Self>, Error> {
        if !text.contains("export") {
            return Ok(None);
        }
        // What is no JSON is refused where the query is read.
        Self::of(json::parse(text).as_ref().and_then(|query| query.get("export")))
    }

    fn of(value: Option<&Value>) -> Result<Option<Self>, Error> {
        let refused = || Error::invalid_query("\"export\" must be one of [csv, csv_utf8, json, xml, yaml]");
        match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(name)) => Ok(match name.as_str() {
                "" => None,
                "csv" => Some(Self::Csv),
                "csv_utf8" => Some(Self::CsvUtf8),
                "json" => Some(Self::Json),
                "xml" => Some(Self::Xml),
                "yaml" => Some(Self::Yaml),
                _ => return Err(refused()),
            }),
            Some(_) => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Export;

    #[test]
    fn forms_are_named_exactly() {
        let of = |text: &str| Export::from_query_string(text).map_err(|error| error.message);
        assert_eq!(of("limit=1"), Ok(None));
        assert_eq!(of("export="), Ok(None));
        assert_eq!(of("limit=1&export=csv_utf8"), Ok(Some(Export::CsvUtf8)));
        for wrong in ["export=pdf", "export=CSV", "export=csv,json", "export[]=csv", "export=csv&export=json"]
        {
            let reason = "Invalid query. \"export\" must be one of [csv, csv_utf8, json, xml, yaml].";
            assert_eq!(of(wrong), Err(reason.to_owned()), "{wrong}");
        }
        assert_eq!(Export::from_json_text(r#"{"export":"yaml"}"#).unwrap(), Some(Export::Yaml));
        assert_eq!(Export::from_json_text(r#"{"export":null}"#).unwrap(), None);
        assert!(Export::from_json_text(r#"{"export":5}"#).is_err());
    }
}

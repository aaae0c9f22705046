//! Documents as text: JSON and YAML.

use model::Error;
use serde::Serialize;
use serde_json::Value;

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One line.
    Json,
    /// For people.
    JsonIndented,
    /// For people, too.
    Yaml,
}

/// Nesting of a YAML document.
const DEPTH: usize = 64;
/// Values of a YAML document: a thousand collections of twenty fields have 800,000.
const NODES: usize = 4_000_000;

/// Writes a document.
pub fn print(document: &impl Serialize, format: Format) -> Result<Vec<u8>, Error> {
    let wrong = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "a schema document could not be written");
        Error::internal()
    };
    match format {
        Format::Json => serde_json::to_vec(document).map_err(|error| wrong(&error)),
        Format::JsonIndented => {
            let mut text = Vec::new();
            let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
            let mut serializer = serde_json::Serializer::with_formatter(&mut text, tabs);
            document.serialize(&mut serializer).map_err(|error| wrong(&error))?;
            Ok(text)
        }
        Format::Yaml => {
            let options =
                serde_saphyr::ser_options! { compact_list_indent: false, prefer_block_scalars: true };
            let text = serde_saphyr::to_string_with_options(document, options);
            text.map(String::into_bytes).map_err(|error| wrong(&error))
        }
    }
}

/// Reads a document.
///
/// # Errors
/// 400 when it is not of this format.
pub fn parse(text: &[u8], format: Format) -> Result<Value, Error> {
    if format != Format::Yaml {
        return serde_json::from_slice(text)
            .map_err(|_| Error::invalid_payload("The provided JSON is invalid"));
    }
    // Scalars as in YAML 1.2: `no` and `007` are texts.
    let options = serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: DEPTH,
            max_nodes: NODES,
            max_events: 2 * NODES,
            max_documents: 1,
            max_total_scalar_bytes: 64 << 20,
        },
    };
    let wrong = || Error::invalid_payload("The provided YAML is invalid");
    let text = std::str::from_utf8(text).map_err(|_| wrong())?;
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        tracing::debug!(%error, "a YAML document was refused");
        wrong()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Format, parse, print};

    #[test]
    fn scalars_are_those_of_yaml_1_2() {
        let text = "a: no\nb: 'true'\nc: true\nd: 007\ne: ~\nf:\ng: 1_000\nh: -5\ni: 1.5\nj: 2020-01-01\nk: on\n\
                    l: {m: [1, x]}\nn: |\n  two\n  lines\n";
        assert_eq!(
            parse(text.as_bytes(), Format::Yaml).unwrap(),
            json!({"a": "no", "b": "true", "c": true, "d": "007", "e": null, "f": null, "g": "1_000", "h": -5,
                   "i": 1.5, "j": "2020-01-01", "k": "on", "l": {"m": [1, "x"]}, "n": "two\nlines\n"})
        );
        let lots = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        for bad in ["a: [", "a: 1\na: 2", "a: 1\n---\nb: 2", &lots, "a: .inf"] {
            assert!(parse(bad.as_bytes(), Format::Yaml).is_err(), "{bad}");
        }
        assert!(parse(b"\xff", Format::Yaml).is_err());
        assert!(parse(b"{} x", Format::Json).is_err());
    }

    #[test]
    fn every_text_comes_back() {
        let texts: Vec<&str> = vec![
            "no",
            "1",
            "1.5",
            "~",
            "null",
            "",
            "a: b",
            " x",
            "x ",
            "two\nlines",
            "two\nlines\n",
            "\ttab",
            "#c",
            "- a",
            "'q'",
            "\"",
            "\0",
            "😀",
            "2020-01-01",
            "0x1",
            "true",
            "on",
            "\u{85}",
            "\r\n",
            "{{title}}",
            "*a",
            "&b",
            "!c",
            "%d",
            "@e",
            "`f",
            "|",
            ":",
            "?",
            "[",
            "-",
            "---",
            "...",
            "1e3",
            ".inf",
            "<<",
            "\\",
            "\u{2028}",
            "a\n\n b\n",
            "  lead\nx",
            "\n",
            " \n x",
        ];
        let whole =
            json!({"texts": texts, "": {"a b": 1, "c: d": {}, "e": [], "no": [[], {}, [{"f": [1.5, -1]}]]}});
        for format in [Format::Json, Format::JsonIndented, Format::Yaml] {
            let text = print(&whole, format).unwrap();
            assert_eq!(parse(&text, format).unwrap(), whole, "{}", String::from_utf8_lossy(&text));
        }
        assert_eq!(parse(&print(&Value::Null, Format::Yaml).unwrap(), Format::Yaml).unwrap(), Value::Null);
    }
}

//! Each form by example, and that what was written can be read back.

use proptest::collection::{btree_map, vec};
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use query::Export;
use serde_json::{Value, json};

use super::{Encoder, disposition, document, is_csv};

const ITEMS: &str = r#"[
    {"id":1,"title":"a \"b\"","author":null,"at":"2024-01-31","flag":true,"tags":[1,"x"],"extra":{"a":{"b":1.50},"<":"&"}},
    {"id":2,"title":"=1+1","author":{"name":"Zoë","n":null},"at":null,"flag":false,"tags":[],"extra":{}},
    {"id":9007199254740993,"title":"","author":{"name":"x\ny"},"at":"1: 2","flag":null,"tags":[[1],{"k":[]}],"extra":[]}
]"#;

fn written(form: Export) -> String {
    document(ITEMS.as_bytes(), form).unwrap()
}

#[test]
fn items_in_every_form() {
    insta::assert_snapshot!("csv", written(Export::Csv));
    insta::assert_snapshot!("json", written(Export::Json));
    insta::assert_snapshot!("xml", written(Export::Xml));
    insta::assert_snapshot!("yaml", written(Export::Yaml));
    assert_eq!(written(Export::CsvUtf8), format!("\u{feff}{}", written(Export::Csv)));
}

#[test]
fn one_item_and_none() {
    let one = |form| document(br#"{"id":1,"list":[1,2],"empty":{}}"#, form).unwrap();
    assert_eq!(one(Export::Csv), "\"id\",\"list\",\"empty\"\n1,\"[1,2]\",\"{}\"");
    assert_eq!(one(Export::Json), "{\n\t\"id\": 1,\n\t\"list\": [\n\t\t1,\n\t\t2\n\t],\n\t\"empty\": {}\n}");
    let xml = "<?xml version='1.0'?>\n<data>\n    <id>1</id>\n    <list>1</list>\n    <list>2</list>\n    <empty/>\n</data>";
    assert_eq!(one(Export::Xml), xml);
    assert_eq!(one(Export::Yaml), "id: 1\nlist:\n  - 1\n  - 2\nempty: {}\n");
    let none = |form| document(b"[]", form).unwrap();
    assert_eq!(none(Export::Csv), "");
    assert_eq!(none(Export::CsvUtf8), "");
    assert_eq!(none(Export::Json), "[]");
    assert_eq!(none(Export::Xml), "<?xml version='1.0'?>\n<data/>");
    assert_eq!(none(Export::Yaml), "[]\n");
}

#[test]
fn texts_of_yaml() {
    let long = "word ".repeat(30);
    let texts = json!([
        "",
        "plain text",
        "a: b",
        "a:b",
        "a #b",
        "a#b",
        "- x",
        "-x",
        "it's",
        "'q'",
        "null",
        "~",
        "y",
        "12:30",
        "1e3",
        "0x1F",
        "2024-01-31",
        "tab\there",
        "line\nline",
        "line\n",
        "line\n\n",
        "\n",
        "\n x",
        " \nx",
        "two \n lines",
        "bell\u{7}",
        "nbsp\u{a0}",
        "😀",
        "key:",
        "trailing ",
        "[x]",
        "@x",
        "x,y",
        long.trim(),
        format!("{long}\n{long}\n\nend"),
        format!("{}x", "a".repeat(90)),
        "\u{2028}",
        "\r",
    ]);
    insta::assert_snapshot!(document(texts.to_string().as_bytes(), Export::Yaml).unwrap());
}

#[test]
fn names_of_xml() {
    let named = json!({"<": 1, "": 2, "a b": 3, "1": 4, "ü": 5, "_x003C_": 6, "_x": 7, "@": {"#": "]]>\r\u{1}"}, "n\u{1}": []});
    insta::assert_snapshot!(document(named.to_string().as_bytes(), Export::Xml).unwrap());
}

#[test]
fn files_are_named_for_every_client() {
    assert_eq!(disposition("books 1.csv"), "attachment; filename=\"books 1.csv\"");
    assert_eq!(disposition("a\"b\\.csv"), "attachment; filename=\"a\\\"b\\\\.csv\"");
    assert_eq!(disposition("bü\n.csv"), "attachment; filename=\"b??.csv\"; filename*=UTF-8''b%C3%BC%0A.csv");
}

/// Texts that have to be quoted in one form or another.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z0-9]{0,6}",
        "[ -~]{0,8}",
        any::<char>().prop_map(String::from),
        prop_oneof![
            "\n", "\r\n", "\t", "\"", "'", ",", ";", ": ", " #", "- ", "=1+1", "null", "12:30", "  ", "|",
            ">", "\u{85}", "\u{2028}"
        ],
        "[a-z ]{70,120}",
    ];
    // PostgreSQL holds no NUL.
    vec(piece, 0..5).prop_map(|pieces| pieces.concat().replace('\0', ""))
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        proptest::strategy::Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1000_i32..1000).prop_map(|number| Value::from(f64::from(number) / 8.0 + 0.0625)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(text(), inner, 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn items() -> impl Strategy<Value = Vec<Value>> {
    let item = (any::<i32>(), text(), value(), value()).prop_map(
        |(id, title, first, second)| json!({"id": id, "title": title, "first": first, "second": second}),
    );
    vec(item, 0..6)
}

/// The cells of a file, with whether they were quoted.
fn cells(text: &str) -> Vec<Vec<(String, bool)>> {
    let mut lines = vec![Vec::new()];
    let (mut cell, mut quoted, mut open) = (String::new(), false, false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if open && letters.peek() == Some(&'"') => cell.extend(letters.next()),
            '"' => (open, quoted) = (!open, true),
            ',' | '\n' if !open => {
                lines.last_mut().unwrap().push((std::mem::take(&mut cell), std::mem::take(&mut quoted)));
                if letter == '\n' {
                    lines.push(Vec::new());
                }
            }
            letter => cell.push(letter),
        }
    }
    lines.last_mut().unwrap().push((cell, quoted));
    lines
}

/// What an item's cells say, by path.
fn flat(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flat(value, &path, found);
            }
        }
        value => found.push((path.to_owned(), value.clone())),
    }
}

fn joined(items: &[Value], form: Export) -> String {
    let (mut encoder, mut out) = (Encoder::new(form, false), String::new());
    let texts: Vec<String> = items.iter().map(Value::to_string).collect();
    if is_csv(form) {
        texts.iter().for_each(|item| encoder.rehearse(item.as_bytes()).unwrap());
    }
    texts.iter().for_each(|item| encoder.item(item.as_bytes(), &mut out).unwrap());
    encoder.end(&mut out);
    out
}

proptest! {
    #[test]
    fn json_is_read_back(items in items()) {
        let back: Value = serde_json::from_str(&joined(&items, Export::Json)).unwrap();
        assert_eq!(back, Value::from(items));
    }

    #[test]
    fn yaml_is_read_back(items in items()) {
        let text = joined(&items, Export::Yaml);
        let back: Value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(back, Value::from(items), "{}", text);
    }

    #[test]
    fn csv_is_read_back(items in items()) {
        let text = joined(&items, Export::Csv);
        if items.is_empty() {
            assert_eq!(text, "");
            return Ok(());
        }
        let mut lines = cells(&text).into_iter();
        let header: Vec<String> = lines.next().unwrap().into_iter().map(|(name, _)| name).collect();
        for item in &items {
            let line = lines.next().unwrap();
            assert_eq!(line.len(), header.len());
            let mut found = Vec::new();
            flat(item, "", &mut found);
            for (path, value) in &found {
                // Of equal paths (`{"a.b": 1, "a": {"b": 2}}`) the last is shown.
                let last = found.iter().rev().find(|(other, _)| other == path).map(|(_, value)| value);
                if last != Some(value) {
                    continue;
                }
                let (cell, quoted) = &line[header.iter().position(|name| name == path).unwrap()];
                let back = match (quoted, cell.as_str()) {
                    (false, "") => Value::Null,
                    (false, bare) => serde_json::from_str(bare).unwrap(),
                    (true, text) if value.is_string() => Value::from(text),
                    (true, text) => serde_json::from_str(text).unwrap(),
                };
                assert_eq!(&back, value, "{}", path);
            }
        }
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn xml_holds_nothing_that_xml_does_not(items in items()) {
        let text = joined(&items, Export::Xml);
        // Outside of tags no bare ampersand, within them nothing but names.
        for piece in text.split('<').skip(2) {
            let (tag, content) = piece.split_once('>').unwrap();
            let name = tag.trim_start_matches('/').trim_end_matches('/');
            assert!(!name.is_empty() && !name.contains([' ', '<', '&', '"', '\n']), "{}", name);
            for entity in content.split('&').skip(1) {
                assert!(["amp;", "lt;", "gt;", "#xD;"].iter().any(|known| entity.starts_with(known)), "{}", entity);
            }
        }
        assert!(text.chars().all(|c| c >= ' ' || matches!(c, '\t' | '\n')));
    }
}

//! The rows of a tree as JSON: each item within the one above it, or behind it. Items stay the text that PostgreSQL made.

use std::collections::HashMap;
use std::fmt::Write as _;

use query::{Shape, TreeReport};
use serde_json::json;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

/// An item of a tree.
struct Node {
    key: String,
    parent: Option<String>,
    depth: i32,
    item: String,
}

/// Items and what is to be said of all of them, of the rows of [`planner::plan_tree`].
pub fn written(rows: &[PgRow], report: &TreeReport) -> Result<(String, String), sqlx::Error> {
    let node = |row: &PgRow| {
        Ok(Node {
            key: row.try_get("key")?,
            parent: row.try_get("parent")?,
            depth: row.try_get("depth")?,
            item: row.try_get("item")?,
        })
    };
    let nodes = rows.iter().map(node).collect::<Result<Vec<_>, sqlx::Error>>()?;
    let said = |name: &str| rows.first().map_or(Ok(false), |row| row.try_get::<bool, _>(name));
    let meta = json!({
        "nodes": nodes.len(),
        "depth_cut": said("deeper")?,
        "nodes_cut": said("more")?,
        "cycle": said("cycle")?,
    });
    Ok((laid_out(&nodes, report.shape), meta.to_string()))
}

fn laid_out(nodes: &[Node], shape: Shape) -> String {
    let mut below: HashMap<&str, Vec<&Node>> = HashMap::new();
    let mut first = Vec::new();
    for node in nodes {
        match &node.parent {
            Some(parent) => below.entry(parent).or_default().push(node),
            None => first.push(node),
        }
    }
    let mut text = String::new();
    match shape {
        Shape::Nested => nested(&first, &below, &mut text),
        Shape::Flat => {
            text.push('[');
            flat(&first, &below, &mut text);
            text.push(']');
        }
    }
    text
}

/// The list of these items, each with the list of those below it. As deep as the report's levels, which are few.
fn nested(nodes: &[&Node], below: &HashMap<&str, Vec<&Node>>, text: &mut String) {
    text.push('[');
    for (index, Node { key, depth, item, .. }) in nodes.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}{{\"depth\":{depth},\"item\":{item},\"children\":");
        nested(below.get(key.as_str()).map_or(&[], Vec::as_slice), below, text);
        text.push('}');
    }
    text.push(']');
}

/// These items, each with those below it behind it.
fn flat(nodes: &[&Node], below: &HashMap<&str, Vec<&Node>>, text: &mut String) {
    for Node { key, parent, depth, item } in nodes {
        let comma = if text.ends_with('}') { "," } else { "" };
        let parent = parent.as_deref().unwrap_or("null");
        let _ =
            write!(text, "{comma}{{\"depth\":{depth},\"key\":{key},\"parent\":{parent},\"item\":{item}}}");
        flat(below.get(key.as_str()).map_or(&[], Vec::as_slice), below, text);
    }
}

#[cfg(test)]
mod tests {
    use query::Shape;

    use super::{Node, laid_out};

    fn node(key: &str, parent: Option<&str>, depth: i32) -> Node {
        let item = format!("{{\"id\":{key}}}");
        Node { key: key.to_owned(), parent: parent.map(str::to_owned), depth, item }
    }

    #[test]
    fn trees_are_laid_out() {
        let nodes = [
            node("2", None, 1),
            node("1", None, 1),
            node("5", Some("1"), 2),
            node("4", Some("2"), 2),
            node("3", Some("2"), 2),
            node("6", Some("4"), 3),
        ];
        let item = |key: i32, depth: i32, children: &str| {
            format!(r#"{{"depth":{depth},"item":{{"id":{key}}},"children":[{children}]}}"#)
        };
        let four = item(4, 2, &item(6, 3, ""));
        let two = item(2, 1, &format!("{four},{}", item(3, 2, "")));
        let expected = format!("[{two},{}]", item(1, 1, &item(5, 2, "")));
        assert_eq!(laid_out(&nodes, Shape::Nested), expected);
        let flat = laid_out(&nodes, Shape::Flat);
        let flat: Vec<serde_json::Value> = serde_json::from_str(&flat).unwrap();
        let shown =
            |node: &serde_json::Value| format!("{}<{}@{}", node["key"], node["parent"], node["depth"]);
        let shown: Vec<String> = flat.iter().map(shown).collect();
        assert_eq!(shown, ["2<null@1", "4<2@2", "6<4@3", "3<2@2", "1<null@1", "5<1@2"]);
        assert_eq!(laid_out(&[], Shape::Nested), "[]");
        assert_eq!(laid_out(&[], Shape::Flat), "[]");
    }
}

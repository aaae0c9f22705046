//! What clients send to be compared or applied, checked in shape; the reasons are worded as the original's. Pure.

use model::Error;
use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::compare::{Change, Diff};
use super::difference::Step;
use super::{Blueprint, DIRECTUS, Entries, Kind, Members, VENDOR, VERSION, picked};

const VENDORS: [&str; 7] = ["mysql", "postgres", "cockroachdb", "sqlite", "oracle", "mssql", "redshift"];

/// A diff with the hash of the schema that it was made for.
#[derive(Debug)]
pub struct Wanted {
    /// Of the schema before.
    pub hash: String,
    /// What is to change.
    pub diff: Diff,
}

/// A document of an installation; `force` takes one of another version or database.
pub fn document(body: &Value, force: bool) -> Result<Blueprint, Error> {
    let members = whole(body)?;
    let version = required(members, "", "version")?;
    if version != &Value::from(VERSION) && version.as_str() != Some("1") {
        return Err(wrong("version", "must be [1]"));
    }
    let directus = string(members, "", "directus")?;
    let vendor = members.get("vendor").map(|vendor| vendor.as_str().unwrap_or_default());
    if vendor.is_some_and(|vendor| !VENDORS.contains(&vendor)) {
        return Err(wrong("vendor", &format!("must be one of [{}]", VENDORS.join(", "))));
    }
    let mut blueprint = Blueprint::new();
    blueprint.collections = entries(members, Kind::Collection)?;
    blueprint.fields = entries(members, Kind::Field)?;
    if members.contains_key("systemFields") {
        blueprint.system_fields = entries(members, Kind::SystemField)?;
    }
    blueprint.relations = entries(members, Kind::Relation)?;
    let known = ["version", "directus", "vendor", "collections", "fields", "systemFields", "relations"];
    only(members, "", &known)?;
    if !force {
        same_origin(directus, vendor)?;
    }
    Ok(blueprint)
}

fn same_origin(directus: &str, vendor: Option<&str>) -> Result<(), Error> {
    let bypass = "You can bypass this check by passing the \"force\" query parameter";
    if directus != DIRECTUS {
        return Err(Error::invalid_payload(format!(
            "Provided snapshot's directus version {directus} does not match the current instance's version {DIRECTUS}. \
             {bypass}"
        )));
    }
    match vendor {
        Some(VENDOR) => Ok(()),
        Some(vendor) => Err(Error::invalid_payload(format!(
            "Provided snapshot's vendor {vendor} does not match the current instance's vendor {VENDOR}. {bypass}"
        ))),
        None => Err(Error::invalid_payload(format!(
            "Provided snapshot does not contain the \"vendor\" property. {bypass}"
        ))),
    }
}

fn entries(members: &Members, kind: Kind) -> Result<Entries, Error> {
    let name = kind.list();
    let list = array(members, "", name)?;
    let mut entries = Entries { kind, list: Vec::with_capacity(list.len()) };
    for (place, entry) in list.iter().enumerate() {
        let path = format!("{name}[{place}]");
        let Value::Object(members) = entry else { return Err(wrong(&path, "must be of type object")) };
        only(members, &path, kind.members())?;
        string(members, &path, "collection")?;
        if kind != Kind::Collection {
            string(members, &path, "field")?;
        }
        for (name, nullable) in [("meta", true), ("schema", kind != Kind::Collection)] {
            match members.get(name) {
                None | Some(Value::Object(_)) => {}
                Some(Value::Null) if nullable => {}
                Some(_) => return Err(wrong(&format!("{path}.{name}"), "must be of type object")),
            }
        }
        let strict: &[&str] = match kind {
            Kind::Collection => &["name"],
            Kind::SystemField => &["is_indexed"],
            Kind::Field | Kind::Relation => &[],
        };
        if let Some(Value::Object(schema)) = members.get("schema").filter(|_| !strict.is_empty()) {
            only(schema, &format!("{path}.schema"), strict)?;
        }
        for name in ["type", "related_collection"] {
            if members.get(name).is_some_and(|value| !value.is_string() && !value.is_null()) {
                return Err(wrong(&format!("{path}.{name}"), "must be a string"));
            }
        }
        entries.list.extend(picked(kind, entry.clone()));
    }
    Ok(entries)
}

/// `{hash, diff}`.
pub fn wanted(body: &Value) -> Result<Wanted, Error> {
    let members = whole(body)?;
    let hash = string(members, "", "hash")?.to_owned();
    let diff = object(members, "", "diff")?;
    only(members, "", &["hash", "diff"])?;
    Ok(Wanted {
        hash,
        diff: Diff {
            collections: changes(diff, Kind::Collection)?,
            fields: changes(diff, Kind::Field)?,
            system_fields: changes(diff, Kind::SystemField)?,
            relations: changes(diff, Kind::Relation)?,
        },
    })
    .and_then(|wanted| {
        only(diff, "diff", &["collections", "fields", "systemFields", "relations"]).map(|()| wanted)
    })
}

fn changes(diff: &Members, kind: Kind) -> Result<Vec<Change>, Error> {
    let name = kind.list();
    let mut changes = Vec::new();
    for (place, entry) in array(diff, "diff", name)?.iter().enumerate() {
        let path = format!("diff.{name}[{place}]");
        let Value::Object(members) = entry else { return Err(wrong(&path, "must be of type object")) };
        let known: &[&str] = match kind {
            Kind::Collection => &["collection", "diff"],
            Kind::Field | Kind::SystemField => &["collection", "field", "diff"],
            Kind::Relation => &["collection", "field", "related_collection", "diff"],
        };
        let collection = string(members, &path, "collection")?.to_owned();
        let field = match kind {
            Kind::Collection => None,
            _ => Some(string(members, &path, "field")?.to_owned()),
        };
        let related = members.get("related_collection").cloned();
        let mut steps = Vec::new();
        for (place, step) in array(members, &path, "diff")?.iter().enumerate() {
            steps.push(read_step(step, &format!("{path}.diff[{place}]"))?);
        }
        only(members, &path, known)?;
        changes.push(Change { collection, field, related_collection: related, diff: steps });
    }
    Ok(changes)
}

fn read_step(step: &Value, path: &str) -> Result<Step, Error> {
    let Value::Object(members) = step else { return Err(wrong(path, "must be of type object")) };
    let needed: &[&str] = match required(members, path, "kind")?.as_str() {
        Some("N") => &["rhs"],
        Some("D") => &[],
        Some("E") => &["path", "rhs"],
        Some("A") => &["path", "index", "item"],
        _ => return Err(wrong(&format!("{path}.kind"), "must be one of [N, D, E, A]")),
    };
    for name in needed {
        required(members, path, name)?;
    }
    if let Some(way) = members.get("path") {
        let Value::Array(way) = way else { return Err(wrong(&format!("{path}.path"), "must be an array")) };
        if way.iter().any(|part| !part.is_string() && !part.is_u64()) {
            return Err(wrong(&format!("{path}.path"), "must hold names and indexes"));
        }
    }
    Step::deserialize(step).map_err(|error| wrong(path, &error.to_string()))
}

fn whole(body: &Value) -> Result<&Members, Error> {
    match body {
        Value::Object(members) if !members.is_empty() => Ok(members),
        Value::Object(_) | Value::Null => Err(Error::invalid_payload("No data was included in the body")),
        Value::Array(list) if list.is_empty() => {
            Err(Error::invalid_payload("No data was included in the body"))
        }
        _ => Err(wrong("value", "must be of type object")),
    }
}

fn required<'a>(members: &'a Map<String, Value>, path: &str, name: &str) -> Result<&'a Value, Error> {
    members.get(name).ok_or_else(|| wrong(&joined(path, name), "is required"))
}

fn string<'a>(members: &'a Members, path: &str, name: &str) -> Result<&'a str, Error> {
    required(members, path, name)?.as_str().ok_or_else(|| wrong(&joined(path, name), "must be a string"))
}

fn array<'a>(members: &'a Members, path: &str, name: &str) -> Result<&'a Vec<Value>, Error> {
    required(members, path, name)?.as_array().ok_or_else(|| wrong(&joined(path, name), "must be an array"))
}

fn object<'a>(members: &'a Members, path: &str, name: &str) -> Result<&'a Members, Error> {
    let found = required(members, path, name)?.as_object();
    found.ok_or_else(|| wrong(&joined(path, name), "must be of type object"))
}

fn only(members: &Members, path: &str, known: &[&str]) -> Result<(), Error> {
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(wrong(&joined(path, name), "is not allowed")),
        None => Ok(()),
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn wrong(path: &str, why: &str) -> Error {
    Error::invalid_payload(format!("\"{path}\" {why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{document, wanted};

    fn reason(result: Result<impl Sized, model::Error>) -> String {
        result.err().map_or("ok".to_owned(), |error| error.extensions["reason"].as_str().unwrap().to_owned())
    }

    fn good() -> Value {
        json!({"version": 1, "directus": "11.17.4", "vendor": "postgres", "collections": [], "fields": [],
               "systemFields": [], "relations": []})
    }

    #[test]
    fn documents_are_checked_as_the_original_does() {
        let with = |name: &str, value: Value| {
            let mut body = good();
            body[name] = value;
            reason(document(&body, false))
        };
        let without = |name: &str| {
            let mut body = good();
            body.as_object_mut().unwrap().remove(name);
            reason(document(&body, false))
        };
        assert_eq!(reason(document(&good(), false)), "ok");
        assert_eq!(reason(document(&json!({}), false)), "No data was included in the body");
        assert_eq!(reason(document(&json!([]), true)), "No data was included in the body");
        assert_eq!(with("version", json!(2)), "\"version\" must be [1]");
        assert_eq!(with("version", json!("1")), "ok");
        assert_eq!(without("version"), "\"version\" is required");
        assert_eq!(without("directus"), "\"directus\" is required");
        assert_eq!(without("fields"), "\"fields\" is required");
        assert_eq!(without("systemFields"), "ok");
        assert_eq!(with("collections", json!("x")), "\"collections\" must be an array");
        assert_eq!(with("foo", json!(1)), "\"foo\" is not allowed");
        assert_eq!(
            with("vendor", json!("nonsense")),
            "\"vendor\" must be one of [mysql, postgres, cockroachdb, sqlite, oracle, mssql, redshift]"
        );
        assert!(
            with("vendor", json!("mysql")).starts_with("Provided snapshot's vendor mysql does not match")
        );
        assert!(without("vendor").starts_with("Provided snapshot does not contain the \"vendor\" property."));
        assert!(with("directus", json!("11.0.0")).starts_with("Provided snapshot's directus version 11.0.0"));
        let unknown = json!([{"collection": "a", "field": "b", "unknown": 1}]);
        assert_eq!(with("fields", unknown), "\"fields[0].unknown\" is not allowed");
        let comment = json!([{"collection": "a", "schema": {"comment": "x"}}]);
        assert_eq!(with("collections", comment), "\"collections[0].schema.comment\" is not allowed");
        let null = json!([{"collection": "a", "schema": null}]);
        assert_eq!(with("collections", null), "\"collections[0].schema\" must be of type object");
        let mut old = good();
        old["directus"] = json!("11.0.0");
        old.as_object_mut().unwrap().remove("vendor");
        assert_eq!(reason(document(&old, true)), "ok");
    }

    #[test]
    fn diffs_are_checked_as_the_original_does() {
        let with = |diff: Value| reason(wanted(&json!({"hash": "x", "diff": diff})));
        let lists = |name: &str, list: Value| {
            let mut diff = json!({"collections": [], "fields": [], "systemFields": [], "relations": []});
            diff[name] = list;
            with(diff)
        };
        assert_eq!(reason(wanted(&json!({}))), "No data was included in the body");
        assert_eq!(reason(wanted(&json!({"diff": {}}))), "\"hash\" is required");
        assert_eq!(reason(wanted(&json!({"hash": 5, "diff": {}}))), "\"hash\" must be a string");
        assert_eq!(reason(wanted(&json!({"hash": "x"}))), "\"diff\" is required");
        assert_eq!(with(json!({})), "\"diff.collections\" is required");
        assert_eq!(lists("foo", json!([])), "\"diff.foo\" is not allowed");
        assert_eq!(
            lists("fields", json!([{"collection": "a", "diff": []}])),
            "\"diff.fields[0].field\" is required"
        );
        assert_eq!(
            lists("collections", json!([{"collection": "a"}])),
            "\"diff.collections[0].diff\" is required"
        );
        let kind = json!([{"collection": "q", "diff": [{"kind": "X"}]}]);
        assert_eq!(
            lists("collections", kind),
            "\"diff.collections[0].diff[0].kind\" must be one of [N, D, E, A]"
        );
        let path = json!([{"collection": "q", "diff": [{"kind": "E", "path": "a", "lhs": 1, "rhs": 2}]}]);
        assert_eq!(lists("collections", path), "\"diff.collections[0].diff[0].path\" must be an array");
        let good = json!([{"collection": "q", "diff": [{"kind": "E", "path": ["meta", "note"], "lhs": 1, "rhs": 2}]}]);
        assert_eq!(lists("collections", good), "ok");
    }
}

//! Random schemas: made through the API, written down, applied elsewhere, they are the same; whatever was there before.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

use super::super::geometry;
use super::{apply, eventus, said, snapshot};
use crate::world::{Options, World};

const NAMES: [&str; 5] = ["articles", "UPPER", "select", "Über uns", "we\"ird"];
/// A type, a default that fits it, whether it can be unique or indexed.
const TYPES: [(&str, &str, bool); 17] = [
    ("string", "\"it's\"", true),
    ("text", "\"two\\nlines\"", true),
    ("boolean", "true", true),
    ("integer", "-7", true),
    ("bigInteger", "9007199254740993", true),
    ("float", "1.5", true),
    ("decimal", "2.25", true),
    ("date", "\"2024-02-29\"", true),
    ("time", "\"12:34:56\"", true),
    ("dateTime", "\"2024-02-29 12:00:00\"", true),
    ("timestamp", "\"now()\"", true),
    ("json", "{\"a\":[1,null]}", false),
    ("csv", "\"a,b\"", true),
    ("uuid", "\"7a1c1f7e-0000-4000-8000-000000000001\"", true),
    ("hash", "null", true),
    // Those of PostGIS stand last.
    ("geometry", "{\"type\":\"Point\",\"coordinates\":[1,2]}", true),
    ("geometry.Polygon", "\"SRID=4326;POLYGON((0 0, 1 0, 1 1, 0 0))\"", true),
];
const GEOMETRIES: usize = 2;
const KEYS: [&str; 4] = ["integer", "bigInteger", "uuid", "string"];
const RULES: [&str; 4] = ["NO ACTION", "CASCADE", "SET NULL", "RESTRICT"];

#[derive(Debug, Clone)]
struct Field {
    kind: usize,
    flags: [bool; 4],
    length: u32,
    note: Option<String>,
}

#[derive(Debug, Clone)]
struct Table {
    key: usize,
    fields: Vec<Field>,
    grouped: bool,
    sort: Option<i8>,
    options: Option<String>,
}

#[derive(Debug, Clone)]
struct Relation {
    from: usize,
    to: usize,
    rule: usize,
    alias: bool,
    key: bool,
}

#[derive(Debug, Clone)]
struct Random {
    tables: Vec<Option<Table>>,
    relations: Vec<Relation>,
    any: Option<usize>,
}

fn schemas(types: usize) -> impl Strategy<Value = Random> {
    let note = prop::option::of("[a-z':#\\- \n]{0,12}");
    let field = (0..types, any::<[bool; 4]>(), 1..300_u32, note.clone());
    let field = field.prop_map(|(kind, flags, length, note)| Field { kind, flags, length, note });
    let table = (0..KEYS.len(), prop::collection::vec(field, 0..6), any::<bool>(), any::<Option<i8>>(), note);
    let table =
        table.prop_map(|(key, fields, grouped, sort, options)| Table { key, fields, grouped, sort, options });
    let relation = (0..NAMES.len(), 0..NAMES.len(), 0..RULES.len(), any::<bool>(), any::<bool>());
    let relation = relation.prop_map(|(from, to, rule, alias, key)| Relation { from, to, rule, alias, key });
    let tables = prop::collection::vec(prop::option::weighted(0.7, table), NAMES.len());
    (tables, prop::collection::vec(relation, 0..6), prop::option::of(0..NAMES.len()))
        .prop_map(|(tables, relations, any)| Random { tables, relations, any })
}

impl Random {
    /// A name holds the type of its key: that can't be changed.
    fn name(&self, table: usize) -> Option<String> {
        self.tables[table].as_ref().map(|made| format!("{} {}", NAMES[table], KEYS[made.key]))
    }

    fn collection(&self, table: usize) -> Option<Value> {
        let (name, made) = (self.name(table)?, self.tables[table].as_ref()?);
        let counts = made.key < 2;
        let key = json!({"is_primary_key": true, "has_auto_increment": counts, "max_length": (KEYS[made.key] == "string").then_some(40)});
        let mut fields =
            vec![json!({"field": "key", "type": KEYS[made.key], "schema": key, "meta": {"hidden": true}})];
        for (place, field) in made.fields.iter().enumerate() {
            let (kind, default, indexable) = TYPES[field.kind];
            let [nullable, unique, indexed, has_default] = field.flags;
            let mut schema = json!({"is_nullable": nullable, "is_unique": unique && indexable, "is_indexed": indexed && indexable});
            if has_default {
                schema["default_value"] = serde_json::from_str(default).unwrap();
            }
            match kind {
                "string" | "hash" => schema["max_length"] = json!(field.length),
                "decimal" => {
                    schema["numeric_precision"] = json!(field.length);
                    schema["numeric_scale"] = json!(field.length / 3);
                }
                _ => {}
            }
            let meta = json!({"note": field.note, "sort": place, "width": "half", "required": unique,
                              "options": {"choices": [field.note, nullable], "b": 1, "a": null}});
            fields.push(
                json!({"field": format!("{kind} {place}"), "type": kind, "schema": schema, "meta": meta}),
            );
        }
        let meta = json!({"sort": made.sort, "group": made.grouped.then_some("a folder"), "note": made.options,
                          "translations": made.options.as_ref().map(|text| json!([{"language": "de", "translation": text}]))});
        Some(json!({"collection": name, "schema": {}, "meta": meta, "fields": fields}))
    }

    /// Makes it, request by request.
    async fn make(&self, world: &World) {
        let post = async |path: &str, body: Value| {
            let answer = world.api.post(path, body.clone()).await;
            assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text);
        };
        post("/collections", json!({"collection": "a folder", "schema": null, "meta": {"icon": "folder"}}))
            .await;
        for table in 0..self.tables.len() {
            if let Some(collection) = self.collection(table) {
                post("/collections", collection).await;
            }
        }
        for (place, relation) in self.relations.iter().enumerate() {
            let (Some(from), Some(to)) = (self.name(relation.from), self.name(relation.to)) else { continue };
            let path = |name: &str| format!("/fields/{}", percent(name));
            let key = self.tables[relation.to].as_ref().map_or(0, |made| made.key);
            let field = format!("to {to} {place}");
            post(
                &path(&from),
                json!({"field": field, "type": KEYS[key], "schema": {}, "meta": {"special": ["m2o"]}}),
            )
            .await;
            let alias = format!("{from} {place}");
            if relation.alias {
                post(&path(&to), json!({"field": alias, "type": "alias", "meta": {"special": ["o2m"]}}))
                    .await;
            }
            let schema = relation
                .key
                .then(|| json!({"on_delete": RULES[relation.rule], "on_update": RULES[relation.rule]}));
            let meta = json!({"one_field": relation.alias.then_some(alias), "one_deselect_action": "delete"});
            post("/relations", json!({"collection": from, "field": field, "related_collection": to, "schema": schema, "meta": meta})).await;
        }
        if let Some(name) = self.any.and_then(|table| self.name(table)) {
            for field in ["item", "kind"] {
                let path = format!("/fields/{}", percent(&name));
                post(&path, json!({"field": field, "type": "string", "schema": {}, "meta": {}})).await;
            }
            let all: Vec<String> = (0..self.tables.len()).filter_map(|table| self.name(table)).collect();
            let meta = json!({"one_collection_field": "kind", "one_allowed_collections": all});
            post(
                "/relations",
                json!({"collection": name, "field": "item", "related_collection": null, "meta": meta}),
            )
            .await;
        }
    }
}

fn percent(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A document whose order does not count.
fn sorted(mut document: Value) -> Value {
    for list in ["collections", "fields", "systemFields", "relations"] {
        document[list].as_array_mut().unwrap().sort_by_key(Value::to_string);
    }
    document
}

/// Where schemas are made, and a database that goes from each to the next.
struct Places {
    world: World,
    moving: testkit::TestDatabase,
    folder: tempfile::TempDir,
    empty: Value,
}

/// A database, with PostGIS where the server has it.
async fn database() -> (testkit::TestDatabase, bool) {
    let database = testkit::database(db::migrate_url).await;
    let postgis = geometry::is_available(&database).await;
    if postgis {
        geometry::run(&database, geometry::INSTALL).await;
    }
    (database, postgis)
}

impl Places {
    fn read(&self, database: &str) -> Value {
        let file = self.folder.path().join("read.json");
        said(&eventus(database, &["snapshot", file.to_str().unwrap()]), 0);
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    async fn check(&self, schema: &Random) -> Result<(), TestCaseError> {
        schema.make(&self.world).await;
        let file = self.folder.path().join("schema.yaml");
        let file = file.to_str().unwrap();
        said(&eventus(&self.world.database.url, &["snapshot", file]), 0);
        let made = snapshot(&self.world.api).await;
        let (fresh, _) = database().await;
        for (database, what) in [(&fresh, "an empty database"), (&self.moving, "another schema")] {
            said(&eventus(&database.url, &["apply", file, "--yes"]), 0);
            let read = self.read(&database.url);
            prop_assert_eq!(sorted(read.clone()), sorted(made.clone()), "applied to {}", what);
            if what == "an empty database" {
                prop_assert_eq!(&read, &made, "the order is kept");
            }
            prop_assert_eq!(said(&eventus(&database.url, &["plan", file]), 0), "nothing to change\n");
        }
        self.world.api.post("/schema/diff", made).await.expect(204);
        self.clear().await;
        Ok(())
    }

    async fn clear(&self) {
        if snapshot(&self.world.api).await != self.empty {
            apply(&self.world.api, &self.empty).await.expect(204);
        }
        assert_eq!(snapshot(&self.world.api).await, self.empty);
    }
}

/// Few by default; PROPTEST_CASES for a longer look.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration of its own")]
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(6)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_schemas_are_the_same_elsewhere() {
    let ((here, postgis), (moving, _)) = (database().await, database().await);
    let world = World::over(shape!(), Options::default(), here).await;
    let empty = snapshot(&world.api).await;
    let places = Places { world, moving, folder: tempfile::tempdir().unwrap(), empty };
    let types = if postgis { TYPES.len() } else { TYPES.len() - GEOMETRIES };
    let cases = cases();
    let mut runner = TestRunner::new(Config {
        cases,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..Config::default()
    });
    let run = || {
        let here = tokio::runtime::Handle::current();
        runner.run(&schemas(types), |schema| {
            // What a case left that failed would stand in the way of the next, smaller one.
            here.block_on(places.clear());
            here.block_on(places.check(&schema))
        })
    };
    if let Err(error) = tokio::task::block_in_place(run) {
        panic!("{error}");
    }
}

//! The schema as a document: snapshot, diff, apply, over HTTP and by the command `eventus schema`.

mod command;
mod random;

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::takeover;
use crate::api::{Answer, Api};
use crate::world::{World, binary};

/// `eventus schema ..` on a database.
fn eventus(database: &str, arguments: &[&str]) -> Output {
    Command::new(binary())
        .arg("schema")
        .args(arguments)
        .env_clear()
        .env("DATABASE_URL", database)
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap()
}

#[track_caller]
fn said(output: &Output, code: i32) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    format!("{out}{err}")
}

pub async fn snapshot(api: &Api) -> Value {
    api.get("/schema/snapshot").await.expect(200).data()
}

pub async fn apply(api: &Api, wanted: &Value) -> Answer {
    let diff = api.post("/schema/diff", wanted.clone()).await.expect(200).data();
    api.post("/schema/apply", diff).await
}

/// A file in a form.
async fn upload(api: &Api, path: &str, content_type: &str, text: &str) -> Answer {
    let body = format!(
        "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"schema\"\r\n\
         Content-Type: {content_type}\r\n\r\n{text}\r\n--edge--\r\n"
    );
    let headers = [("content-type", "multipart/form-data; boundary=edge")];
    api.raw(http::Method::POST, path, &headers, body).await.unwrap()
}

/// Members of a list that are not those that a test does without.
fn retain(document: &mut Value, list: &str, keep: impl Fn(&Value) -> bool) {
    document[list].as_array_mut().unwrap().retain(|entry| keep(entry));
}

/// Events of the schema, by name.
async fn events(world: &World) -> Vec<(String, i64)> {
    let sql = "SELECT name, count(*) FROM eventus.events WHERE name ~ '^(collections|fields|relations)' \
               GROUP BY name ORDER BY name";
    sqlx::query_as(sql).fetch_all(&world.pool().await).await.unwrap()
}

#[tokio::test]
async fn a_schema_moves_to_an_empty_installation() {
    let source = takeover::taken_over().await;
    let mut wanted = snapshot(&source.api).await;
    // What is not built, and metadata of fields whose collections have none.
    retain(&mut wanted, "fields", |field| {
        field["collection"] != "bare" && field["collection"] != "untracked"
    });
    let world = World::start(shape!()).await;
    let diff =
        upload(&world.api, "/schema/diff", "application/json", &wanted.to_string()).await.expect(200).data();
    assert_eq!(diff["diff"]["collections"].as_array().unwrap().len(), 22);
    let body = json!({"hash": diff["hash"], "diff": diff["diff"]});
    world.api.post("/schema/apply", body.clone()).await.expect(204);
    let made = snapshot(&world.api).await;
    for list in ["collections", "fields", "systemFields", "relations"] {
        for (made, wanted) in made[list].as_array().unwrap().iter().zip(wanted[list].as_array().unwrap()) {
            assert_eq!(made, wanted);
        }
    }
    assert_eq!(made, wanted);
    world.api.post("/schema/diff", wanted.clone()).await.expect(204);
    let yaml = source.api.get("/schema/snapshot?export=yaml").await.expect(200);
    assert_eq!(yaml.header("content-type"), Some("text/yaml; charset=utf-8"));
    assert!(yaml.header("content-disposition").unwrap().starts_with("attachment; filename=\"Export "));
    upload(&source.api, "/schema/diff", "text/yaml", &yaml.text).await.expect(204);
    let json = source.api.get("/schema/snapshot?export=json").await.expect(200);
    assert_eq!(json.json(), snapshot(&source.api).await);
    // The collections work, and each is one event; fields of the system's collections and relations have theirs.
    world.api.post("/items/tags", json!({"slug": "a", "label": "A"})).await.expect(200);
    let logged = events(&world).await;
    let relations = i64::try_from(wanted["relations"].as_array().unwrap().len()).unwrap();
    assert_eq!(
        logged,
        [
            ("collections.create".into(), 22),
            ("fields.create".into(), 2),
            ("relations.create".into(), relations)
        ]
    );
    // Applied again it is a diff for another state; the same document changes nothing.
    let again = world.api.post("/schema/apply", body).await.refused(400, "INVALID_PAYLOAD");
    assert!(again.text.contains("trying to create collection"), "{}", again.text);
    assert_eq!(events(&world).await, logged);
    // Back to nothing: what is there refers to each other.
    let mut empty = wanted;
    for list in ["collections", "fields", "relations"] {
        empty[list] = json!([]);
    }
    apply(&world.api, &empty).await.expect(204);
    assert_eq!(snapshot(&world.api).await, empty);
}

async fn small() -> World {
    let world = World::start(shape!()).await;
    let field = |name: &str, kind: &str| json!({"field": name, "type": kind, "meta": {}, "schema": {}});
    world.collection("authors", json!([field("name", "string")])).await;
    world.collection("posts", json!([field("title", "string"), field("author", "integer")])).await;
    let relation =
        json!({"collection": "posts", "field": "author", "related_collection": "authors", "meta": {}});
    world.api.post("/relations", relation).await.expect(200);
    world
}

fn entry<'a>(document: &'a mut Value, list: &str, collection: &str, field: &str) -> &'a mut Value {
    let field = if field.is_empty() { Value::Null } else { json!(field) };
    let found = document[list].as_array_mut().unwrap().iter_mut();
    found.into_iter().find(|entry| entry["collection"] == collection && entry["field"] == field).unwrap()
}

#[tokio::test]
async fn what_is_there_is_changed() {
    let world = small().await;
    let api = &world.api;
    let before = snapshot(api).await;
    let mut wanted = before.clone();
    let title = entry(&mut wanted, "fields", "posts", "title");
    (title["type"], title["schema"]["data_type"], title["schema"]["max_length"]) =
        (json!("text"), json!("text"), json!(null));
    (title["schema"]["is_indexed"], title["meta"]["note"]) = (json!(true), json!("n"));
    entry(&mut wanted, "relations", "posts", "author")["schema"]["on_delete"] = json!("CASCADE");
    entry(&mut wanted, "collections", "posts", "")["meta"]["sort"] = json!(3);
    wanted["systemFields"]
        .as_array_mut()
        .unwrap()
        .push(json!({"collection": "directus_users", "field": "last_page", "schema": {"is_indexed": true}}));
    retain(&mut wanted, "fields", |field| field["field"] != "name");
    let diff = api.post("/schema/diff", wanted.clone()).await.expect(200).data();
    let steps = &diff["diff"]["fields"][1];
    assert_eq!(steps["field"], "title");
    assert_eq!(
        steps["diff"],
        json!([
            {"kind": "E", "path": ["meta", "note"], "lhs": null, "rhs": "n"},
            {"kind": "E", "path": ["schema", "data_type"], "lhs": "character varying", "rhs": "text"},
            {"kind": "E", "path": ["schema", "is_indexed"], "lhs": false, "rhs": true},
            {"kind": "E", "path": ["schema", "max_length"], "lhs": 255, "rhs": null},
            {"kind": "E", "path": ["type"], "lhs": "string", "rhs": "text"},
        ])
    );
    assert_eq!(diff["diff"]["fields"][0]["diff"][0]["kind"], "D");
    assert_eq!(diff["diff"]["relations"][0]["related_collection"], "authors");
    api.post("/schema/apply", diff.clone()).await.expect(204);
    assert_eq!(snapshot(api).await, wanted);
    api.post("/schema/diff", wanted.clone()).await.expect(204);
    // A diff of before is stale, unless one insists.
    let stale = json!({"hash": diff["hash"], "diff": {"collections": [], "systemFields": [], "relations": [], "fields": [
        {"collection": "posts", "field": "title", "diff": [{"kind": "E", "path": ["meta", "note"], "lhs": null, "rhs": "m"}]}]}});
    let refused = api.post("/schema/apply", stale.clone()).await.refused(400, "INVALID_PAYLOAD");
    assert!(refused.text.contains("Provided hash does not match"), "{}", refused.text);
    assert_eq!(snapshot(api).await, wanted);
    api.post("/schema/apply?force", stale).await.expect(204);
    assert_eq!(api.get("/fields/posts/title").await.expect(200).data()["meta"]["note"], "m");
    apply(api, &before).await.expect(204);
    let mut after = snapshot(api).await;
    for document in [&mut after, &mut before.clone()] {
        document["fields"].as_array_mut().unwrap().sort_by_key(Value::to_string);
    }
    api.post("/schema/diff", before).await.expect(204);
}

#[tokio::test]
async fn a_diff_that_fails_leaves_nothing() {
    let world = small().await;
    let api = &world.api;
    api.post("/items/posts", json!([{"title": "same"}, {"title": "same"}])).await.expect(200);
    let (before, logged) = (snapshot(api).await, events(&world).await);
    let mut wanted = before.clone();
    wanted["collections"]
        .as_array_mut()
        .unwrap()
        .push(json!({"collection": "more", "meta": {}, "schema": {}}));
    entry(&mut wanted, "collections", "posts", "")["meta"]["note"] = json!("changed");
    entry(&mut wanted, "fields", "posts", "title")["schema"]["is_unique"] = json!(true);
    retain(&mut wanted, "relations", |_| false);
    let refused = apply(api, &wanted).await.refused(400, "INVALID_PAYLOAD");
    assert!(
        refused.text.contains("Field \\\"posts.title\\\": The field holds values that are not unique"),
        "{}",
        refused.text
    );
    assert_eq!(snapshot(api).await, before);
    assert_eq!(events(&world).await, logged);
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_class WHERE relname = 'more'")
        .fetch_one(&world.pool().await)
        .await
        .unwrap();
    assert_eq!(tables, 0);
    // A document that asks for what can't be done says so.
    let new = |field: Value| {
        let mut wanted = before.clone();
        wanted["fields"].as_array_mut().unwrap().push(field);
        wanted
    };
    for (field, reason) in [
        (json!({"collection": "nope", "field": "a", "type": "string"}), "doesn't exist"),
        (json!({"collection": "posts", "field": "a", "type": "nope"}), "is not a type"),
        (json!({"collection": "posts", "field": "a/b", "type": "string"}), "can't hold"),
        (
            json!({"collection": "posts", "field": "a", "type": "string", "schema": {"is_generated": true}}),
            "generated",
        ),
    ] {
        let refused = apply(api, &new(field)).await.refused(400, "INVALID_PAYLOAD");
        assert!(refused.text.contains(reason), "{}", refused.text);
    }
    assert_eq!(snapshot(api).await, before);
}

#[tokio::test]
async fn bad_bodies_and_others_than_admins_are_refused() {
    let world = small().await;
    let api = &world.api;
    let document = snapshot(api).await;
    for path in ["/schema/diff", "/schema/apply"] {
        for body in [json!({}), json!([]), json!({"version": 2}), json!({"collections": []}), json!([1])] {
            api.post(path, body).await.refused(400, "INVALID_PAYLOAD");
        }
        let text = api.raw(http::Method::POST, path, &[("content-type", "text/yaml")], "a: 1").await.unwrap();
        let refused = text.refused(415, "UNSUPPORTED_MEDIA_TYPE");
        assert_eq!(refused.json()["errors"][0]["extensions"]["mediaType"], "text/yaml");
        upload(api, path, "application/json", "{\"a\"").await.refused(400, "INVALID_PAYLOAD");
        upload(api, path, "text/yaml", "a: [").await.refused(400, "INVALID_PAYLOAD");
        upload(api, path, "text/yaml", "").await.refused(400, "INVALID_PAYLOAD");
        api.get(path).await.refused(404, "ROUTE_NOT_FOUND");
        let nobody = api.with_token(None);
        nobody.post(path, document.clone()).await.refused(403, "FORBIDDEN");
    }
    api.get("/schema/snapshot?export=csv").await.refused(400, "INVALID_QUERY");
    let mut old = document.clone();
    (old["directus"], old["vendor"]) = (json!("11.0.0"), json!("mysql"));
    api.post("/schema/diff", old.clone()).await.refused(400, "INVALID_PAYLOAD");
    api.post("/schema/diff?force=true", old).await.expect(204);
    world.user("editor@example.com", "editor-token-0001").await;
    let editor = api.with_token(Some("editor-token-0001"));
    editor.get("/schema/snapshot").await.refused(403, "FORBIDDEN");
    editor.post("/schema/diff", document.clone()).await.refused(403, "FORBIDDEN");
    editor.post("/schema/apply", json!({"hash": "x", "diff": {}})).await.refused(403, "FORBIDDEN");
}

/// A document that says less than all leaves the rest as it is, and comes to rest.
#[tokio::test]
async fn a_short_document_comes_to_rest() {
    let world = small().await;
    let api = &world.api;
    let wanted = json!({
        "version": 1, "directus": "11.17.4", "vendor": "postgres",
        "collections": [
            {"collection": "authors", "meta": {"note": "people"}, "schema": {}},
            {"collection": "posts", "meta": {}, "schema": {}},
            {"collection": "inner", "meta": {"group": "outer"}},
            {"collection": "outer", "meta": {}},
            {"collection": "keyless", "meta": {}, "schema": {}},
            {"collection": "plain", "meta": null, "schema": {}},
        ],
        "fields": [
            {"collection": "authors", "field": "id", "type": "integer"},
            {"collection": "authors", "field": "name", "type": "text"},
            {"collection": "posts", "field": "id", "type": "integer", "meta": {"id": 99, "unheard_of": 1}},
            {"collection": "posts", "field": "title", "type": "string", "schema": {"default_value": "x"}},
            {"collection": "posts", "field": "author", "type": "integer"},
            {"collection": "keyless", "field": "name", "type": "string"},
            {"collection": "plain", "field": "key", "type": "string", "meta": null, "schema": {"is_primary_key": true}},
        ],
        "relations": [{"collection": "posts", "field": "author", "related_collection": "authors",
                       "schema": {"on_delete": "SET NULL"}}],
        "systemFields": [{"collection": "directus_activity", "field": "timestamp", "schema": {"is_indexed": true}},
                         {"collection": "directus_revisions", "field": "activity", "schema": {"is_indexed": true}},
                         {"collection": "directus_revisions", "field": "parent", "schema": {"is_indexed": true}}],
    });
    apply(api, &wanted).await.expect(204);
    let again = api.post("/schema/diff", wanted).await;
    assert_eq!(again.status, 204, "{}", again.text);
    assert_eq!(api.get("/fields/authors/name").await.expect(200).data()["type"], "text");
    assert_eq!(api.get("/collections/inner").await.expect(200).data()["meta"]["group"], "outer");
    api.post("/items/keyless", json!({"name": "a"})).await.expect(200);
    api.post("/items/plain", json!({"key": "a"})).await.expect(200);
    let author = api.get("/relations/posts/author").await.expect(200).data();
    assert_eq!(author["schema"]["on_delete"], "SET NULL");
}

/// A hundred collections of ten fields, a relation each, in a few seconds.
#[tokio::test]
async fn a_large_schema_is_applied_in_seconds() {
    let world = World::start(shape!()).await;
    let mut wanted = snapshot(&world.api).await;
    let mut push = |list: &str, entry: Value| wanted[list].as_array_mut().unwrap().push(entry);
    for table in 0..100 {
        let name = format!("table_{table:03}");
        push("collections", json!({"collection": name, "meta": {"sort": table}, "schema": {}}));
        let key = json!({"is_primary_key": true, "has_auto_increment": true});
        push(
            "fields",
            json!({"collection": name, "field": "id", "type": "integer", "meta": {}, "schema": key}),
        );
        for field in 1..9 {
            let column = json!({"is_indexed": field == 1, "is_unique": field == 2});
            push(
                "fields",
                json!({"collection": name, "field": format!("field_{field}"), "type": "string", "meta": {"sort": field}, "schema": column}),
            );
        }
        push(
            "fields",
            json!({"collection": name, "field": "next", "type": "integer", "meta": {}, "schema": {}}),
        );
        let related = format!("table_{:03}", (table + 1) % 100);
        push(
            "relations",
            json!({"collection": name, "field": "next", "related_collection": related, "meta": {}, "schema": {}}),
        );
    }
    let diff = world.api.post("/schema/diff", wanted.clone()).await.expect(200).data();
    let begun = Instant::now();
    upload(&world.api, "/schema/apply", "application/json", &diff.to_string()).await.expect(204);
    let took = begun.elapsed();
    println!("100 collections, 1,000 fields, 100 relations: {took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    world.api.post("/schema/diff", wanted).await.expect(204);
    world.quiet(Duration::from_secs(20)).await;
}

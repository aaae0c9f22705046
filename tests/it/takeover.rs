//! Taking over a database that Directus 11.17.4 made: see `tests/fixtures/directus-11.17.4`.

pub mod restore;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::Api;
use crate::world::{Options, World};

/// Static token of the administrator in the fixture.
const ADMIN: &str = "oracle-admin-token";

/// A fleet on the database of the fixture, as its administrator.
pub async fn taken_over() -> World {
    over(restore::SCHEMA).await
}

/// The same of another fixture.
pub async fn over(fixture: &str) -> World {
    over_with(fixture, Options::default()).await
}

/// The same with settings.
pub async fn over_with(fixture: &str, options: Options) -> World {
    let database = testkit::empty_database().await;
    restore::into(&database.url, fixture).await;
    let mut world = World::over(shape!(), options, database).await;
    world.api = Api::new(world.api.base().to_owned(), Some(ADMIN));
    world
}

/// A list by the members that name its entries.
fn by_name(list: &Value, members: &[&str]) -> BTreeMap<String, Value> {
    let name = |entry: &Value| {
        members.iter().map(|member| entry[*member].as_str().unwrap_or_default()).collect::<Vec<_>>().join(".")
    };
    list.as_array().unwrap().iter().map(|entry| (name(entry), entry.clone())).collect()
}

/// Every difference between two values, by path.
fn differences(path: &str, theirs: &Value, ours: &Value, found: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let path = format!("{path}.{key}");
                match (a.get(key), b.get(key)) {
                    (Some(theirs), Some(ours)) => differences(&path, theirs, ours, found),
                    (theirs, ours) => found.push(format!("{path}: {theirs:?} != {ours:?}")),
                }
            }
        }
        _ if theirs == ours => {}
        _ => found.push(format!("{path}: {theirs} != {ours}")),
    }
}

/// What docs/COMPATIBILITY.md lists.
fn is_known(difference: &str) -> bool {
    const KNOWN: [&str; 9] = [
        // A name with blanks is a name.
        "fields: missing [], more [\"Plain Space.id\"]",
        // The providers that are configured.
        "directus_users.provider.meta.options.choices:",
        // Bytes have a type of their own.
        "all_types.t_binary.type: \"unknown\" != \"binary\"",
        "plain_table.b.type: \"unknown\" != \"binary\"",
        // Numbers that don't fit a double stay as they are.
        "all_types.t_bigint.schema.default_value:",
        // A numeric without a scale is no integer.
        "plain_table.n.type: \"integer\" != \"decimal\"",
        "plain_table.bits.",
        "plain_table.iv.type:",
        "plain_table.mon.type:",
    ];
    KNOWN.iter().any(|known| difference.starts_with(known))
}

#[tokio::test]
async fn the_schema_is_answered_as_the_original_did() {
    let world = taken_over().await;
    let answers = restore::answers();
    let mut found = Vec::new();
    for (path, members) in [
        ("collections", &["collection"][..]),
        ("fields", &["collection", "field"]),
        ("relations", &["collection", "field"]),
    ] {
        let ours = world.api.get(&format!("/{path}")).await.expect(200).data();
        let (theirs, ours) = (by_name(&answers[path], members), by_name(&ours, members));
        let missing: Vec<&String> = theirs.keys().filter(|name| !ours.contains_key(*name)).collect();
        let more: Vec<&String> = ours.keys().filter(|name| !theirs.contains_key(*name)).collect();
        if !missing.is_empty() || !more.is_empty() {
            found.push(format!("{path}: missing {missing:?}, more {more:?}"));
        }
        for (name, theirs) in &theirs {
            if let Some(ours) = ours.get(name) {
                differences(name, theirs, ours, &mut found);
            }
        }
    }
    found.retain(|difference| !is_known(difference));
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

#[tokio::test]
async fn the_schema_document_is_the_originals() {
    let world = taken_over().await;
    let theirs = &restore::answers()["schema.snapshot"];
    let ours = world.api.get("/schema/snapshot").await.expect(200).data();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&ours), names(theirs));
    let mut found = Vec::new();
    for list in ["collections", "fields", "systemFields", "relations"] {
        let (theirs, ours) = (theirs[list].as_array().unwrap(), ours[list].as_array().unwrap());
        let name = |entry: &Value| format!("{}.{}", entry["collection"], entry["field"]).replace('"', "");
        // The order is the original's, too.
        let of = |list: &[Value]| list.iter().map(name).collect::<Vec<_>>();
        assert_eq!(of(ours), of(theirs), "{list}");
        for (theirs, ours) in theirs.iter().zip(ours) {
            differences(&name(theirs), theirs, ours, &mut found);
        }
    }
    found.retain(|difference| !is_known(difference));
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
    // The original's own document changes nothing.
    world.api.post("/schema/diff", theirs.clone()).await.expect(204);
}

#[tokio::test]
async fn its_users_log_in_and_see_what_their_policies_show() {
    let world = taken_over().await;
    let login = |email: &str, password: &str| {
        let body = json!({"email": email, "password": password});
        let api = Api::new(world.api.base().to_owned(), None);
        async move { api.post("/auth/login", body).await }
    };
    let tokens = login("admin@example.com", "oracle-admin-pw").await.expect(200).data();
    let admin = Api::new(world.api.base().to_owned(), tokens["access_token"].as_str());
    assert_eq!(admin.get("/users/me?fields=email").await.expect(200).data()["email"], "admin@example.com");
    login("admin@example.com", "wrong").await.refused(401, "INVALID_CREDENTIALS");
    login("suspended@example.com", "suspended-pw").await.refused(401, "INVALID_CREDENTIALS");
    login("editor@example.com", "editor-pw").await.expect(200);
    let editor = Api::new(world.api.base().to_owned(), Some("oracle-editor-token"));
    editor.get("/items/articles?limit=1").await.expect(200);
    editor.get("/items/orders").await.refused(403, "FORBIDDEN");
    let items = world.api.get("/items/articles?limit=2&fields=id,title").await.expect(200).data();
    assert_eq!(items.as_array().unwrap().len(), 2);
    world.api.patch("/items/articles/1", json!({"title": "changed here"})).await.expect(200);
    let pool = world.pool().await;
    let events: i64 = sqlx::query_scalar("SELECT count(*) FROM eventus.events WHERE collection = 'articles'")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(events, 1);
    // The log goes on where the original stopped counting.
    let activity =
        "/activity?filter[collection][_eq]=articles&filter[item][_eq]=1&sort=-id&limit=2&fields=id,action";
    let activity = world.api.get(activity).await.expect(200).data();
    assert_eq!((&activity[0]["action"], activity.as_array().unwrap().len()), (&json!("update"), 2));
    let old: i64 = sqlx::query_scalar("SELECT greatest((SELECT max(id) FROM directus_activity), (SELECT max(id) FROM directus_revisions))::bigint")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(
        activity[0]["id"].as_i64().unwrap() > old && activity[1]["id"].as_i64().unwrap() <= old,
        "{activity}"
    );
    world.quiet(std::time::Duration::from_secs(20)).await;
    assert!(world.whole_logs().contains("ACTIVE FLOWS DO NOT RUN"), "the operator is told");
}

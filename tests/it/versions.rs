//! Saved versions of items: made, saved, read, compared, promoted, gone with their item.

use http::Method;
use serde_json::{Value, json};

mod nested;

use crate::world::{Shape, World};

async fn world(shape: Shape) -> World {
    let world = World::start(shape).await;
    let api = &world.api;
    world.collection("authors", json!([{"field": "name", "type": "string"}])).await;
    world
        .collection(
            "pages",
            json!([
                {"field": "title", "type": "string", "schema": {"is_nullable": false}, "meta": {"required": true}},
                {"field": "n", "type": "integer"},
                {"field": "price", "type": "decimal", "schema": {"numeric_precision": 10, "numeric_scale": 2}},
                {"field": "meta", "type": "json"},
                {"field": "day", "type": "date"},
                {"field": "slug", "type": "string", "schema": {"is_unique": true}},
                {"field": "author", "type": "integer"},
                {"field": "secret", "type": "string", "meta": {"special": ["conceal"]}},
            ]),
        )
        .await;
    let author = json!({"collection": "pages", "field": "author", "related_collection": "authors"});
    api.post("/relations", author).await.expect(200);
    api.patch("/collections/pages", json!({"meta": {"versioning": true, "accountability": "all"}}))
        .await
        .expect(200);
    api.post("/items/authors", json!([{"name": "a"}, {"name": "b"}])).await.expect(200);
    let one = json!({"title": "one", "n": 1, "price": 2.5, "meta": {"a": 1}, "slug": "one", "author": 1, "secret": "s"});
    api.post("/items/pages", json!([one, {"title": "two", "slug": "two"}])).await.expect(200);
    world
}

async fn version(world: &World, key: &str, collection: &str, item: &str) -> Value {
    let body = json!({"key": key, "name": "V", "collection": collection, "item": item});
    world.api.post("/versions", body).await.expect(200).data()
}

/// The place of a version: `/versions/<id>`.
fn place(version: &Value) -> String {
    format!("/versions/{}", version["id"].as_str().unwrap())
}

/// What an item is read as.
async fn read(world: &World, path: &str) -> Value {
    world.api.get(path).await.expect(200).data()
}

async fn named(world: &World, collection: &str) -> Vec<String> {
    let sql = "SELECT array_agg(name ORDER BY position) FROM eventus.events WHERE collection = $1";
    sqlx::query_scalar(sql).bind(collection).fetch_one(&world.pool().await).await.unwrap()
}

#[tokio::test]
async fn a_version_is_saved_read_compared_and_promoted() {
    let world = world(shape!()).await;
    let api = &world.api;
    let main = read(&world, "/items/pages/1").await;
    let made = version(&world, "draft", "pages", "1").await;
    assert_eq!(
        (&made["delta"], &made["user_updated"], &made["item"]),
        (&Value::Null, &Value::Null, &json!("1"))
    );
    assert_eq!(read(&world, "/items/pages/1?version=draft").await, main);
    let place = place(&made);
    let saved = json!({"n": 10, "price": "3.75", "id": 7, "nope": 1, "secret": "**********"});
    let saved = api.post(&format!("{place}/save"), saved).await.expect(200).data();
    assert_eq!((&saved["id"], &saved["title"], &saved["n"]), (&json!(1), &json!("one"), &json!(10)));
    api.post(&format!("{place}/save"), json!({"meta": {"b": [2]}, "author": 2, "day": "2026-02-03"}))
        .await
        .expect(200);
    let delta = json!({"n": 10, "price": "3.75", "meta": {"b": [2]}, "author": 2, "day": "2026-02-03"});
    assert_eq!(read(&world, &place).await["delta"], delta);
    // Read as it would be, at any depth, and by what it would be.
    let read_as = read(&world, "/items/pages/1?version=draft&fields=*,author.name").await;
    let expected = json!({
        "id": 1, "title": "one", "n": 10, "price": "3.75", "meta": {"b": [2]}, "day": "2026-02-03", "slug": "one",
        "author": {"name": "b"}, "secret": "**********",
    });
    assert_eq!(read_as, expected);
    let fits = "/items/pages/1?version=draft&fields=id&filter[author][name][_eq]=b&filter[n][_gt]=5";
    assert_eq!(read(&world, fits).await, json!({"id": 1}));
    api.get("/items/pages/1?version=draft&filter[n][_eq]=1").await.refused(403, "FORBIDDEN");
    let raw = read(&world, "/items/pages/1?version=draft&versionRaw=true&fields=title").await;
    let mut expected = delta.clone();
    expected["title"] = json!("one");
    expected["id"] = json!("1");
    assert_eq!(raw, expected);
    assert_eq!(read(&world, "/items/pages/1").await, main, "the item itself is as it was");
    assert_eq!(
        read(&world, "/items/pages?version=draft&filter[id][_eq]=1").await,
        json!([main]),
        "lists don't ask"
    );
    let compared = read(&world, &format!("{place}/compare")).await;
    let mut current = delta;
    current["id"] = json!("1");
    assert_eq!(
        (&compared["outdated"], &compared["current"], &compared["main"]),
        (&json!(false), &current, &main)
    );
    promoted(&world, &place, &compared["mainHash"]).await;
}

/// The item moves on, then parts of the version are written, then all of it.
async fn promoted(world: &World, place: &str, hash: &Value) {
    let api = &world.api;
    api.patch("/items/pages/1", json!({"n": 100})).await.expect(200);
    let promote = async |body: Value| api.post(&format!("{place}/promote"), body).await;
    let moved = promote(json!({"mainHash": hash})).await.refused(422, "UNPROCESSABLE_CONTENT");
    assert!(moved.text.contains("Main item has changed"), "{}", moved.text);
    for body in [json!({}), json!([]), json!({"mainHash": 1}), json!({"mainHash": hash, "fields": "n"})] {
        promote(body).await.refused(400, "INVALID_PAYLOAD");
    }
    let hash = async || {
        let compared = read(world, &format!("{place}/compare")).await;
        assert_eq!(compared["outdated"], json!(true));
        compared["mainHash"].clone()
    };
    let part = promote(json!({"mainHash": hash().await, "fields": ["price", "nope"]})).await.expect(200);
    assert_eq!(part.data(), json!("1"));
    let item = read(world, "/items/pages/1?fields=n,price").await;
    assert_eq!(item, json!({"n": 100, "price": "3.75"}));
    promote(json!({"mainHash": hash().await})).await.expect(200);
    let item = read(world, "/items/pages/1?fields=n,price,meta,author,day").await;
    assert_eq!(item, json!({"n": 10, "price": "3.75", "meta": {"b": [2]}, "author": 2, "day": "2026-02-03"}));
    let created = ["items.create"; 2];
    let names = named(world, "pages").await;
    assert_eq!(names, [&created[..], &["items.update"; 3]].concat());
    let secret: String = sqlx::query_scalar("SELECT secret FROM pages WHERE id = 1")
        .fetch_one(&world.pool().await)
        .await
        .unwrap();
    assert_eq!(secret, "s");
    history(world, place).await;
}

/// What was saved is a revision of the item, and can be gone back to.
async fn history(world: &World, place: &str) {
    let id = place.trim_start_matches("/versions/");
    let path = format!(
        "/revisions?filter[version][_eq]={id}&sort=id&fields=collection,item,data,delta,activity.action"
    );
    let saved = json!({"n": 10, "price": "3.75"});
    let then = json!({"meta": {"b": [2]}, "author": 2, "day": "2026-02-03"});
    let revision = |fields: &Value| json!({"collection": "pages", "item": "1", "data": fields, "delta": fields, "activity": {"action": "version_save"}});
    assert_eq!(read(world, &path).await, json!([revision(&saved), revision(&then)]));
    let of_item = "/revisions?filter[collection][_eq]=pages&filter[item][_eq]=1&aggregate[count]=*";
    assert_eq!(read(world, of_item).await, json!([{"count": "6"}]));
    world.api.patch("/items/pages/1", json!({"n": 0})).await.expect(200);
    let first = read(world, &format!("/revisions?filter[version][_eq]={id}&sort=id&fields=id&limit=1")).await;
    world.api.call(Method::POST, &format!("/utils/revert/{}", first[0]["id"]), None).await.expect(204);
    assert_eq!(read(world, "/items/pages/1?fields=n").await, json!({"n": 10}));
    world.api.delete(place, None).await.expect(204);
    assert_eq!(read(world, &path).await, json!([]), "they go with the version");
    world.api.get("/items/pages/1?version=draft").await.refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn wrong_versions_are_not_made() {
    let world = world(shape!()).await;
    let api = &world.api;
    for (body, status, code) in [
        (json!({}), 400, "INVALID_PAYLOAD"),
        (json!({"key": "a"}), 400, "INVALID_PAYLOAD"),
        (json!({"key": "a", "collection": "pages"}), 400, "INVALID_PAYLOAD"),
        (json!({"key": "main", "collection": "pages", "item": "1"}), 400, "INVALID_PAYLOAD"),
        (json!({"key": "", "collection": "pages", "item": "1"}), 400, "INVALID_PAYLOAD"),
        (json!({"key": null, "collection": "pages", "item": "1"}), 400, "INVALID_PAYLOAD"),
        (json!({"key": "a", "collection": "pages", "item": 1}), 400, "INVALID_PAYLOAD"),
        (json!({"key": "a", "collection": "pages", "item": "1", "delta": {"n": 1}}), 400, "INVALID_PAYLOAD"),
        (json!({"key": "a", "collection": "pages", "item": "1", "hash": "x"}), 400, "INVALID_PAYLOAD"),
        (json!({"key": "x".repeat(65), "collection": "pages", "item": "1"}), 400, "VALUE_TOO_LONG"),
        (json!({"key": "a", "collection": "authors", "item": "1"}), 422, "UNPROCESSABLE_CONTENT"),
        (json!({"key": "a", "collection": "directus_users", "item": "1"}), 422, "UNPROCESSABLE_CONTENT"),
        (json!({"key": "a", "collection": "nope", "item": "1"}), 403, "FORBIDDEN"),
        (json!({"key": "a", "collection": "pages", "item": "99"}), 403, "FORBIDDEN"),
        (json!({"key": "a", "collection": "pages", "item": "x"}), 403, "FORBIDDEN"),
    ] {
        api.post("/versions", body).await.refused(status, code);
    }
    let made = version(&world, "a", "pages", "1").await;
    version(&world, "a", "pages", "2").await;
    let again = json!({"key": "a", "collection": "pages", "item": "1"});
    api.post("/versions", again.clone()).await.refused(422, "UNPROCESSABLE_CONTENT");
    let twice = json!([{"key": "b", "collection": "pages", "item": "1"}, {"key": "b", "collection": "pages", "item": "1"}]);
    api.post("/versions", twice).await.refused(422, "UNPROCESSABLE_CONTENT");
    api.with_token(None).post("/versions", again).await.refused(403, "FORBIDDEN");
    version(&world, "c", "pages", "1").await;
    let place = place(&made);
    for body in [
        json!({"key": "main"}),
        json!({"key": ""}),
        json!({"item": "2"}),
        json!({"collection": "authors"}),
        json!({"delta": {"n": 1}}),
        json!({"hash": "x"}),
        json!({"id": "00000000-0000-4000-8000-000000000001"}),
    ] {
        api.patch(&place, body).await.refused(400, "INVALID_PAYLOAD");
    }
    api.patch(&place, json!({"key": "c"})).await.refused(422, "UNPROCESSABLE_CONTENT");
    let named =
        api.patch(&format!("{place}?fields=key,name"), json!({"key": "d", "name": null})).await.expect(200);
    assert_eq!(named.data(), json!({"key": "d", "name": null}));
    let each = json!([{"id": made["id"], "name": "each"}]);
    api.patch("/versions", each).await.expect(200);
    let versions = read(&world, "/versions?fields=key,item&sort=item,key").await;
    assert_eq!(
        versions,
        json!([{"key": "c", "item": "1"}, {"key": "d", "item": "1"}, {"key": "a", "item": "2"}])
    );
}

#[tokio::test]
async fn of_many_that_give_a_key_at_once_one_has_it() {
    let world = world(shape!()).await;
    let calls = (0..8).map(|_| {
        let api = world.api.clone();
        let body = json!({"key": "race", "collection": "pages", "item": "1"});
        crate::storm::spawn(async move { api.post("/versions", body).await.status })
    });
    let mut statuses = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        statuses.push(call.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200], vec![422; 7]].concat());
    // Saves at the same time keep what each of them says.
    let place = place(&read(&world, "/versions").await[0]);
    let fields = ["n", "price", "meta", "day", "slug", "author"];
    let calls = fields.map(|field| {
        let (api, path) = (world.api.clone(), format!("{place}/save"));
        crate::storm::spawn(async move { api.post(&path, json!({field: null})).await })
    });
    for call in calls {
        call.await.unwrap().expect(200);
    }
    assert_eq!(read(&world, &place).await["delta"].as_object().unwrap().len(), fields.len());
}

#[tokio::test]
async fn what_a_version_can_not_keep_or_become() {
    let world = world(shape!()).await;
    let api = &world.api;
    let made = version(&world, "draft", "pages", "1").await;
    let place = place(&made);
    let save = async |body: Value| api.post(&format!("{place}/save"), body).await;
    for body in [
        json!({"n": "x"}),
        json!({"n": 1, "price": "x"}),
        json!({"secret": "open"}),
        json!({"author": {"secret": {"a": 1}}, "secret": "open"}),
        json!([{"n": 1}]),
    ] {
        save(body).await.refused(400, "INVALID_PAYLOAD");
    }
    assert_eq!(read(&world, &place).await["delta"], Value::Null);
    let hash = read(&world, &format!("{place}/compare")).await["mainHash"].clone();
    let promote = async || api.post(&format!("{place}/promote"), json!({"mainHash": hash})).await;
    promote().await.refused(422, "UNPROCESSABLE_CONTENT");
    // A draft may be unfinished; what is wrong with it is said when it is written.
    for (body, code) in [
        (json!({"title": null}), "FAILED_VALIDATION"),
        (json!({"title": "t", "slug": "two"}), "RECORD_NOT_UNIQUE"),
        (json!({"slug": "one", "author": 99}), "INVALID_FOREIGN_KEY"),
    ] {
        save(body).await.expect(200);
        promote().await.refused(400, code);
    }
    assert_eq!(read(&world, "/items/pages/1?version=draft&fields=author").await, json!({"author": 99}));
    let public = api.with_token(None);
    for (method, path) in [(Method::POST, "save"), (Method::GET, "compare")] {
        public.call(method, &format!("{place}/{path}"), Some(json!({}))).await.refused(403, "FORBIDDEN");
    }
    public.post(&format!("{place}/promote"), json!({"mainHash": hash})).await.refused(403, "FORBIDDEN");
    for wrong in ["nope", "00000000-0000-4000-8000-0000000000ff"] {
        api.post(&format!("/versions/{wrong}/save"), json!({"n": 1})).await.refused(403, "FORBIDDEN");
        api.get(&format!("/versions/{wrong}/compare")).await.refused(403, "FORBIDDEN");
    }
    for path in
        ["/items/pages/1?version=nope", "/items/pages/2?version=draft", "/items/authors/1?version=draft"]
    {
        api.get(path).await.refused(403, "FORBIDDEN");
    }
    assert_eq!(named(&world, "pages").await, ["items.create"; 2]);
    // The versions of an item go with it.
    version(&world, "other", "pages", "2").await;
    api.delete("/items/pages/1", None).await.expect(204);
    assert_eq!(read(&world, "/versions?fields=key").await, json!([{"key": "other"}]));
    let gone = "SELECT count(*) FROM eventus.events WHERE name = 'versions.delete'";
    let gone: i64 = sqlx::query_scalar(gone).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(gone, 1);
}

#[tokio::test]
async fn singletons_have_versions_too() {
    let world = world(shape!()).await;
    let api = &world.api;
    world.collection("site", json!([{"field": "title", "type": "string"}])).await;
    api.patch("/collections/site", json!({"meta": {"singleton": true, "versioning": true}}))
        .await
        .expect(200);
    api.patch("/items/site", json!({"title": "a"})).await.expect(200);
    let made = version(&world, "d", "site", "1").await;
    let place = place(&made);
    api.post(&format!("{place}/save"), json!({"title": "v"})).await.expect(200);
    assert_eq!(read(&world, "/items/site?version=d").await, json!({"id": 1, "title": "v"}));
    assert_eq!(read(&world, "/items/site?version=d&versionRaw=true").await, json!({"id": "1", "title": "v"}));
    assert_eq!(read(&world, "/items/site").await, json!({"id": 1, "title": "a"}));
    api.get("/items/site?version=nope").await.refused(403, "FORBIDDEN");
    let hash = read(&world, &format!("{place}/compare")).await["mainHash"].clone();
    let promoted = api.post(&format!("{place}/promote"), json!({"mainHash": hash})).await.expect(200);
    assert_eq!(promoted.data(), json!("1"));
    assert_eq!(read(&world, "/items/site").await, json!({"id": 1, "title": "v"}));
}

//! Writing under rules: fields, presets, validations of the item as it will be, items out of reach, nested items.

use http::Method;
use serde_json::{Value, json};

use super::{Office, may};
use crate::world::World;

#[tokio::test]
async fn fields_presets_and_validations_hold_for_creations() {
    let office = Office::open(World::start(shape!()).await).await;
    office
        .policy(json!([
            {"collection": "articles", "action": "create", "fields": ["title", "words"],
                "presets": {"status": "draft"}, "validation": {"words": {"_lt": 100}}},
            may("read", "articles", &["id", "title", "status", "words"], Value::Null),
        ]))
        .await;
    let made =
        office.writer.post("/items/articles", json!({"title": "x", "words": 5})).await.expect(200).data();
    assert_eq!((&made["status"], &made["title"]), (&json!("draft"), &json!("x")));
    // A field that may not be written is refused, also one that a preset gives, and one that is not there.
    for body in [json!({"title": "y", "notes": "n"}), json!({"title": "y", "id": 77}), json!({"nope": 1})] {
        office.writer.post("/items/articles", body).await.refused(403, "FORBIDDEN");
    }
    office
        .writer
        .post("/items/articles", json!({"title": "y", "words": 500}))
        .await
        .refused(400, "FAILED_VALIDATION");
    // All or none.
    let many = json!([{"title": "a", "words": 1}, {"title": "b", "words": 1000}]);
    office.writer.post("/items/articles", many).await.refused(400, "FAILED_VALIDATION");
    let count = office.world.api.get("/items/articles?aggregate[count]=*").await.expect(200).data();
    assert_eq!(count[0]["count"], "4");
    // Who may write but not read is told nothing.
    let office = Office::open(World::start(shape!()).await).await;
    office.policy(json!([may("create", "articles", &["*"], Value::Null)])).await;
    office.writer.post("/items/articles", json!({"title": "unseen"})).await.expect(204);
}

#[tokio::test]
async fn changes_and_deletions_reach_what_the_rules_reach() {
    let office = Office::open(World::start(shape!()).await).await;
    office
        .policy(json!([
            {"collection": "articles", "action": "update", "fields": ["title", "status", "words"],
                "permissions": {"status": {"_neq": "archived"}},
                "validation": {"_and": [{"status": {"_in": ["draft", "published"]}}, {"words": {"_lt": 100}}]}},
            may("update", "articles", &["notes"], json!({"_and": [{"words": {"_gt": 25}}, {"status": {"_neq": "archived"}}]})),
            may("read", "articles", &["*"], Value::Null),
            may("delete", "articles", &["*"], json!({"status": {"_eq": "draft"}})),
        ]))
        .await;
    let (admin, writer) = (&office.world.api, &office.writer);
    let changed = writer.patch("/items/articles/1", json!({"title": "1!"})).await.expect(200).data();
    assert_eq!(changed["title"], "1!");
    // A rule gives its own fields for its own items only.
    writer.patch("/items/articles/3", json!({"notes": "n!"})).await.expect(200);
    writer.patch("/items/articles/1", json!({"notes": "n!"})).await.refused(403, "FORBIDDEN");
    writer.patch("/items/articles/1", json!({"author": 2})).await.refused(403, "FORBIDDEN");
    // The item as it will be is judged: old values and new ones together.
    admin.patch("/items/articles/2", json!({"words": 500})).await.expect(200);
    writer.patch("/items/articles/2", json!({"title": "2!"})).await.refused(400, "FAILED_VALIDATION");
    writer.patch("/items/articles/2", json!({"title": "2!", "words": 50})).await.expect(200);
    writer.patch("/items/articles/1", json!({"status": "archived"})).await.refused(400, "FAILED_VALIDATION");
    // Of several keys each must be within reach, else nothing is written.
    admin.patch("/items/articles/3", json!({"status": "archived"})).await.expect(200);
    let both = json!({"keys": [1, 3], "data": {"title": "both"}});
    writer.patch("/items/articles", both).await.refused(403, "FORBIDDEN");
    writer.patch("/items/articles/99", json!({"title": "x"})).await.refused(403, "FORBIDDEN");
    let title = admin.get("/items/articles/1?fields=title").await.expect(200).data()["title"].clone();
    assert_eq!(title, "1!");
    // By a query, too: one that he sees and may not change refuses all.
    let by = |keys: Value| json!({"query": {"filter": {"id": {"_in": keys}}}, "data": {"words": 7}});
    writer.patch("/items/articles", by(json!([1, 2, 3]))).await.refused(403, "FORBIDDEN");
    let changed =
        writer.patch("/items/articles?fields=id&sort=id", by(json!([1, 2]))).await.expect(200).data();
    assert_eq!(changed, json!([{"id": 1}, {"id": 2}]));
    // Also when nothing would change.
    writer.patch("/items/articles/3", json!({})).await.refused(403, "FORBIDDEN");
    writer.patch("/items/articles/1", json!({})).await.expect(200);
    writer.delete("/items/articles/1", None).await.refused(403, "FORBIDDEN");
    writer.delete("/items/articles", Some(json!([2, 1]))).await.refused(403, "FORBIDDEN");
    writer.delete("/items/articles/99", None).await.refused(403, "FORBIDDEN");
    writer.delete("/items/articles/2", None).await.expect(204);
    let left = admin.get("/items/articles?fields=id&sort=id").await.expect(200).data();
    assert_eq!(left, json!([{"id": 1}, {"id": 3}]));
}

#[tokio::test]
async fn items_within_items_are_written_under_the_rules_of_their_own_collection() {
    let office = Office::open(World::start(shape!()).await).await;
    office
        .policy(json!([
            may("create", "articles", &["*"], Value::Null),
            may("read", "articles", &["*"], Value::Null),
            may("read", "authors", &["id", "name"], Value::Null),
            may("update", "authors", &["name"], json!({"name": {"_neq": "Bob"}})),
        ]))
        .await;
    let (admin, writer) = (&office.world.api, &office.writer);
    writer
        .post("/items/articles", json!({"title": "x", "author": {"name": "New"}}))
        .await
        .refused(403, "FORBIDDEN");
    writer
        .post("/items/articles", json!({"title": "x", "author": {"id": 2, "name": "Rob"}}))
        .await
        .refused(403, "FORBIDDEN");
    writer
        .post("/items/articles", json!({"title": "x", "author": {"id": 1, "salary": "9"}}))
        .await
        .refused(403, "FORBIDDEN");
    let made = json!({"title": "x", "author": {"id": 1, "name": "Anna"}});
    writer.post("/items/articles", made).await.expect(200);
    let names = admin.get("/items/authors?fields=name,salary&sort=id").await.expect(200).data();
    assert_eq!(names, json!([{"name": "Anna", "salary": "100"}, {"name": "Bob", "salary": "200"}]));
    // The way through another collection gives nobody rights on the system's own.
    let relation =
        json!({"collection": "articles", "field": "owner", "related_collection": "directus_users"});
    admin.post("/relations", relation).await.expect(200);
    for owner in [json!({"id": office.user, "role": null}), json!({"email": "other@example.com"})] {
        let body = json!({"title": "x", "owner": owner});
        writer.post("/items/articles", body).await.refused(403, "FORBIDDEN");
    }
    let count = admin.get("/items/articles?aggregate[count]=*").await.expect(200).data();
    assert_eq!(count[0]["count"], "4");
}

#[tokio::test]
async fn nobody_gives_himself_what_nobody_gave_him() {
    let office = Office::open(World::start(shape!()).await).await;
    office
        .policy(json!([
            may("read", "directus_users", &["*"], json!({"id": {"_eq": "$CURRENT_USER"}})),
            may(
                "update",
                "directus_users",
                &["first_name", "password", "email"],
                json!({"id": {"_eq": "$CURRENT_USER"}})
            ),
        ]))
        .await;
    let writer = &office.writer;
    writer.patch("/users/me", json!({"first_name": "Wri"})).await.expect(200);
    for body in [
        json!({"role": null}),
        json!({"status": "active"}),
        json!({"token": "another-token"}),
        json!({"policies": {"create": [{"policy": "abf8a154-5b1c-4a46-ac9c-7300570f4f17"}]}}),
        json!({"external_identifier": "x"}),
        json!({"provider": "x"}),
        json!({"tfa_secret": "x"}),
    ] {
        writer.patch("/users/me", body.clone()).await.refused(403, "FORBIDDEN");
        writer.patch(&format!("/users/{}", office.user), body).await.refused(403, "FORBIDDEN");
    }
    let admin =
        office.world.api.get("/users?filter[email][_contains]=admin&fields=id").await.expect(200).data();
    let admin = admin[0]["id"].as_str().unwrap().to_owned();
    writer
        .patch(&format!("/users/{admin}"), json!({"password": "taken over"}))
        .await
        .refused(403, "FORBIDDEN");
    for (path, body) in [
        ("/permissions", json!({"collection": "articles", "action": "read", "policy": admin})),
        ("/policies", json!({"name": "mine", "admin_access": true})),
        ("/access", json!({"user": office.user, "policy": admin})),
        ("/roles", json!({"name": "mine"})),
        ("/collections", json!({"collection": "mine", "schema": {}})),
    ] {
        writer.post(path, body).await.refused(403, "FORBIDDEN");
    }
    for path in
        ["/schema/snapshot", "/items/articles/1/history", "/events/1", "/hooks/runs", "/webhooks/endpoints"]
    {
        writer.get(path).await.refused(403, "FORBIDDEN");
    }
    writer.post("/utils/undo", json!({"request_id": "x"})).await.refused(403, "FORBIDDEN");
    writer.post("/utils/erase", json!({"items": []})).await.refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn who_may_write_what_he_may_not_see_is_told_nothing() {
    let office = Office::open(World::start(shape!()).await).await;
    let site = json!({"collection": "site", "schema": {}, "meta": {"singleton": true},
        "fields": [{"field": "title", "type": "string"}, {"field": "open", "type": "boolean"}]});
    office.world.api.post("/collections", site).await.expect(200);
    office.world.api.patch("/items/site", json!({"title": "ours", "open": true})).await.expect(200);
    office
        .policy(json!([
            may("create", "articles", &["*"], Value::Null),
            may("update", "articles", &["title"], Value::Null),
            may("read", "articles", &["id", "title"], json!({"status": {"_eq": "published"}})),
            may("update", "site", &["open"], Value::Null),
        ]))
        .await;
    let (admin, writer) = (&office.world.api, &office.writer);
    // The item is made; of a field that he may not see nothing is shown, and of an item that he may not see neither.
    writer.post("/items/articles?fields=notes", json!({"title": "x", "notes": "n"})).await.expect(204);
    writer.patch("/items/articles/1?fields=author.salary,notes", json!({"title": "1!"})).await.expect(204);
    writer
        .patch("/items/articles?fields=notes", json!({"keys": [1, 2], "data": {"title": "both"}}))
        .await
        .expect(204);
    let titles = admin.get("/items/articles?fields=title&sort=id").await.expect(200).data();
    assert_eq!(titles, json!([{"title": "both"}, {"title": "both"}, {"title": "three"}, {"title": "x"}]));
    // The one item of a singleton is changed, not made again, whether he sees it or not.
    writer.patch("/items/site", json!({"open": false})).await.expect(204);
    let site = admin.get("/items/site?fields=title,open").await.expect(200).data();
    assert_eq!(site, json!({"title": "ours", "open": false}));
}

/// Whose a preset is says a rule, and comments are made on what one may read.
#[tokio::test]
async fn presets_are_ones_own_and_comments_are_on_what_one_reads() {
    let office = Office::open(World::start(shape!()).await).await;
    let (admin, writer) = (&office.world.api, &office.writer);
    let published = json!({"status": {"_eq": "published"}});
    let readable = json!([may("read", "articles", &["id", "title"], published)]);
    office.policy_for(json!({"role": office.role}), json!({"app_access": true}), readable).await;
    let me = admin.get("/users/me?fields=id").await.expect(200).data()["id"].clone();
    let theirs = json!({"collection": "articles", "user": me});
    let preset = admin.post("/presets", theirs.clone()).await.expect(200).data()["id"].clone();
    let path = format!("/presets/{preset}");
    writer.post("/presets", theirs.clone()).await.refused(400, "FAILED_VALIDATION");
    writer.get(&path).await.refused(403, "FORBIDDEN");
    writer.patch(&path, json!({"search": "x"})).await.refused(403, "FORBIDDEN");
    writer.delete(&path, None).await.refused(403, "FORBIDDEN");
    let own = json!({"collection": "articles", "user": office.user});
    let own = writer.post("/presets", own).await.expect(200).data()["id"].clone();
    writer.patch(&format!("/presets/{own}"), theirs).await.refused(400, "FAILED_VALIDATION");

    let comment =
        |item: &str| json!({"collection": "articles", "item": item, "comment": "c", "user_created": me});
    let made = writer.post("/comments", comment("1")).await.expect(200).data();
    assert_eq!(made["user_created"], office.user);
    let path = format!("/comments/{}", made["id"].as_str().unwrap());
    for refused in [
        writer.post("/comments", comment("2")).await,
        writer.post("/comments", comment("99")).await,
        writer.post("/comments", comment("x")).await,
        writer.post("/comments", json!([comment("1"), comment("2")])).await,
        writer.post("/comments", json!({"collection": "authors", "item": "1", "comment": "c"})).await,
        writer.post("/comments", json!({"collection": "nope", "item": "1", "comment": "c"})).await,
        writer.patch(&path, json!({"collection": "articles", "item": "2"})).await,
        admin.with_token(None).post("/comments", comment("1")).await,
    ] {
        refused.refused(403, "FORBIDDEN");
    }
    let count = admin.get("/comments?aggregate[count]=*").await.expect(200).data();
    assert_eq!(count[0]["count"], "1");
}

/// A file is written as by who brings it: fields that he may not give, presets, validations, items out of reach.
#[tokio::test]
async fn a_file_brings_no_more_than_who_sends_it_may_write() {
    let office = Office::open(World::start(shape!()).await).await;
    let articles = json!([
        {"collection": "articles", "action": "create", "fields": ["title", "words"],
            "presets": {"status": "draft"}, "validation": {"words": {"_lt": 100}}},
        may("read", "articles", &["*"], Value::Null),
        may("update", "articles", &["title"], json!({"status": {"_eq": "draft"}})),
    ]);
    office.policy(articles).await;
    let (admin, writer) = (&office.world.api, &office.writer);
    let import = async |rows: Value| {
        let part = format!(
            "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"f.json\"\r\n\
             content-type: application/json\r\n\r\n{rows}\r\n--b--\r\n"
        );
        let headers = [("content-type", "multipart/form-data; boundary=b")];
        writer.raw(Method::POST, "/utils/import/articles", &headers, part).await.unwrap()
    };
    let owner = admin.get("/users/me?fields=id").await.expect(200).data()["id"].clone();
    for (rows, status, code) in [
        (json!([{"title": "a", "notes": "n"}]), 403, "FORBIDDEN"),
        (json!([{"title": "a"}, {"title": "b", "status": "published"}]), 403, "FORBIDDEN"),
        (json!([{"title": "a", "owner": owner}]), 403, "FORBIDDEN"),
        (json!([{"id": 77, "title": "a"}]), 403, "FORBIDDEN"),
        (json!([{"title": "a", "words": 500}]), 400, "FAILED_VALIDATION"),
        (json!([{"id": 1, "title": "published, out of reach"}]), 403, "FORBIDDEN"),
        (json!([{"id": 2, "notes": "n"}]), 403, "FORBIDDEN"),
        (json!([{"title": "a", "author": {"name": "New"}}]), 403, "FORBIDDEN"),
    ] {
        let answer = import(rows.clone()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{rows}: {}", answer.text);
    }
    let count =
        async || admin.get("/items/articles?aggregate[count]=*").await.expect(200).data()[0]["count"].clone();
    assert_eq!(count().await, "3");
    import(json!([{"title": "a", "words": 5}])).await.expect(200);
    let made =
        admin.get("/items/articles?fields=title,status,owner&sort=-id&limit=1").await.expect(200).data();
    assert_eq!(made, json!([{"title": "a", "status": "draft", "owner": office.user}]));
    assert_eq!(count().await, "4");
}

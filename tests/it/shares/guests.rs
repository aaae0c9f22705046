//! What the guests of a share see: its item and what that leads to, as far as its role and its creator may both read it.

use serde_json::{Value, json};

use super::super::permissions::{Office, may};
use crate::api::Api;
use crate::world::World;

/// The office with notes on articles, tags between them, and articles below articles.
async fn start() -> Office {
    let office = Office::open(World::start(shape!()).await).await;
    let admin = &office.world.api;
    // Shares are of collections that stand in the table of collections.
    admin.patch("/collections/articles", json!({"meta": {"note": "shared"}})).await.expect(200);
    let integer = |name: &str| json!({"field": name, "type": "integer"});
    let alias =
        |name: &str, special: &str| json!({"field": name, "type": "alias", "meta": {"special": [special]}});
    let text = json!({"field": "text", "type": "string"});
    for (name, fields) in [
        ("remarks", json!([text, integer("article")])),
        ("tags", json!([text, alias("articles", "m2m")])),
        ("articles_tags", json!([integer("article"), integer("tag")])),
    ] {
        let body = json!({"collection": name, "schema": {}, "fields": fields});
        admin.post("/collections", body).await.expect(200);
    }
    let parts =
        json!([alias("remarks", "o2m"), alias("tags", "m2m"), alias("parts", "o2m"), integer("whole")]);
    for field in parts.as_array().unwrap() {
        admin.post("/fields/articles", field.clone()).await.expect(200);
    }
    for (collection, field, related, one, junction) in [
        ("remarks", "article", "articles", "remarks", Value::Null),
        ("articles_tags", "article", "articles", "tags", json!("tag")),
        ("articles_tags", "tag", "tags", "articles", json!("article")),
        ("articles", "whole", "articles", "parts", Value::Null),
    ] {
        let meta = json!({"one_field": one, "junction_field": junction});
        let relation =
            json!({"collection": collection, "field": field, "related_collection": related, "meta": meta});
        admin.post("/relations", relation).await.expect(200);
    }
    admin.post("/items/tags", json!([{"text": "t1"}, {"text": "t2"}])).await.expect(200);
    let links = json!([{"article": 1, "tag": 1}, {"article": 2, "tag": 1}, {"article": 3, "tag": 2}]);
    admin.post("/items/articles_tags", links).await.expect(200);
    let remarks = json!([{"text": "r1", "article": 1}, {"text": "r2", "article": 2}]);
    admin.post("/items/remarks", remarks).await.expect(200);
    admin.patch("/items/articles/2", json!({"whole": 1})).await.expect(200);
    admin.patch("/items/articles/1", json!({"whole": 3})).await.expect(200);
    office
}

const ALL: [&str; 5] = ["authors", "articles", "remarks", "tags", "articles_tags"];

fn everything() -> Value {
    json!(ALL.map(|name| may("read", name, &["*"], json!({}))))
}

/// A guest of a share of the first article, made by `by`.
async fn guest(by: &Api, role: Value) -> Api {
    let share = json!({"collection": "articles", "item": "1", "role": role});
    let share = by.post("/shares", share).await.expect(200).data()["id"].clone();
    let nobody = by.with_token(None);
    let tokens = nobody.post("/shares/auth", json!({"share": share})).await.expect(200).data();
    nobody.with_token(tokens["access_token"].as_str())
}

#[tokio::test]
async fn see_the_item_and_what_it_leads_to() {
    let office = start().await;
    office.policy(everything()).await;
    let me = guest(&office.world.api, json!(office.role)).await;
    let reads = async |path: &str| me.get(path).await.expect(200).data();
    // The item and its own parts; neither its whole nor its siblings.
    assert_eq!(reads("/items/articles?fields=id&sort=id").await, json!([{"id": 1}, {"id": 2}]));
    me.get("/items/articles/3").await.refused(403, "FORBIDDEN");
    let query = "fields=title,whole.id,parts.title,author.name,author.articles.title,remarks.text,tags.tag.text,\
                 tags.tag.articles.article.title";
    assert_eq!(
        reads(&format!("/items/articles/1?{query}")).await,
        json!({"title": "one", "whole": null, "parts": [{"title": "two"}],
            "author": {"name": "Ann", "articles": [{"title": "one"}, {"title": "two"}]},
            "remarks": [{"text": "r1"}], "tags": [{"tag": {"text": "t1", "articles": [{"article": {"title": "one"}}]}}]})
    );
    for (path, expected) in [
        ("authors?fields=name", json!([{"name": "Ann"}])),
        ("remarks?fields=text", json!([{"text": "r1"}])),
        ("tags?fields=text", json!([{"text": "t1"}])),
        ("articles_tags?fields=id", json!([{"id": 1}])),
        ("authors?aggregate[count]=*", json!([{"count": "1"}])),
        ("tags?filter[text][_eq]=t2", json!([])),
        ("authors?search=Bob", json!([])),
        ("authors?filter[articles][title][_eq]=three", json!([])),
    ] {
        assert_eq!(reads(&format!("/items/{path}")).await, expected, "{path}");
    }
    let told = reads("/permissions/me").await;
    assert_eq!(told["articles"]["read"], json!({"access": "partial", "fields": ["*"]}));
    assert_eq!(told["articles"]["update"], json!({"access": "none"}));
    // And changes nothing.
    for refused in [
        me.patch("/items/articles/1", json!({"title": "x"})).await,
        me.post("/items/remarks", json!({"text": "x", "article": 1})).await,
        me.delete("/items/articles/1", None).await,
        me.post("/shares", json!({"collection": "articles", "item": "1"})).await,
    ] {
        assert!([401, 403].contains(&refused.status), "{refused:?}");
    }
}

#[tokio::test]
async fn see_no_more_than_both_may() {
    let office = start().await;
    let admin = &office.world.api;
    // The role sees drafts only, and of authors the names.
    let draft = json!({"status": {"_eq": "draft"}});
    office
        .policy(json!([
            may("read", "articles", &["id", "title", "author", "remarks"], draft),
            may("read", "authors", &["name"], json!({})),
            may("read", "remarks", &["*"], json!({"text": {"_starts_with": "r"}})),
        ]))
        .await;
    let me = guest(admin, json!(office.role)).await;
    // The article is published.
    assert_eq!(me.get("/items/articles").await.expect(200).data(), json!([]));
    assert_eq!(me.get("/items/authors").await.expect(200).data(), json!([]));
    admin.patch("/items/articles/1", json!({"status": "draft"})).await.expect(200);
    assert_eq!(
        me.get("/items/articles").await.expect(200).data(),
        json!([{"id": 1, "title": "one", "author": 1, "remarks": [1]}])
    );
    assert_eq!(me.get("/items/authors").await.expect(200).data(), json!([{"name": "Ann"}]));
    assert_eq!(me.get("/items/remarks?fields=text").await.expect(200).data(), json!([{"text": "r1"}]));
    me.get("/items/tags").await.refused(403, "FORBIDDEN");
    admin.patch("/items/remarks/1", json!({"text": "hidden"})).await.expect(200);
    assert_eq!(me.get("/items/remarks").await.expect(200).data(), json!([]));

    // Who made the share sees what is his own; his variables stand for him, not for the guest.
    let role = admin.post("/roles", json!({"name": "all"})).await.expect(200).data()["id"].clone();
    office.policy_for(json!({"role": role}), json!({}), everything()).await;
    let own = json!({"owner": {"_eq": "$CURRENT_USER"}});
    office
        .policy(json!([
            may("read", "articles", &["title", "owner"], own),
            may("share", "articles", &["*"], json!({"id": {"_eq": 1}})),
            may("create", "directus_shares", &["*"], json!({})),
            may("read", "directus_shares", &["*"], json!({})),
        ]))
        .await;
    admin.patch("/items/articles/1", json!({"status": "published", "owner": office.user})).await.expect(200);
    let me = guest(&office.writer, role.clone()).await;
    assert_eq!(
        me.get("/items/articles?fields=title,owner").await.expect(200).data(),
        json!([{"title": "one", "owner": office.user}])
    );
    me.get("/items/tags").await.refused(403, "FORBIDDEN");
    admin.patch("/items/articles/1", json!({"owner": null})).await.expect(200);
    assert_eq!(me.get("/items/articles").await.expect(200).data(), json!([]));

    // Only what he may share.
    let other = json!({"collection": "articles", "item": "2", "role": role});
    office.writer.post("/shares", other).await.refused(403, "FORBIDDEN");
    let missing = json!({"collection": "articles", "item": "999", "role": role});
    office.writer.post("/shares", missing).await.refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn of_a_share_without_a_role_see_what_the_public_sees() {
    let office = start().await;
    let me = guest(&office.world.api, Value::Null).await;
    me.get("/items/articles").await.refused(403, "FORBIDDEN");
    let title = json!([may("read", "articles", &["title"], json!({}))]);
    office.policy_for(json!({}), json!({}), title).await;
    let deadline = std::time::Instant::now() + testkit::PATIENCE;
    loop {
        let answer = me.get("/items/articles").await;
        if answer.status == 200 {
            // The public sees every article, a guest the one that was shared.
            assert_eq!(answer.data(), json!([{"title": "one"}]));
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{answer:?}");
    }
}

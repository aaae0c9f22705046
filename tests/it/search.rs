//! Full-text search beyond the original, values inside json, figures of related items.

mod inside;
mod marks;

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::World;

/// The time that an index may take to be made.
const MADE: Duration = Duration::from_secs(60);

/// A text field with a mark.
fn text(name: &str, mark: Value) -> Value {
    json!({"field": name, "type": "text", "schema": {}, "meta": {"options": {"eventus_search": mark}}})
}

/// A collection with a mark on its key, which stands for all of its texts.
fn whole(mark: &Value) -> Value {
    json!({"field": "id", "type": "integer", "schema": {"is_primary_key": true, "has_auto_increment": true},
           "meta": {"options": {"eventus_search": mark}}})
}

/// A text as a part of a URL.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02X}"))
}

/// Waits until the collection is searched by its indexes.
async fn indexed(world: &World, collection: &str) {
    let path = format!("/items/{collection}?search=x&sort=-_relevance");
    testkit::eventually(MADE, || async { world.api.get(&path).await.status == 200 }).await;
}

/// Waits until there are so many managed indexes, and all can be used.
async fn indexes(world: &World, count: i64) {
    let pool = world.pool().await;
    let there = "SELECT count(*) FILTER (WHERE indisvalid) FROM pg_index \
                 WHERE starts_with(indexrelid::regclass::text, 'eventus_search_')";
    let complete = || async {
        let there: i64 = sqlx::query_scalar(there).fetch_one(&pool).await.unwrap();
        there == count
    };
    testkit::eventually(MADE, complete).await;
}

/// What is found, by its key, in this order.
async fn found(world: &World, collection: &str, query: &str) -> Vec<i64> {
    let answer = world.api.get(&format!("/items/{collection}?fields=id&{query}")).await.expect(200);
    answer.data().as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()).collect()
}

async fn articles(world: &World) {
    let hidden = json!({"field": "token", "type": "string", "schema": {}, "meta": {"special": ["conceal"],
                        "options": {"eventus_search": {"languages": ["english"]}}}});
    let fields = json!([
        text("title", json!({"languages": ["english", "german"]})),
        text("body", json!({"languages": ["english"]})),
        {"field": "note", "type": "text", "schema": {}},
        {"field": "words", "type": "integer", "schema": {}},
        hidden,
    ]);
    world.collection("articles", fields).await;
    let items = json!([
        {"title": "Running databases", "body": "They run all night, and the night runs on.", "note": "aside", "words": 7},
        {"title": "Die Häuser am See", "body": "A lake is a lake.", "words": 8},
        {"title": "A database", "body": "Nothing runs here: <b>rust</b> & \"quotes\" <script>alert('x')</script> 1 < 2", "token": "rust"},
        {"title": null, "body": "The quick brown fox jumps over the lazy dog.", "words": 2},
    ]);
    world.api.post("/items/articles", items).await.expect(200);
    indexed(world, "articles").await;
}

#[tokio::test]
async fn words_are_found_in_the_languages_of_their_fields() {
    let world = World::start(shape!()).await;
    articles(&world).await;
    for (search, keys) in [
        ("run", &[1, 3][..]),
        ("RUNNING", &[1, 3]),
        ("database", &[1, 3]),
        ("database -running", &[3]),
        ("haus", &[2]),
        ("lakes", &[2]),
        ("fox or lake", &[2, 4]),
        ("\"brown fox\"", &[4]),
        ("\"fox brown\"", &[]),
        ("quick lazy", &[4]),
        ("the", &[]),
        ("datab", &[]),
        // Fields without a mark, concealed ones and numbers are not looked at; the key is.
        ("aside", &[]),
        ("8", &[]),
        ("2", &[2, 3]),
        ("' ) | & ! :* \\ %", &[]),
    ] {
        assert_eq!(found(&world, "articles", &format!("search={}", encoded(search))).await, keys, "{search}");
    }
    assert_eq!(found(&world, "articles", "search=rust").await, [3], "by the body, not by the token");
    assert_eq!(found(&world, "articles", "search=run&filter[id][_gt]=1&sort=-id").await, [3]);
    let counted = world.api.get("/items/articles?search=run&limit=1&meta=*").await.expect(200).json();
    assert_eq!(counted["meta"], json!({"total_count": 4, "filter_count": 2}));
    let figures = world.api.get("/items/articles?search=run&aggregate[count]=*").await.expect(200).data();
    assert_eq!(figures, json!([{"count": "2"}]));
    let body = json!({"query": {"search": "fox", "fields": ["id"]}});
    let method = http::Method::from_bytes(b"SEARCH").unwrap();
    let searched = world.api.call(method, "/items/articles", Some(body)).await.expect(200).data();
    assert_eq!(searched, json!([{"id": 4}]));
}

#[tokio::test]
async fn hits_are_ranked_and_shown() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    articles(&world).await;
    // Twice in the body and once in the title says more than once.
    assert_eq!(found(&world, "articles", "search=run&sort=-_relevance").await, [1, 3]);
    assert_eq!(found(&world, "articles", "search=run&sort=_relevance,id").await, [3, 1]);
    let shown =
        api.get("/items/articles?search=run&sort=-_relevance&fields=id,_excerpt").await.expect(200).data();
    assert_eq!(
        shown[0],
        json!({"id": 1, "_excerpt": {"title": "<mark>Running</mark> databases",
               "body": "They <mark>run</mark> all night, and the night <mark>runs</mark> on."}})
    );
    assert_eq!(shown[1]["_excerpt"]["title"], json!(null));
    // HTML of the content is text, whatever is done to it; the marks are ours.
    let shown = api.get("/items/articles?search=rust&fields=_excerpt").await.expect(200).data();
    let body = shown[0]["_excerpt"]["body"].as_str().unwrap();
    let bare = body.replace("<mark>", "").replace("</mark>", "");
    assert!(body.contains("<mark>rust</mark>") && body.contains("&quot;quotes&quot;"), "{body}");
    assert!(body.contains("1 &lt; 2") && !bare.contains(['<', '>', '"', '\'']), "{body}");
    let forged = json!({"body": "fox \u{2}b\u{3} \u{2}<i>\u{3} &lt;mark&gt;"});
    api.patch("/items/articles/3", forged).await.expect(200);
    let shown = api.get("/items/articles?search=fox&fields=_excerpt&filter[id]=3").await.expect(200).data();
    let body = shown[0]["_excerpt"]["body"].as_str().unwrap();
    assert_eq!(body.matches("<mark>").count(), 1, "{body}");
    assert!(body.contains("&amp;lt;mark&amp;gt;"), "{body}");
    assert_eq!(shown[0]["_excerpt"].as_object().unwrap().len(), 2, "neither the note nor the token");
    api.get("/items/articles?sort=-_relevance").await.refused(400, "INVALID_QUERY");
    api.get("/items/articles?fields=_excerpt").await.refused(400, "INVALID_QUERY");
    api.with_token(None).get("/items/articles?search=run&fields=_excerpt").await.refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn related_items_are_searched_by_their_own_words() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    world.collection("authors", json!([{"field": "name", "type": "string", "schema": {}}])).await;
    world.collection("posts", json!([text("title", json!({"languages": ["english"]}))])).await;
    let author = json!({"collection": "posts", "field": "author", "related_collection": "authors",
                        "meta": {"one_field": "posts", "sort_field": null}, "schema": {}});
    api.post("/fields/posts", json!({"field": "author", "type": "integer", "schema": {}})).await.expect(200);
    api.post("/fields/authors", json!({"field": "posts", "type": "alias", "meta": {"special": ["o2m"]}}))
        .await
        .expect(200);
    api.post("/relations", author).await.expect(200);
    api.post("/items/authors", json!([{"name": "Ada"}, {"name": "Bob"}])).await.expect(200);
    let posts = json!([{"title": "one run", "author": 1}, {"title": "runs and runs and runs", "author": 1},
                       {"title": "rests", "author": 1}, {"title": "rests", "author": 2}]);
    api.post("/items/posts", posts).await.expect(200);
    indexed(&world, "posts").await;
    let path = "/items/authors?fields=id,posts.id,posts._excerpt&deep[posts][_search]=run&deep[posts][_sort]=-_relevance";
    let excerpt = |title: &str| json!({ "title": title });
    assert_eq!(
        api.get(path).await.expect(200).data(),
        json!([{"id": 1, "posts": [
            {"id": 2, "_excerpt": excerpt("<mark>runs</mark> and <mark>runs</mark> and <mark>runs</mark>")},
            {"id": 1, "_excerpt": excerpt("one <mark>run</mark>")}]}, {"id": 2, "posts": []}])
    );
    api.get("/items/authors?fields=posts._excerpt").await.refused(400, "INVALID_QUERY");
    figures_take_the_place_of_related_items(&world).await;
}

/// `deep[rel][_aggregate]`, which the original fails on; `_group` alone is ignored there, and here.
async fn figures_take_the_place_of_related_items(world: &World) {
    let get = async |query: &str| world.api.get(&format!("/items/authors?{query}")).await.expect(200).data();
    let counts =
        get("fields=id,posts.id&deep[posts][_aggregate][count]=*&deep[posts][_aggregate][max]=id").await;
    let of = |count: &str, max: i64| json!([{"count": count, "max": {"id": max}}]);
    assert_eq!(counts, json!([{"id": 1, "posts": of("3", 3)}, {"id": 2, "posts": of("1", 4)}]));
    let query = "fields=id,posts&deep[posts][_aggregate][count]=id&deep[posts][_group]=title\
                 &deep[posts][_filter][id][_neq]=3&deep[posts][_sort]=-title&deep[posts][_limit]=1";
    let grouped = get(query).await;
    let of = |title: &str| json!([{"title": title, "count": {"id": "1"}}]);
    assert_eq!(
        grouped,
        json!([{"id": 1, "posts": of("runs and runs and runs")}, {"id": 2, "posts": of("rests")}])
    );
    let plain = get("fields=id,posts&sort=id").await;
    assert_eq!(get("fields=id,posts&sort=id&deep[posts][_group]=title").await, plain);
    for (path, status) in [
        ("/items/posts?fields=author.id&deep[author][_aggregate][count]=*", 400),
        ("/items/authors?fields=posts.id&deep[posts][_aggregate][sum]=title", 400),
        ("/items/authors?fields=posts.id&deep[posts][_aggregate][max]=nope", 403),
        ("/items/authors?fields=posts.id&deep[posts][_aggregate][nope]=id", 400),
    ] {
        assert_eq!(world.api.get(path).await.status, status, "{path}");
    }
}

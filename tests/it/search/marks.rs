//! Marks and the indexes that follow from them: checked, made beside the traffic, made anew, dropped.

use serde_json::{Value, json};

use super::{found, indexed, indexes, text, whole};
use crate::world::World;

/// The mark of a field that is there.
async fn mark(world: &World, path: &str, mark: Value) {
    let changes = json!({"meta": {"options": {"eventus_search": mark}}});
    world.api.patch(&format!("/fields/{path}"), changes).await.expect(200);
}

#[tokio::test]
async fn an_index_lives_as_long_as_its_mark() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    world
        .collection(
            "notes",
            json!([{"field": "title", "type": "string", "schema": {}},
                                     {"field": "body", "type": "text", "schema": {}}]),
        )
        .await;
    api.post("/items/notes", json!([{"title": "die Häuser"}, {"title": "housing 100%"}])).await.expect(200);
    // As the original, with wildcards that are letters.
    assert_eq!(found(&world, "notes", "search=hous").await, [2]);
    assert_eq!(found(&world, "notes", "search=%25").await, [2]);
    api.get("/items/notes?search=x&sort=-_relevance").await.refused(403, "FORBIDDEN");
    mark(&world, "notes/title", json!({"languages": ["english"]})).await;
    indexed(&world, "notes").await;
    assert_eq!(found(&world, "notes", "search=houses").await, [2]);
    assert_eq!(found(&world, "notes", "search=haus").await, Vec::<i64>::new());
    // Another language: another index, the old one goes.
    mark(&world, "notes/title", json!({"languages": ["german"]})).await;
    let finds_german = || async { found(&world, "notes", "search=haus").await == [1] };
    testkit::eventually(super::MADE, finds_german).await;
    indexes(&world, 1).await;
    let title = api.get("/fields/notes/title").await.expect(200).data();
    assert_eq!(title["meta"]["options"], json!({"eventus_search": {"languages": ["german"]}}));
    // Nothing of it is a field, an index of a field or anything else that a client sees.
    assert_eq!(title["schema"]["is_indexed"], json!(false));
    let fields = api.get("/fields/notes").await.expect(200).data();
    assert_eq!(fields.as_array().unwrap().len(), 3);
    // A column of another type takes it away, and gives it back when it is text again.
    api.patch("/fields/notes/title", json!({"type": "text"})).await.expect(200);
    indexed(&world, "notes").await;
    assert_eq!(found(&world, "notes", "search=haus").await, [1]);
    api.patch("/fields/notes/title", json!({"meta": {"options": null}})).await.expect(200);
    assert_eq!(found(&world, "notes", "search=hous").await, [2]);
    indexes(&world, 0).await;
    mark(&world, "notes/title", json!({"languages": ["english"]})).await;
    mark(&world, "notes/body", json!({"languages": ["english"]})).await;
    indexes(&world, 2).await;
    api.delete("/fields/notes/body", None).await.expect(204);
    indexes(&world, 1).await;
    // What is hidden from now on is searched no more.
    let hide = json!({"meta": {"special": ["conceal"]}});
    api.patch("/fields/notes/title", hide).await.expect(200);
    assert_eq!(found(&world, "notes", "search=housing").await, Vec::<i64>::new());
    indexes(&world, 0).await;
    api.patch("/fields/notes/title", json!({"meta": {"special": null}})).await.expect(200);
    indexes(&world, 1).await;
    api.delete("/collections/notes", None).await.expect(204);
    indexes(&world, 0).await;
}

#[tokio::test]
async fn the_mark_of_a_collection_stands_for_its_texts() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let english = json!({"languages": ["english"]});
    let fields = json!([
        whole(&english),
        {"field": "title", "type": "string", "schema": {}, "meta": {}},
        text("german", json!({"languages": ["german"]})),
        text("never", json!(false)),
        {"field": "secret", "type": "string", "schema": {}, "meta": {"special": ["conceal"]}},
        {"field": "apart", "type": "string", "schema": {}, "meta": {"searchable": false}},
        {"field": "count", "type": "integer", "schema": {}},
    ]);
    world.collection("pages", fields).await;
    let item = json!({"title": "many houses", "german": "viele Häuser", "never": "nevermore", "secret": "hidden",
                      "apart": "aside", "count": 77});
    api.post("/items/pages", item).await.expect(200);
    indexed(&world, "pages").await;
    indexes(&world, 2).await;
    for (search, hit) in [
        ("house", true),
        ("haus", true),
        ("1", true),
        ("nevermore", false),
        ("hidden", false),
        ("aside", false),
        ("77", false),
    ] {
        let keys = found(&world, "pages", &format!("search={search}")).await;
        assert_eq!(!keys.is_empty(), hit, "{search}");
    }
    // A field that comes later is one of its texts.
    api.post("/fields/pages", json!({"field": "more", "type": "text", "schema": {}, "meta": {}}))
        .await
        .expect(200);
    api.patch("/items/pages/1", json!({"more": "boats"})).await.expect(200);
    indexes(&world, 3).await;
    let finds = || async { found(&world, "pages", "search=boat").await == [1] };
    testkit::eventually(super::MADE, finds).await;
    // The document of the schema carries the marks to another database.
    let document = api.get("/schema/snapshot").await.expect(200).data();
    let other = World::start(shape!()).await;
    let diff = other.api.post("/schema/diff", document).await.expect(200).data();
    other.api.post("/schema/apply", diff).await.expect(204);
    indexes(&other, 3).await;
    other.api.post("/items/pages", json!({"title": "a house"})).await.expect(200);
    indexed(&other, "pages").await;
    assert_eq!(found(&other, "pages", "search=houses").await, [1]);
}

#[tokio::test]
async fn marks_that_cannot_be_are_refused_by_name() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    world
        .collection(
            "bare",
            json!([{"field": "title", "type": "string", "schema": {}},
                                    {"field": "count", "type": "integer", "schema": {}}]),
        )
        .await;
    let languages = |names: Value| json!({ "languages": names });
    for (field, mark, said) in [
        ("title", languages(json!(["klingon"])), "\"klingon\" is no text search configuration"),
        (
            "title",
            languages(json!(["english'::regconfig)); DROP TABLE bare; --"])),
            "is no text search configuration",
        ),
        ("title", languages(json!([])), "must be"),
        ("title", json!("english"), "must be"),
        ("title", json!({"trigrams": 1}), "must be"),
        ("count", languages(json!(["english"])), "a field of the type \"integer\" can't be marked"),
    ] {
        let changes = json!({"meta": {"options": {"eventus_search": mark}}});
        let answer =
            api.patch(&format!("/fields/bare/{field}"), changes).await.refused(400, "INVALID_PAYLOAD");
        assert!(answer.text.contains(&said.replace('"', "\\\"")), "{}", answer.text);
    }
    let mut field = text("more", languages(json!(["klingon"])));
    api.post("/fields/bare", field.clone()).await.refused(400, "INVALID_PAYLOAD");
    api.post("/collections", json!({"collection": "c", "schema": {}, "fields": [field]}))
        .await
        .refused(400, "INVALID_PAYLOAD");
    api.get("/collections/c").await.refused(403, "FORBIDDEN");
    field = text("own", languages(json!(["english"])));
    api.post("/fields/directus_users", field).await.refused(400, "INVALID_PAYLOAD");
    // What somebody wrote by SQL and is no mark, is none: it stands in nobody's way.
    let pool = world.pool().await;
    sqlx::query(
        "INSERT INTO directus_fields (collection, field, options) VALUES \
                 ('bare', 'title', '{\"eventus_search\": {\"languages\": [\"klingon\", 5]}}')",
    )
    .execute(&pool)
    .await
    .unwrap();
    api.post("/items/bare", json!({"title": "as before"})).await.expect(200);
    assert_eq!(found(&world, "bare", "search=fore").await, [1]);
}

/// With the extension on the server it is used; without it, or before it is installed, the refusal names it.
#[tokio::test]
async fn parts_of_words_are_found_by_trigrams() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let field = text("title", json!({"trigrams": true}));
    world.collection("names", json!([])).await;
    let refused = api.post("/fields/names", field.clone()).await.refused(400, "INVALID_PAYLOAD");
    let reason = &refused.json()["errors"][0]["extensions"]["reason"];
    assert_eq!(*reason, "\"eventus_search\" by trigrams needs pg_trgm: CREATE EXTENSION pg_trgm");
    let pool = world.pool().await;
    let available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_trgm'";
    let available: i64 = sqlx::query_scalar(available).fetch_one(&pool).await.unwrap();
    if available == 0 {
        println!("the server has no pg_trgm");
        return;
    }
    sqlx::raw_sql("CREATE SCHEMA \"od'd\"; CREATE EXTENSION pg_trgm SCHEMA \"od'd\"")
        .execute(&pool)
        .await
        .unwrap();
    api.post("/fields/names", field).await.expect(200);
    let items = json!([{"title": "Grünes 100% <Öl>"}, {"title": "grund_stück"}, {"title": "nothing"}]);
    api.post("/items/names", items).await.expect(200);
    indexed(&world, "names").await;
    // As without the mark: parts, regardless of case, wildcards are letters.
    for (search, keys) in
        [("GR", &[1, 2][..]), ("%C3%96L", &[1]), ("d_s", &[2]), ("0%25", &[1]), ("r%25n", &[]), ("3", &[3])]
    {
        assert_eq!(found(&world, "names", &format!("search={search}")).await, keys, "{search}");
    }
    assert_eq!(found(&world, "names", "search=gr%C3%BCnes&sort=-_relevance").await, [1]);
    let shown = api.get("/items/names?search=%25%20%3C%C3%B6l&fields=_excerpt").await.expect(200).data();
    assert_eq!(shown[0]["_excerpt"]["title"], "Grünes 100<mark>% &lt;Öl</mark>&gt;");
    // Where the extension goes, its index goes, and search is as it was.
    sqlx::raw_sql("DROP EXTENSION pg_trgm CASCADE").execute(&pool).await.unwrap();
    let without = || async { api.get("/items/names?search=gr&sort=-_relevance").await.status == 403 };
    testkit::eventually(super::MADE, without).await;
    assert_eq!(found(&world, "names", "search=gr").await, [1, 2]);
}

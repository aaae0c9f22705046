//! Searching indexes, ranks, excerpts and figures of related items: nobody learns what he may not see.

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::{Asker, Shop, asker, editor, read};
use crate::catalog::marks;
use crate::schema::search_indexes;
use crate::snapshot::Snapshots;

/// A shop whose articles are searched by the words of titles and notes.
async fn searched() -> Shop {
    let mut shop = Shop::open().await;
    let db = shop.servers.db.clone();
    let mark = "INSERT INTO directus_fields (collection, field, options) SELECT 'articles', name, \
                '{\"eventus_search\": {\"languages\": [\"simple\"]}}' FROM unnest('{title,notes}'::text[]) name";
    sqlx::raw_sql(mark).execute(&db).await.unwrap();
    let snapshots = Snapshots::new(db.clone());
    let marked = snapshots.refresh().await.unwrap();
    for wanted in marks::all(&marked.catalog) {
        sqlx::raw_sql(AssertSqlSafe(search_indexes::create(&wanted))).execute(&db).await.unwrap();
    }
    shop.snapshot = snapshots.refresh().await.unwrap();
    assert!(shop.snapshot.collection("articles").unwrap().has_search_indexes());
    shop
}

async fn found(shop: &Shop, who: &Asker, query: &str) -> Vec<i64> {
    let items = shop.items(who, "articles", &format!("fields=id&{query}")).await;
    items.as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn indexes_find_what_may_be_seen() {
    let shop = searched().await;
    let editor = editor();
    for (search, keys) in [
        ("one", &[1][..]),
        ("two", &[2]),
        // Drafts of others, and notes of articles that are seen without them.
        ("four", &[]),
        ("first", &[1]),
        ("ann", &[1, 2]),
        ("bob", &[]),
        ("eve or three", &[3]),
        ("-first", &[1, 2, 3, 5, 6]),
        ("4", &[]),
        ("5", &[5]),
    ] {
        assert_eq!(found(&shop, &editor, &format!("search={search}")).await, keys, "{search}");
    }
    // The note of 3 would lift it above 2; the shorter the text, the higher it stands.
    assert_eq!(found(&shop, &editor, "search=three or two or first&sort=-_relevance,id").await, [2, 3, 1]);
    let shown = shop.items(&editor, "articles", "search=first or three&fields=id,_excerpt").await;
    assert_eq!(
        shown,
        json!([{"id": 1, "_excerpt": {"title": null, "notes": "<mark>first</mark> of Ann"}},
               {"id": 3, "_excerpt": {"title": "<mark>three</mark>", "notes": null}}])
    );
    let titles = asker([read("articles", &["id", "title"], Value::Null)]);
    assert_eq!(found(&shop, &titles, "search=first").await, Vec::<i64>::new());
    let shown = shop.items(&titles, "articles", "search=one&fields=_excerpt").await;
    assert_eq!(shown, json!([{"_excerpt": {"title": "<mark>one</mark>"}}]));
    let words = asker([read("articles", &["words"], Value::Null)]);
    let shown = shop.items(&words, "articles", "search=one&fields=_excerpt&sort=_relevance").await;
    assert_eq!(shown, json!([]), "neither a text nor the key");
}

#[tokio::test]
async fn figures_of_related_items_are_of_those_that_may_be_seen() {
    let shop = Shop::open().await;
    let of = |notes: &str, max: i64| json!([{"count": {"notes": notes}, "max": {"id": max}}]);
    let query =
        "fields=id,articles&deep[articles][_aggregate][count]=notes&deep[articles][_aggregate][max]=id";
    let figures = shop.items(&editor(), "authors", query).await;
    assert_eq!(figures, json!([{"id": 1, "articles": of("2", 2)}, {"id": 2, "articles": of("0", 3)}]));
    let titles =
        asker([read("authors", &["*"], Value::Null), read("articles", &["id", "author"], Value::Null)]);
    let refused = shop.list(&titles, "authors", query).await.unwrap_err();
    assert_eq!(refused.code, model::ErrorCode::Forbidden);
}

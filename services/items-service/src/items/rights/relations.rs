//! Related items are seen under their own collection's rules.

use serde_json::{Value, json};

use super::{Shop, asker, editor, read};

#[tokio::test]
async fn related_items_out_of_reach_are_not_there() {
    let shop = Shop::open().await;
    let editor = editor();
    let authors = shop.items(&editor, "articles", "fields=id,author.name&filter[id][_in]=1,5,6").await;
    let expected =
        json!([{"id": 1, "author": {"name": "Ann"}}, {"id": 5, "author": null}, {"id": 6, "author": null}]);
    assert_eq!(authors, expected);
    let tags = shop.items(&editor, "articles", "fields=id,tags.tags_id.name&filter[id][_in]=1,3").await;
    let expected = json!([
        {"id": 1, "tags": [{"tags_id": {"name": "open"}}, {"tags_id": null}]}, {"id": 3, "tags": [{"tags_id": null}]}
    ]);
    assert_eq!(tags, expected);
    let articles = shop.items(&editor, "authors", "fields=id,articles&filter[id][_in]=1,2").await;
    assert_eq!(articles, json!([{"id": 1, "articles": [1, 2]}, {"id": 2, "articles": [3]}]));
    let counts = shop.items(&editor, "authors", "fields=id,count(articles)&filter[id][_in]=1,2").await;
    let expected = json!([{"id": 1, "articles_count": "2"}, {"id": 2, "articles_count": "1"}]);
    assert_eq!(counts, expected);
    let nested =
        shop.items(&editor, "authors", "fields=articles.notes&deep[articles][_limit]=1&filter[id][_eq]=2");
    assert_eq!(nested.await, json!([{"articles": []}]));
}

#[tokio::test]
async fn related_items_out_of_reach_answer_no_question() {
    let shop = Shop::open().await;
    let editor = editor();
    for (collection, filter, ids) in [
        ("articles", json!({"author": {"name": {"_eq": "Eve"}}}), vec![]),
        ("articles", json!({"author": {"name": {"_null": true}}}), vec![5, 6]),
        ("articles", json!({"tags": {"tags_id": {"name": {"_eq": "secret"}}}}), vec![]),
        ("articles", json!({"tags": {"_some": {"tags_id": {"name": {"_eq": "secret"}}}}}), vec![]),
        (
            "articles",
            json!({"tags": {"_none": {"tags_id": {"name": {"_eq": "secret"}}}}}),
            vec![1, 2, 3, 5, 6],
        ),
        ("authors", json!({"articles": {"title": {"_eq": "four"}}}), vec![]),
        ("authors", json!({"articles": {"_none": {"title": {"_eq": "four"}}}}), vec![1, 2]),
        ("authors", json!({"articles": {"notes": {"_contains": "Bob"}}}), vec![]),
        ("authors", json!({"count(articles)": {"_eq": 2}}), vec![1]),
    ] {
        assert_eq!(shop.ids(&editor, collection, filter.clone()).await, ids, "{filter}");
    }
    // Eve's article stands where those without an author do.
    let sorted = shop.items(&editor, "articles", "fields=id&sort=author.name").await;
    assert_eq!(sorted, json!([{"id": 1}, {"id": 2}, {"id": 3}, {"id": 5}, {"id": 6}]));
    let sorted = shop.items(&editor, "authors", "fields=id&sort=-articles.words").await;
    assert_eq!(sorted, json!([{"id": 2}, {"id": 1}]));
}

#[tokio::test]
async fn a_relation_needs_its_field_and_its_collection() {
    let shop = Shop::open().await;
    let reader = asker([
        read("articles", &["id", "author"], Value::Null),
        read("authors", &["id", "name"], Value::Null),
        read("articles_tags", &["*"], Value::Null),
    ]);
    // The field is out of reach.
    for query in
        ["fields=articles.id", "filter[articles][id][_eq]=1", "sort=articles.id", "fields=count(articles)"]
    {
        shop.list(&reader, "authors", query).await.expect_err(query);
    }
    // The collection is.
    for query in ["filter[tags_id][name][_eq]=open", "sort=tags_id.name"] {
        shop.list(&reader, "articles_tags", query).await.expect_err(query);
    }
    // Of a path through it nothing is answered.
    let rest = shop.items(&reader, "articles_tags", "fields=id,tags_id.name&limit=1").await;
    assert_eq!(rest, json!([{"id": 1}]));
    // A wildcard leaves out what is out of reach.
    let all = shop.items(&reader, "articles_tags", "fields=*.*&limit=1").await;
    assert_eq!(all, json!([{"id": 1, "articles_id": {"id": 1, "author": 1}, "tags_id": 1}]));
}

#[tokio::test]
async fn a_relational_field_that_is_masked_leads_nowhere() {
    let shop = Shop::open().await;
    let reader = asker([
        read("articles", &["id", "tags"], Value::Null),
        read("articles", &["author"], json!({"id": {"_eq": 1}})),
        read("authors", &["id", "name"], Value::Null),
        read("authors", &["articles"], json!({"id": {"_eq": 1}})),
    ]);
    let authors = shop.items(&reader, "articles", "fields=id,author.name&limit=2").await;
    assert_eq!(authors, json!([{"id": 1, "author": {"name": "Ann"}}, {"id": 2, "author": null}]));
    assert_eq!(shop.ids(&reader, "articles", json!({"author": {"name": {"_eq": "Ann"}}})).await, [1]);
    let articles = shop.items(&reader, "authors", "fields=id,articles,count(articles)&limit=2").await;
    let expected = json!([
        {"id": 1, "articles": [1, 2], "articles_count": "2"}, {"id": 2, "articles": null, "articles_count": null}
    ]);
    assert_eq!(articles, expected);
    assert_eq!(
        shop.ids(&reader, "authors", json!({"articles": {"id": {"_eq": 3}}})).await,
        Vec::<i64>::new()
    );
    let sorted = shop.items(&reader, "authors", "fields=id&sort=-articles.id&limit=1").await;
    assert_ne!(sorted, json!([{"id": 3}]), "an order that nobody may see");
}

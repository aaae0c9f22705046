//! Which items are seen.

use serde_json::json;

use super::{Shop, asker, editor, read};

#[tokio::test]
async fn only_items_within_reach_are_seen() {
    let shop = Shop::open().await;
    let editor = editor();
    let answer = shop.list(&editor, "articles", "fields=id&meta=*").await.unwrap();
    let seen = json!([{"id": 1}, {"id": 2}, {"id": 3}, {"id": 5}, {"id": 6}]);
    assert_eq!(answer, json!({"data": seen, "total_count": 5, "filter_count": 5}));
    let answer =
        shop.list(&editor, "articles", "fields=id&meta=*&filter[words][_gt]=25&limit=1").await.unwrap();
    assert_eq!(answer, json!({"data": [{"id": 3}], "total_count": 5, "filter_count": 3}));
    let counted = shop.items(&editor, "articles", "aggregate[count]=*&aggregate[sum]=words").await;
    assert_eq!(counted, json!([{"count": "5", "sum": {"words": "170"}}]));
    // A missing item and one out of reach look the same.
    assert_eq!(shop.item(&editor, "articles", "4").await, None);
    assert_eq!(shop.item(&editor, "articles", "400").await, None);
    assert_eq!(shop.item(&editor, "articles", "2").await.unwrap()["title"], "two");
}

#[tokio::test]
async fn collections_out_of_reach_are_like_missing_ones() {
    let shop = Shop::open().await;
    let nobody = asker([]);
    let refused = shop.list(&nobody, "articles", "").await.unwrap_err().message;
    let missing = shop.list(&nobody, "nowhere", "").await.unwrap_err().message;
    assert_eq!(refused.replace("articles", "?"), missing.replace("nowhere", "?"));
    // Another action is no right to read.
    let writer = asker([super::may(access::Action::Update, "articles", &["*"], serde_json::Value::Null)]);
    shop.list(&writer, "articles", "").await.unwrap_err();
}

#[tokio::test]
async fn a_rule_about_what_is_gone_reaches_nothing() {
    let shop = Shop::open().await;
    let left_over = asker([
        read("articles", &["*"], json!({"colour": {"_eq": "red"}})),
        read("articles", &["id"], json!({"id": {"_eq": 1}})),
    ]);
    assert_eq!(shop.ids(&left_over, "articles", json!(null)).await, [1]);
}

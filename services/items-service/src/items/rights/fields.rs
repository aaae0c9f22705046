//! Which fields are seen, and of which items: wherever a query names one.

use serde_json::json;

use super::{Shop, editor};

#[tokio::test]
async fn a_field_is_null_where_it_may_not_be_seen() {
    let shop = Shop::open().await;
    let editor = editor();
    let notes = shop.items(&editor, "articles", "fields=id,notes&limit=3").await;
    let expected = json!([
        {"id": 1, "notes": "first of Ann"}, {"id": 2, "notes": "second of Ann"}, {"id": 3, "notes": null}
    ]);
    assert_eq!(notes, expected);
    let all = shop.items(&editor, "articles", "filter[id][_in]=1,3").await;
    assert_eq!((&all[0]["notes"], &all[1]["notes"]), (&json!("first of Ann"), &json!(null)));
    let one = shop.item(&editor, "articles", "3").await.unwrap();
    assert_eq!(
        (&one["notes"], &one["published_at"], &one["title"]),
        (&json!(null), &json!(null), &json!("three"))
    );
    let aliased = shop.items(&editor, "articles", "fields=n&alias[n]=notes&filter[id][_eq]=3").await;
    // Of this item nothing would be shown.
    assert_eq!(aliased, json!([]));
    let aliased = shop.items(&editor, "articles", "fields=n,id&alias[n]=notes&filter[id][_eq]=3").await;
    assert_eq!(aliased, json!([{"id": 3, "n": null}]));
}

#[tokio::test]
async fn no_question_tells_what_may_not_be_seen() {
    let shop = Shop::open().await;
    let editor = editor();
    for (filter, ids) in [
        (json!({"notes": {"_contains": "first"}}), vec![1]),
        (json!({"notes": {"_nnull": true}}), vec![1, 2]),
        (json!({"notes": {"_null": true}}), vec![3, 5, 6]),
        (json!({"notes": {"_ncontains": "second"}}), vec![1]),
        (json!({"notes": {"_in": ["first of Bob", "first of Ann"]}}), vec![1]),
        (json!({"year(published_at)": {"_eq": 2026}}), vec![1, 2]),
        (json!({"_or": [{"notes": {"_starts_with": "only"}}, {"id": {"_eq": 6}}]}), vec![6]),
    ] {
        assert_eq!(shop.ids(&editor, "articles", filter.clone()).await, ids, "{filter}");
    }
    let searched = shop.items(&editor, "articles", "fields=id&search=first").await;
    assert_eq!(searched, json!([{"id": 1}]));
    let sorted = shop.items(&editor, "articles", "fields=id&sort=-notes").await;
    assert_eq!(
        sorted,
        json!([{"id": 3}, {"id": 5}, {"id": 6}, {"id": 2}, {"id": 1}]),
        "what is hidden is null"
    );
    let figures = "aggregate[count]=notes&aggregate[min]=published_at&aggregate[max]=published_at";
    let figures = shop.items(&editor, "articles", figures).await;
    let span = |day| json!({"published_at": format!("2026-01-0{day}T00:00:00.000Z")});
    assert_eq!(figures, json!([{"count": {"notes": "2"}, "min": span(1), "max": span(2)}]));
    let groups = shop.items(&editor, "articles", "groupBy=notes&aggregate[count]=*&sort=notes").await;
    // The others are in no group, as their notes are not shown.
    let expected = json!([{"notes": "first of Ann", "count": "1"}, {"notes": "second of Ann", "count": "1"}]);
    assert_eq!(groups, expected);
}

#[tokio::test]
async fn a_field_that_is_never_seen_is_refused_everywhere() {
    let shop = Shop::open().await;
    let editor = editor();
    for query in [
        "fields=salary",
        "fields=s&alias[s]=salary",
        "filter[salary][_gt]=1",
        "filter[_or][0][salary][_gt]=1&filter[_or][1][id][_eq]=1",
        "filter[salary][_null]=true",
        "filter[boss][salary][_gt]=1",
        "sort=salary",
        "sort=-salary",
        "sort=boss.salary",
        "aggregate[min]=salary",
        "aggregate[max]=salary",
        "aggregate[count]=salary",
        "aggregate[countDistinct]=salary",
        "aggregate[sum]=salary",
        "groupBy=salary",
        "fields=boss.salary",
        "fields=id,articles.author.salary",
        "filter[articles][author][salary][_eq]=1",
        "filter[articles][_some][author][salary][_eq]=1",
        "filter[articles][_none][author][salary][_eq]=1",
        "fields=articles.id&deep[articles][_filter][author][salary][_gt]=1",
        "fields=articles.id&deep[articles][_sort]=author.salary",
    ] {
        shop.refuses(&editor, "authors", query, "salary").await;
    }
    for query in [
        "fields=year(salary)",
        "filter[year(salary)][_eq]=2026",
        "groupBy=year(salary)",
        "sort=count(salary)",
    ] {
        shop.refuses(&editor, "authors", query, "salary").await;
    }
    let all = shop.items(&editor, "authors", "filter[id][_eq]=1").await;
    assert!(all[0].get("salary").is_none() && all[0]["name"] == "Ann", "{all}");
    assert_eq!(shop.items(&editor, "authors", "fields=id&search=100").await, json!([]));
}

#[tokio::test]
async fn concealed_values_stay_concealed() {
    let shop = Shop::open().await;
    let editor = editor();
    let masked = shop.items(&editor, "authors", "fields=id,t,token&alias[t]=token&limit=1").await;
    assert_eq!(masked, json!([{"id": 1, "t": "**********", "token": "**********"}]));
    for refused in [
        "filter[token][_starts_with]=t",
        "filter[token][_contains]=t",
        "filter[token][_gt]=t",
        "filter[token][_between]=a,z",
        "filter[token][_in]=a,b",
        "filter[token][_eq]=token of Ann",
        "sort=token",
        "groupBy=token",
        "aggregate[min]=token",
        "aggregate[countDistinct]=token",
    ] {
        shop.list(&editor, "authors", refused).await.expect_err(refused);
    }
    assert_eq!(shop.items(&editor, "authors", "fields=id&search=token").await, json!([]));
    assert_eq!(shop.ids(&editor, "authors", json!({"token": {"_nnull": true}})).await, [1, 2]);
}

//! Rules that speak of the one who asks.

use serde_json::{Value, json};

use super::{Asker, Shop, asker, read, uuid};

fn by(rule: Value) -> Asker {
    asker([
        read("articles", &["*"], rule),
        read("authors", &["*"], Value::Null),
        read("directus_users", &["id"], Value::Null),
    ])
}

async fn seen(shop: &Shop, asker: &Asker) -> Vec<i64> {
    shop.ids(asker, "articles", Value::Null).await
}

#[tokio::test]
async fn a_rule_about_nobody_reaches_nothing() {
    let shop = Shop::open().await;
    let none = Vec::<i64>::new();
    for rule in [
        json!({"title": {"_eq": "$CURRENT_USER"}}),
        json!({"title": {"_neq": "$CURRENT_USER"}}),
        json!({"title": {"_nin": ["$CURRENT_USER"]}}),
        json!({"title": {"_in": ["$CURRENT_USER"]}}),
        json!({"title": {"_eq": "$CURRENT_USER.first_name"}}),
        json!({"title": {"_neq": "$CURRENT_USER.first_name"}}),
        json!({"title": {"_nin": ["$CURRENT_USER.first_name"]}}),
        json!({"notes": {"_eq": "$CURRENT_ROLE"}}),
        json!({"_and": [{"id": {"_gt": 0}}, {"title": {"_neq": "$CURRENT_USER"}}]}),
        json!({"title": {"_in": ["$CURRENT_ROLES"]}}),
    ] {
        assert_eq!(seen(&shop, &by(rule.clone())).await, none, "{rule}");
    }
    // "None of them is his" holds where there are none, whoever asks, and nowhere else.
    for rule in [
        json!({"tags": {"_none": {"tags_id": {"name": {"_eq": "$CURRENT_USER"}}}}}),
        json!({"tags": {"_none": {"tags_id": {"name": {"_in": ["$CURRENT_USER"]}}}}}),
        json!({"tags": {"_none": {"tags_id": {"name": {"_eq": "$CURRENT_USER.first_name"}}}}}),
        json!({"tags": {"_none": {"tags_id": {"name": {"_in": ["$CURRENT_USER.first_name"]}}}}}),
    ] {
        assert_eq!(seen(&shop, &by(rule.clone())).await, [2, 4, 5, 6], "{rule}");
    }
    // What does not speak of him holds all the same.
    let either = json!({"_or": [{"title": {"_eq": "$CURRENT_USER"}}, {"id": {"_eq": 3}}]});
    assert_eq!(seen(&shop, &by(either)).await, [3]);
}

#[tokio::test]
async fn a_rule_looks_at_what_he_may_not_see() {
    let shop = Shop::open().await;
    let db = &shop.servers.db;
    let user = "INSERT INTO directus_users (id, first_name, status, provider) VALUES ($1, 'Bob', 'active', 'default')";
    sqlx::query(user).bind(uuid()).execute(db).await.unwrap();
    let mut bob =
        asker([read("articles", &["id"], json!({"author": {"name": {"_eq": "$CURRENT_USER.first_name"}}}))]);
    bob.variables.user = Some(uuid());
    assert_eq!(seen(&shop, &bob).await, [3, 4]);
    // He himself may not ask so.
    for filter in
        [json!({"author": {"name": {"_eq": "Bob"}}}), json!({"id": {"_eq": "$CURRENT_USER.first_name"}})]
    {
        let query = query::Query::from_json(&json!({"filter": filter})).unwrap();
        shop.list_with(&bob, "articles", &query).await.expect_err("out of reach");
    }
    let mut rest = asker([read(
        "articles",
        &["id"],
        json!({"author": {"name": {"_nin": ["$CURRENT_USER.first_name"]}}}),
    )]);
    rest.variables.user = Some(uuid());
    assert_eq!(seen(&shop, &rest).await, [1, 2, 5]);
}

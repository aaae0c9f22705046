//! The past under the rules of now: rules look at items as they stood, whoever asks is who he is today.

use model::Schema;
use planner::{HistoryPage, Reader};
use query::Query;
use serde_json::{Value, json};
use sqlx::Row as _;
use uuid::Uuid;

use super::{Asker, Shop, asker, editor, read, uuid};
use crate::execute;

/// Since position 3 article 4 was published and got to Bob, 1 was made a draft and renamed, 7 was deleted, 6 was made.
const LOG: &str = r#"
INSERT INTO eventus.events (position, id, name, collection, key, version, payload, previous, fields) VALUES
    (3, gen_random_uuid(), 'items.update', 'articles', '1', 2, '{"words": 10}', '{"words": 9}', '{words}'),
    (4, gen_random_uuid(), 'items.update', 'articles', '4', 2, '{"status": "draft", "author": 2}',
        '{"status": "published", "author": 1}', '{status,author}'),
    (5, gen_random_uuid(), 'items.update', 'articles', '1', 3, '{"title": "one", "status": "published"}',
        '{"title": "ONE", "status": "draft"}', '{title,status}'),
    (6, gen_random_uuid(), 'items.delete', 'articles', '7', 4, NULL,
        '{"id": 7, "title": "seven", "status": "draft", "notes": "last of Ann", "words": 70, "published_at": null, "author": 1}', NULL),
    (7, gen_random_uuid(), 'items.create', 'articles', '6', 1, '{"id": 6, "title": "six"}', NULL, NULL),
    (8, gen_random_uuid(), 'items.update', 'authors', '1', 2, '{"salary": 100, "token": "**********"}',
        '{"salary": 90, "token": null}', '{salary,token}');
"#;

impl Shop {
    async fn with_a_past() -> (Self, Schema) {
        let shop = Self::open().await;
        sqlx::raw_sql(LOG).execute(&shop.servers.db).await.unwrap();
        let past = shop.snapshot.at(3);
        (shop, past)
    }

    async fn then(&self, past: &Schema, asker: &Asker, collection: &str, query: &str) -> Value {
        let found = past.collection(collection).unwrap();
        let reader = Reader { schema: past, ..self.reader(asker) };
        let plan = planner::plan_read(&Query::from_query_string(query).unwrap(), found, reader).unwrap();
        let rows = execute::rows_alone(&self.servers.db, &plan.statement).await.unwrap();
        serde_json::from_str(rows[0].get("items")).unwrap()
    }

    async fn history(&self, asker: &Asker, schema: &Schema, collection: &str, key: &str) -> Option<Value> {
        let reader = Reader { schema, ..self.reader(asker) };
        let page = HistoryPage { limit: 10, offset: 0 };
        let plan = planner::plan_history(key, page, schema.collection(collection).unwrap(), reader).unwrap();
        let rows = execute::rows_alone(&self.servers.db, &plan).await.unwrap();
        rows.first().map(|row| serde_json::from_str(row.get("history")).unwrap())
    }
}

#[tokio::test]
async fn rules_look_at_items_as_they_stood() {
    let (shop, past) = Shop::with_a_past().await;
    let seen = shop.then(&past, &editor(), "articles", "fields=id,title,notes&sort=id").await;
    let expected = json!([
        {"id": 1, "title": "ONE", "notes": "first of Ann"}, {"id": 2, "title": "two", "notes": "second of Ann"},
        // Bob's was Ann's then.
        {"id": 3, "title": "three", "notes": null}, {"id": 4, "title": "four", "notes": "second of Bob"},
        {"id": 5, "title": "five", "notes": null}, {"id": 7, "title": "seven", "notes": "last of Ann"},
    ]);
    assert_eq!(seen, expected);
    let query = "fields=id,title&filter[author][name][_eq]=Bob&sort=id";
    assert_eq!(shop.then(&past, &editor(), "articles", query).await, json!([{"id": 3, "title": "three"}]));
    let nested =
        shop.then(&past, &editor(), "authors", "fields=name,token,articles.id&filter[id][_eq]=1").await;
    let articles = json!([{"id": 1}, {"id": 2}, {"id": 4}, {"id": 7}]);
    assert_eq!(nested, json!([{"name": "Ann", "token": null, "articles": articles}]));
    let salaries = asker([read("authors", &["id", "salary"], Value::Null)]);
    let all = shop.then(&past, &salaries, "authors", "fields=salary&sort=id").await;
    assert_eq!(all, json!([{"salary": 90}, {"salary": 200}, {"salary": 300}]));
}

/// What `$CURRENT_USER.first_name` is, is what it is today.
#[tokio::test]
async fn who_asks_is_who_he_is_today() {
    let (shop, past) = Shop::with_a_past().await;
    let user = "INSERT INTO directus_users (id, first_name) VALUES ($1, 'two')";
    sqlx::query(user).bind(uuid()).execute(&shop.servers.db).await.unwrap();
    let renamed = "INSERT INTO eventus.events (position, id, name, collection, key, version, payload, previous) \
                   VALUES (9, gen_random_uuid(), 'users.update', 'directus_users', $1, 2, '{}', '{\"first_name\": \"three\"}')";
    sqlx::query(renamed).bind(uuid().to_string()).execute(&shop.servers.db).await.unwrap();
    let own = asker([read("articles", &["*"], json!({"title": {"_eq": "$CURRENT_USER.first_name"}}))]);
    let variables = planner::Variables { user: Some(Uuid::from_u128(7)), ..own.variables.clone() };
    let own = Asker { variables, ..own };
    assert_eq!(shop.then(&past, &own, "articles", "fields=id").await, json!([{"id": 2}]));
}

#[tokio::test]
async fn histories_show_what_may_be_seen() {
    let (shop, past) = Shop::with_a_past().await;
    let now = &shop.snapshot.schema;
    // Published, but not Ann's any more: its notes and the moment are out of sight.
    let of_one = shop.history(&editor(), now, "articles", "1").await.unwrap();
    let positions: Vec<_> =
        of_one.as_array().unwrap().iter().map(|event| event["position"].clone()).collect();
    assert_eq!(positions, [5, 3]);
    assert_eq!(of_one[0]["previous"], json!({"title": "ONE", "status": "draft"}));
    assert_eq!(shop.history(&editor(), now, "articles", "4").await, None);
    let titles = asker([read("articles", &["id", "title"], Value::Null)]);
    let of_one = shop.history(&titles, now, "articles", "1").await.unwrap();
    // A change of what he may not see is none.
    assert_eq!(of_one.as_array().unwrap().len(), 1);
    assert_eq!((&of_one[0]["fields"], &of_one[0]["payload"]), (&json!(["title"]), &json!({"title": "one"})));
    // Who may read a deleted item is said by what it was at the end.
    let at_the_end = shop.snapshot.at(5);
    let of_seven = shop.history(&editor(), &at_the_end, "articles", "7").await.unwrap();
    assert_eq!(of_seven[0]["action"], "delete");
    let published = asker([read("articles", &["*"], json!({"status": {"_eq": "published"}}))]);
    assert_eq!(shop.history(&published, &at_the_end, "articles", "7").await, None);
    let secrets = asker([read("authors", &["*"], Value::Null)]);
    let of_ann = shop.history(&secrets, now, "authors", "1").await.unwrap();
    assert_eq!(of_ann[0]["payload"], json!({"salary": 100, "token": "**********"}));
    assert!(past.past.is_some());
}

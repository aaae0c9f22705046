//! What is changed and deleted, and what of it is shown.

use access::Action;
use planner::{Deletion, Stamp, UpdateChange};
use query::Query;
use serde_json::{Value, json};
use sqlx::Row as _;
use time::OffsetDateTime;

use super::{Asker, Shop, asker, may, read, uuid};
use crate::execute;

pub(super) fn stamp() -> Stamp {
    Stamp {
        user: None,
        role: None,
        ip: None,
        user_agent: None,
        origin: None,
        request_id: None,
        traceparent: None,
        causation_id: None,
        depth: 0,
        batch_id: uuid(),
        first_index: 0,
        silent: false,
        by_key: false,
        now: OffsetDateTime::UNIX_EPOCH,
        once: None,
        each: Vec::new(),
    }
}

/// Changes items: keys that were changed, and what is shown of them.
async fn update(
    shop: &Shop,
    asker: &Asker,
    keys: &[&str],
    payload: Value,
) -> Result<(Vec<String>, Value), model::Errors> {
    let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    let event_ids: Vec<uuid::Uuid> = (10..).map(uuid::Uuid::from_u128).take(keys.len()).collect();
    let (payloads, _) = planner::parse_payloads(payload.to_string().as_bytes())?;
    let change = UpdateChange { keys: &keys, payloads: &payloads, event_ids: &event_ids, filter: None };
    let collection = shop.snapshot.collection("articles")?;
    let query = Query::from_query_string("fields=id,title").unwrap();
    let plan = planner::plan_update(&change, &query, collection, shop.reader(asker), &stamp())?.unwrap();
    let rows = execute::rows_alone(&shop.servers.db, &plan).await.unwrap();
    Ok((rows[0].get("keys"), serde_json::from_str(rows[0].get("items")).unwrap()))
}

#[tokio::test]
async fn only_items_and_fields_within_reach_are_changed() {
    let shop = Shop::open().await;
    let ann = json!({"author": {"name": {"_eq": "Ann"}}});
    let writer = asker([
        may(Action::Update, "articles", &["title"], json!({"status": {"_eq": "draft"}})),
        may(Action::Update, "articles", &["title", "words"], ann.clone()),
        read("articles", &["*"], ann),
    ]);
    let (keys, shown) = update(&shop, &writer, &["1", "2", "3", "4"], json!({"title": "new"})).await.unwrap();
    assert_eq!(keys, ["1", "2", "4"]);
    // The fourth was changed, but he may not see it.
    assert_eq!(shown, json!([{"id": 1, "title": "new"}, {"id": 2, "title": "new"}]));
    let (keys, _) = update(&shop, &writer, &["1", "4"], json!({"words": 1})).await.unwrap();
    assert_eq!(keys, ["1"]);
    let (keys, _) = update(&shop, &writer, &["2", "4"], json!({"title": "x", "words": 2})).await.unwrap();
    assert_eq!(keys, ["2"]);
    update(&shop, &writer, &["1"], json!({"notes": "x"})).await.unwrap_err();
    let blind = asker([may(Action::Update, "articles", &["*"], Value::Null)]);
    let (keys, shown) = update(&shop, &blind, &["6"], json!({"title": "unseen"})).await.unwrap();
    assert_eq!((keys, shown), (vec!["6".to_owned()], json!([])));
}

#[tokio::test]
async fn only_items_within_reach_are_deleted() {
    let shop = Shop::open().await;
    let cleaner = asker([
        may(Action::Delete, "tags", &["*"], json!({"id": {"_gt": 5}})),
        read("tags", &["*"], Value::Null),
    ]);
    sqlx::raw_sql("INSERT INTO tags VALUES (6, 'old')").execute(&shop.servers.db).await.unwrap();
    let keys = ["1", "2", "6"].map(str::to_owned);
    let ids = [1, 2, 3].map(uuid::Uuid::from_u128);
    let collection = shop.snapshot.collection("tags").unwrap();
    let reader = shop.reader(&cleaner);
    let plan =
        planner::plan_delete(Deletion::Whole, &keys, &ids, None, collection, reader, &stamp()).unwrap();
    let rows = execute::rows_alone(&shop.servers.db, &plan).await.unwrap();
    assert_eq!(rows[0].get::<Vec<String>, _>("keys"), ["6"]);
    // The two that are seen and out of reach are told.
    let by_query = planner::plan_keys(&Query::default(), collection, reader, (Action::Delete, &[])).unwrap();
    let rows = execute::rows_alone(&shop.servers.db, &by_query).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get("within_reach")).collect::<Vec<bool>>(), [false, false]);
}

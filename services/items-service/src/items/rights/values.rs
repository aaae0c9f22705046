//! Presets, and what values are judged by, of rules made by hand.

use access::{Action, Rule};
use planner::{Payload, UpdateChange};
use query::Query;
use serde_json::{Value, json};
use sqlx::Row as _;

use super::writes::stamp;
use super::{Asker, Shop, asker, may, read, uuid};
use crate::execute;
use crate::failure::Failure;
use crate::items::judge::Judging;
use crate::items::update::Group;

fn judged(rule: Rule, presets: Value, validation: Value) -> Rule {
    let presets = presets.as_object().cloned().unwrap_or_default();
    Rule { presets, validation: query::read_rule(&validation), ..rule }
}

fn payloads(body: &Value) -> Vec<Payload> {
    planner::parse_payloads(body.to_string().as_bytes()).unwrap().0
}

fn messages(failure: Failure) -> Vec<String> {
    match failure {
        Failure::Refused(errors) => errors.0.into_iter().map(|error| error.message).collect(),
        Failure::Sql(error) => panic!("{error}"),
    }
}

fn sent(payload: &Payload) -> Value {
    let pairs = payload.iter().map(|(name, raw)| (name.to_owned(), query::parse_json(raw.get()).unwrap()));
    Value::Object(pairs.collect())
}

/// New articles as they are planned: what is sent, and presets.
async fn admitted(shop: &Shop, asker: &Asker, body: Value) -> Result<Vec<Value>, Vec<String>> {
    let collection = shop.snapshot.collection("articles").unwrap();
    let (reader, stamp) = (shop.reader(asker), stamp());
    let judging =
        Judging::init(&shop.servers.db, (collection, Action::Create), reader, &stamp).await.unwrap();
    let mut payloads = payloads(&body);
    judging.admit(&mut payloads).map_err(messages)?;
    Ok(payloads.iter().map(sent).collect())
}

/// Changes articles as the service does: presets, judgement, lock, judgement of what is held, statement.
async fn change(shop: &Shop, asker: &Asker, keys: &[&str], body: Value) -> Result<Vec<String>, Vec<String>> {
    let collection = shop.snapshot.collection("articles").unwrap();
    let (reader, stamp) = (shop.reader(asker), stamp());
    let judging =
        Judging::init(&shop.servers.db, (collection, Action::Update), reader, &stamp).await.unwrap();
    let mut payloads = payloads(&body);
    judging.admit(&mut payloads).map_err(messages)?;
    let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    let sent = Group { keys: keys.clone(), payloads: payloads.clone() };
    let mut tx = execute::begin(&shop.servers.db).await.unwrap();
    if let Some(held) = judging.held(Some(vec![sent]), None) {
        held.check(&mut tx).await.map_err(messages)?;
    }
    let event_ids: Vec<uuid::Uuid> = (50..).map(uuid::Uuid::from_u128).take(keys.len()).collect();
    let change = UpdateChange { keys: &keys, payloads: &payloads, event_ids: &event_ids, filter: None };
    let query = Query::from_query_string("fields=id").unwrap();
    let plan = planner::plan_update(&change, &query, collection, reader, &stamp).unwrap().unwrap();
    let rows = execute::rows(&mut tx, &plan).await.unwrap();
    let keys = rows[0].get("keys");
    execute::commit(tx).await.unwrap();
    Ok(keys)
}

async fn with_user(shop: &Shop, mut asker: Asker) -> Asker {
    let user = "INSERT INTO directus_users (id, first_name, status, provider, password) VALUES ($1, 'Vera', 'active', 'default', 'x')";
    sqlx::query(user).bind(uuid()).execute(&shop.servers.db).await.unwrap();
    asker.variables.user = Some(uuid());
    asker
}

#[tokio::test]
async fn presets_stand_where_nothing_is_sent() {
    let shop = Shop::open().await;
    let create = may(Action::Create, "articles", &["title", "status"], Value::Null);
    let presets = json!({
        "status": "draft", "title": "$CURRENT_USER.first_name", "published_at": "$NOW(+1 day)", "notes": "$CURRENT_USER",
        "words": 3, "author": "$CURRENT_ROLE", "nope": 1,
    });
    let one = with_user(&shop, asker([judged(create.clone(), presets, Value::Null)])).await;
    let me = uuid().to_string();
    let made = admitted(&shop, &one, json!([{}, {"title": "mine", "status": null}])).await.unwrap();
    let rest = json!({"published_at": "1970-01-02T00:00:00Z", "notes": me, "words": 3, "author": null});
    let with = |title: &str, status: Value| {
        let mut all = rest.clone();
        (all["title"], all["status"]) = (title.into(), status);
        all
    };
    assert_eq!(made, [with("Vera", "draft".into()), with("mine", Value::Null)]);
    // What he may not send, a preset gives all the same; he himself may not.
    let refused = admitted(&shop, &one, json!({"words": 3})).await.unwrap_err();
    assert!(refused[0].contains("field \"words\""), "{refused:?}");
    admitted(&shop, &one, json!({"nope": 3})).await.unwrap_err();
    admitted(&shop, &one, json!({"id": 3})).await.unwrap_err();
    let two = asker([
        judged(create.clone(), json!({"status": "one", "words": 1}), Value::Null),
        judged(create, json!({"status": "two", "title": "two"}), Value::Null),
    ]);
    let made = admitted(&shop, &two, json!({})).await.unwrap();
    assert_eq!(made, [json!({"status": "two", "title": "two", "words": 1})]);
}

#[tokio::test]
async fn secrets_are_no_presets() {
    let shop = Shop::open().await;
    let create = may(Action::Create, "articles", &["*"], Value::Null);
    let secret =
        json!({"title": "$CURRENT_USER.password", "notes": "$CURRENT_USER.nope", "status": "$CURRENT_USER"});
    let one = with_user(&shop, asker([judged(create, secret, Value::Null)])).await;
    let made = admitted(&shop, &one, json!({})).await.unwrap();
    assert_eq!(made, [json!({"title": null, "notes": null, "status": uuid().to_string()})]);
}

#[tokio::test]
async fn every_validation_holds_for_what_is_made() {
    let shop = Shop::open().await;
    let create = may(Action::Create, "articles", &["*"], Value::Null);
    let both = asker([
        judged(
            create.clone(),
            Value::Null,
            json!({"_and": [{"status": {"_eq": "draft"}}, {"words": {"_lt": 5}}]}),
        ),
        judged(create.clone(), Value::Null, json!({"title": {"_nnull": true}})),
        create.clone(),
    ]);
    let refused =
        admitted(&shop, &both, json!({"title": "x", "status": "live", "words": 9})).await.unwrap_err();
    assert_eq!(
        refused,
        [
            "Validation failed for field \"status\". Value has to be \"draft\".",
            "Validation failed for field \"words\". Value has to be less than \"5\"."
        ]
    );
    admitted(&shop, &both, json!({"title": "x", "status": "draft", "words": 4})).await.unwrap();
    // What is not sent and holds nothing is only wanted where null is not.
    admitted(&shop, &both, json!({"title": "x", "status": "draft"})).await.unwrap();
    let untitled = admitted(&shop, &both, json!({"status": "draft"})).await.unwrap_err();
    assert_eq!(untitled, ["Validation failed for field \"title\". Value can't be null."]);
    // Of several payloads the first that fails is told.
    let many = json!([{"title": "x"}, {"title": "x", "words": 7}, {"title": null}]);
    assert_eq!(admitted(&shop, &both, many).await.unwrap_err().len(), 1);
    // A preset is judged as what is sent.
    let validation = json!({"status": {"_eq": "draft"}});
    let preset = asker([judged(create.clone(), json!({"status": "live"}), validation)]);
    admitted(&shop, &preset, json!({})).await.unwrap_err();
    admitted(&shop, &preset, json!({"status": "draft"})).await.unwrap();
    let own = judged(create, json!({"notes": "$CURRENT_USER"}), json!({"notes": {"_eq": "$CURRENT_USER"}}));
    let nobody = asker([own.clone()]);
    // Who is nobody owns nothing, not even what has no owner.
    admitted(&shop, &nobody, json!({})).await.unwrap_err();
    admitted(&shop, &nobody, json!({"notes": null})).await.unwrap_err();
    let me = with_user(&shop, asker([own])).await;
    admitted(&shop, &me, json!({})).await.unwrap();
    admitted(&shop, &me, json!({"notes": "another"})).await.unwrap_err();
}

#[tokio::test]
async fn a_change_is_judged_together_with_what_stands_there() {
    let shop = Shop::open().await;
    let update = |items: Value| may(Action::Update, "articles", &["*"], items);
    let drafts = judged(update(Value::Null), Value::Null, json!({"status": {"_eq": "draft"}}));
    let editor = asker([drafts, read("articles", &["*"], Value::Null)]);
    // 2 and 4 are drafts; nobody sends the status.
    assert_eq!(change(&shop, &editor, &["2", "4"], json!({"title": "new"})).await.unwrap(), ["2", "4"]);
    let refused = change(&shop, &editor, &["2", "3"], json!({"title": "new"})).await.unwrap_err();
    assert_eq!(refused, ["Validation failed for field \"status\". Value has to be \"draft\"."]);
    // What is sent counts instead of what stands there.
    assert_eq!(change(&shop, &editor, &["3"], json!({"status": "draft"})).await.unwrap(), ["3"]);
    change(&shop, &editor, &["2"], json!({"status": "live"})).await.unwrap_err();
    let live = json!({"_or": [{"status": {"_neq": "published"}}, {"notes": {"_nnull": true}}]});
    let publisher = asker([judged(update(Value::Null), Value::Null, live)]);
    assert_eq!(change(&shop, &publisher, &["1"], json!({"words": 1})).await.unwrap(), ["1"]);
    // The sixth is published and has no notes.
    assert_eq!(change(&shop, &publisher, &["6"], json!({"words": 1})).await.unwrap_err().len(), 2);
    assert_eq!(change(&shop, &publisher, &["6"], json!({"words": 1, "notes": "x"})).await.unwrap(), ["6"]);
    change(&shop, &publisher, &["6"], json!({"notes": null})).await.unwrap_err();
    // Items out of reach are not judged: they are not changed either.
    let own = judged(update(json!({"id": {"_eq": 2}})), Value::Null, json!({"status": {"_eq": "draft"}}));
    assert_eq!(change(&shop, &asker([own]), &["1", "2"], json!({"title": "x"})).await.unwrap(), ["2"]);
    let sent = json!({"title": {"_submitted": true}});
    let strict = asker([judged(update(Value::Null), json!({"words": 8}), sent)]);
    change(&shop, &strict, &["2"], json!({"notes": "x"})).await.unwrap_err();
    assert_eq!(change(&shop, &strict, &["2"], json!({"title": "x"})).await.unwrap(), ["2"]);
    let words: i32 = sqlx::query_scalar("SELECT words FROM articles WHERE id = 2")
        .fetch_one(&shop.servers.db)
        .await
        .unwrap();
    assert_eq!(words, 8, "a preset is written with the change");
}

/// Two changes of one item, each fine beside what stood there before: the second sees what the first has made.
#[tokio::test]
async fn two_changes_at_once_cannot_break_a_rule_together() {
    let shop = Shop::open().await;
    let rule = json!({"_or": [{"title": {"_eq": "one"}}, {"notes": {"_eq": "first of Ann"}}]});
    let editor = asker([judged(may(Action::Update, "articles", &["*"], Value::Null), Value::Null, rule)]);
    let (one, other) = tokio::join!(
        change(&shop, &editor, &["1"], json!({"title": "changed"})),
        change(&shop, &editor, &["1"], json!({"notes": "changed"})),
    );
    assert_eq!([one.is_ok(), other.is_ok()].iter().filter(|done| **done).count(), 1, "{one:?} {other:?}");
}

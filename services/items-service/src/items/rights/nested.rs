//! Nested writes: every level asks for the rights of what is done there.

use std::sync::Arc;

use access::Action;
use model::{Errors, RandomIds};
use query::Query;
use rpc::{Caller, Channel};
use serde_json::{Value, json};

use super::super::nested::{self, Place, Wanted, Whose};
use super::super::once::Idempotency;
use super::super::together::Together;
use super::super::write::Ending;
use super::{Asker, Shop, asker, may, read};
use crate::config::Config;
use crate::failure::Failure;
use crate::filter::Filters;
use crate::permissions::Rights;
use crate::snapshot::Snapshots;
use crate::state::{Inner, Reading, State, Wake};

const SECRET: &str = "a secret of the tests";

pub(super) async fn state(shop: &Shop) -> State {
    let (db, config) = (shop.servers.db.clone(), Config::default());
    let clock = Arc::new(testkit::TestClock::default());
    // Nobody is there, and nobody is asked: no filter hook is registered.
    let hooks = Channel::connect_lazy("http://127.0.0.1:9", None).unwrap();
    let filters = Filters::new(hooks, shop.servers.signer.clone(), clock.clone(), config.filter_deadline);
    let snapshots = Snapshots::new(db.clone());
    snapshots.refresh().await.unwrap();
    let (_, versions) = tokio::sync::watch::channel(db::control::Versions::default());
    State::new(Inner {
        rights: Rights::new(db.clone(), versions),
        reading: Reading::new(&db, &config),
        bus: shop.servers.bus.clone(),
        snapshots,
        filters,
        hasher: secrets::Hasher::try_new(config.hash_cost).unwrap(),
        limits: config.limits,
        sealer: secrets::Sealer::try_new(SECRET).unwrap(),
        cursors: secrets::Signet::try_new(SECRET, "cursors").unwrap(),
        places: secrets::Sealer::with_purpose(SECRET, "places of the log").unwrap(),
        together: Together::new(chassis::Tasks::new(chassis::Shutdown::new())),
        making: tokio::sync::Mutex::default(),
        idempotency: Idempotency::new(
            secrets::Signet::try_new(SECRET, "requests").unwrap(),
            config.idempotency_ttl,
        ),
        conditional: config.conditional.into_iter().collect(),
        wake: Wake::default(),
        clock,
        ids: Arc::new(RandomIds),
        db,
    })
}

/// Changes one article with what is nested in it: what is shown afterwards, or the refusal.
async fn change(shop: &Shop, asker: &Asker, key: &str, payload: Value) -> Result<Value, Errors> {
    let state = state(shop).await;
    let caller = Caller::process("tests");
    let stamp = state.stamp(&caller);
    let (snapshot, reader) = (&shop.snapshot, shop.reader(asker));
    let place = Place { state: &state, caller: &caller, snapshot, reader, stamp: &stamp };
    let (mut payloads, _) = planner::parse_payloads(payload.to_string().as_bytes()).unwrap();
    let wanted = vec![Wanted::top(payloads.remove(0), Whose::These(vec![key.to_owned()]))];
    let collection = snapshot.collection("articles").unwrap();
    let query = Query::from_query_string("fields=id,tags.id").unwrap();
    let ending = Ending { read_back: Some((&query, collection, reader)), ..Ending::default() };
    match nested::write(place, collection, wanted, None, ending).await {
        Ok(written) => Ok(serde_json::from_str(&written.items).unwrap()),
        Err(Failure::Refused(errors)) => Err(errors),
        Err(Failure::Sql(error)) => panic!("{error}"),
    }
}

/// Everything that may be written, as one text.
async fn everything(shop: &Shop) -> String {
    let all = "SELECT concat_ws(' ', (SELECT json_agg(a ORDER BY id) FROM articles a), (SELECT json_agg(a ORDER BY id) FROM \
               authors a), (SELECT json_agg(a ORDER BY id) FROM tags a), (SELECT json_agg(a ORDER BY id) FROM articles_tags a), \
               (SELECT count(*) FROM eventus.events))";
    sqlx::query_scalar(all).fetch_one(&shop.servers.db).await.unwrap()
}

#[tokio::test]
async fn every_level_asks_for_its_own_rights() {
    let shop = Shop::open().await;
    let ann = json!({"author": {"name": {"_eq": "Ann"}}});
    let read_all = ["articles", "authors", "tags"].map(|name| read(name, &["*"], Value::Null));
    let mut rules = read_all.to_vec();
    rules.extend([
        may(Action::Update, "articles", &["author", "tags"], ann),
        may(Action::Update, "authors", &["name"], json!({"name": {"_neq": "Eve"}})),
        // He sees no junction to the second tag.
        read("articles_tags", &["*"], json!({"tags_id": {"_neq": 2}})),
        may(Action::Create, "articles_tags", &["*"], Value::Null),
    ]);
    let writer = asker(rules.clone());
    let before = everything(&shop).await;
    for (key, payload) in [
        // Not his article, not his field, not his author, a field of the author's, a new author, a new tag.
        ("3", json!({"tags": [{"id": 9, "tags_id": 1}]})),
        ("1", json!({"title": "x", "tags": []})),
        ("1", json!({"author": {"id": 3, "name": "x"}})),
        ("1", json!({"author": {"id": 2, "salary": 1}})),
        ("1", json!({"author": {"id": 9, "name": "new"}})),
        ("1", json!({"tags": [{"id": 9, "tags_id": {"id": 9, "name": "new"}}]})),
        // He may not change junctions: neither link one of another article nor let his own go.
        ("1", json!({"tags": [1, 3]})),
        ("1", json!({"tags": []})),
    ] {
        let refused = change(&shop, &writer, key, payload.clone()).await.expect_err(&payload.to_string());
        assert_eq!(refused.0[0].code, model::ErrorCode::Forbidden, "{payload}");
        assert_eq!(everything(&shop).await, before, "{payload}");
    }
    change(&shop, &writer, "1", json!({"author": {"id": 2, "name": "Bobby"}})).await.unwrap();
    change(&shop, &writer, "1", json!({"author": 1})).await.expect_err("it is Bobby's now");
    let added = json!({"tags": {"create": [{"id": 9, "tags_id": 1}]}});
    let shown = change(&shop, &writer, "2", added).await.unwrap();
    assert_eq!(shown, json!([{"id": 2, "tags": [{"id": 9}]}]));
}

/// A whole list takes the place of what he sees; what he doesn't see stays.
#[tokio::test]
async fn what_is_not_seen_is_not_taken_out() {
    let shop = Shop::open().await;
    let writer = asker([
        read("articles", &["*"], Value::Null),
        may(Action::Update, "articles", &["tags"], Value::Null),
        read("articles_tags", &["*"], json!({"tags_id": {"_neq": 2}})),
        may(Action::Update, "articles_tags", &["articles_id"], Value::Null),
    ]);
    let shown = change(&shop, &writer, "1", json!({"tags": []})).await.unwrap();
    assert_eq!(shown, json!([{"id": 1, "tags": []}]));
    let left = "SELECT json_agg(articles_id ORDER BY id) FROM articles_tags";
    let left: Value = sqlx::query_scalar(left).fetch_one(&shop.servers.db).await.unwrap();
    assert_eq!(left, json!([null, 1, 3]));
}

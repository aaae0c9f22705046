//! Pages by cursor: every item once, in order, whatever is written beside it; cursors that were not given out.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::api::Api;
use crate::world::{Options, World};

/// All items of a list, page by page; `more` is appended to the address.
async fn walked(api: &Api, path: &str, more: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = api.get(&format!("{path}?limit={limit}&cursor={cursor}{more}")).await.expect(200);
        let page = answer.data();
        let page = page.as_array().unwrap();
        items.extend(page.iter().cloned());
        match &answer.json()["meta"]["next_cursor"] {
            Value::Null => return items,
            next => {
                // There is something behind it, so the page is full.
                assert_eq!(page.len(), limit, "{more}");
                cursor = next.as_str().unwrap().to_owned();
            }
        }
    }
}

/// What can be ordered by; `nth` decides what is null and what is equal.
fn thing(nth: i64) -> Value {
    let some = |value: Value| if nth % 7 == 3 { Value::Null } else { value };
    let second = nth % 4;
    json!({
        "word": some(json!(format!("wörd \"{}\"", nth % 5))),
        "whole": nth % 6,
        "big": some(json!((9_007_199_254_740_992_i64 + nth).to_string())),
        "exact": some(json!(format!("{}.000000000000000000{}", nth % 3, nth % 5))),
        "rough": some(json!(f64::from(i32::try_from(nth % 9).unwrap()) / 7.0)),
        "yes": nth % 2 == 0,
        "day": format!("2026-01-0{}", 1 + second),
        "clock": format!("10:00:0{second}"),
        "local": some(json!(format!("2026-01-02T03:04:05.00{second}00{}", nth % 9))),
        "at": some(json!(format!("2026-01-02T03:04:05.0000{:02}Z", nth % 11))),
        "list": ["a", (nth % 3).to_string()],
    })
}

const TYPES: [(&str, &str); 11] = [
    ("word", "string"),
    ("whole", "integer"),
    ("big", "bigInteger"),
    ("exact", "decimal"),
    ("rough", "float"),
    ("yes", "boolean"),
    ("day", "date"),
    ("clock", "time"),
    ("local", "dateTime"),
    ("at", "timestamp"),
    ("list", "csv"),
];

async fn things(world: &World) {
    let fields = TYPES.map(|(name, kind)| {
        let schema = match kind {
            "decimal" => json!({"numeric_precision": 30, "numeric_scale": 20}),
            _ => json!({"is_nullable": name != "whole"}),
        };
        json!({"field": name, "type": kind, "schema": schema})
    });
    let mut fields = fields.to_vec();
    fields.push(json!({"field": "up", "type": "integer"}));
    fields.push(json!({"field": "secret", "type": "string", "meta": {"special": ["conceal"]}}));
    world.collection("things", json!(fields)).await;
    let relation = json!({"collection": "things", "field": "up", "related_collection": "things"});
    world.api.post("/relations", relation).await.expect(200);
    let all: Vec<Value> = (0..60).map(thing).collect();
    world.api.post("/items/things", json!(all)).await.expect(200);
    let ups: Vec<Value> =
        (1..=60).map(|id| json!({"id": id, "up": (id % 4 != 0).then_some(1 + id % 9)})).collect();
    world.api.patch("/items/things", json!(ups)).await.expect(200);
}

#[tokio::test]
async fn pages_are_the_list_cut_in_pieces() {
    let world = World::start(shape!()).await;
    things(&world).await;
    let api = &world.api;
    let mut orders: Vec<String> = TYPES.iter().map(|(name, _)| (*name).to_owned()).collect();
    orders.extend(TYPES.iter().map(|(name, _)| format!("-{name}")));
    orders.extend(
        ["", "-id", "whole,id", "-whole,-id", "word,-at", "-word,at", "-exact,-rough,word", "yes,-big"]
            .map(str::to_owned),
    );
    orders.extend(
        ["up.word", "-up.at,word", "up.up.whole", "year(at),-second(at)", "-up,day"].map(str::to_owned),
    );
    for (index, order) in orders.iter().enumerate() {
        let filter = ["", "&filter[whole][_gt]=1", "&search=w%C3%B6rd"][index % 3];
        let pages = walked(api, "/items/things", &format!("&sort={order}{filter}"), 11).await;
        // The key has the last word, in the direction of what stands before it.
        let turned = order.rsplit(',').next().is_some_and(|last| last.starts_with('-'));
        let last = if turned { "-id" } else { "id" };
        let order = [order.as_str(), last].into_iter().filter(|part| !part.is_empty());
        let order = order.collect::<Vec<_>>().join(",");
        let whole = format!("/items/things?limit=-1&sort={order}{filter}");
        assert_eq!(json!(pages), api.get(&whole).await.expect(200).data(), "{order}{filter}");
        assert!(pages.len() > 30, "{order}{filter}");
    }
    // The last page may be full, or the only one; and all may be asked for at once.
    for (limit, count) in [(60, 1), (30, 2), (61, 1), (59, 2)] {
        let (mut cursor, mut pages) = (String::new(), 0);
        while pages == 0 || !cursor.is_empty() {
            let answer = api.get(&format!("/items/things?limit={limit}&cursor={cursor}")).await.expect(200);
            cursor = answer.json()["meta"]["next_cursor"].as_str().unwrap_or_default().to_owned();
            pages += 1;
        }
        assert_eq!(pages, count, "{limit}");
    }
    let all = api.get("/items/things?limit=-1&cursor=&meta=*").await.expect(200).json();
    assert_eq!(all["data"].as_array().unwrap().len(), 60);
    assert_eq!(all["meta"], json!({"total_count": 60, "filter_count": 60, "next_cursor": null}));
}

#[tokio::test]
async fn cursors_that_were_not_given_out() {
    let world = World::start(shape!()).await;
    things(&world).await;
    let api = &world.api;
    let first = api.get("/items/things?sort=word&limit=5&cursor=&filter[whole][_gt]=0").await.expect(200);
    let cursor = first.json()["meta"]["next_cursor"].as_str().unwrap().to_owned();
    let with = |more: &str| format!("/items/things?cursor={cursor}{more}");
    let own = "&sort=word&filter[whole][_gt]=0";
    // What doesn't say which items in which order may change.
    api.get(&with(&format!("{own}&limit=2&fields=id&meta=*"))).await.expect(200);
    for other in [
        "",
        "&sort=word",
        "&sort=-word&filter[whole][_gt]=0",
        "&sort=word,id&filter[whole][_gt]=0",
        "&sort=word&filter[whole][_gt]=1",
        "&sort=word&filter[whole][_gte]=0",
        "&sort=word&filter[whole][_gt]=0&search=a",
        "&sort=word&filter[whole][_gt]=0&page=1",
        "&sort=word&filter[whole][_gt]=0&offset=1",
        "&sort=word&filter[whole][_gt]=0&limit=0",
        "&sort=word&filter[whole][_gt]=0&aggregate[count]=*",
    ] {
        api.get(&with(other)).await.refused(400, "INVALID_QUERY");
    }
    for at in 0..cursor.len() {
        let mut bent = cursor.clone().into_bytes();
        bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
        let bent = String::from_utf8(bent).unwrap();
        api.get(&format!("/items/things?cursor={bent}{own}")).await.refused(400, "INVALID_QUERY");
    }
    for wrong in ["x", "%00", "W10", "null", &cursor[1..], &format!("{cursor}A"), &format!("{cursor}%3D")] {
        api.get(&format!("/items/things?cursor={wrong}{own}")).await.refused(400, "INVALID_QUERY");
    }
    world
        .collection(
            "others",
            json!([{"field": "word", "type": "string"}, {"field": "whole", "type": "integer"}]),
        )
        .await;
    api.get(&format!("/items/others?cursor={cursor}{own}")).await.refused(400, "INVALID_QUERY");
    unseen(api, &cursor).await;
    stranger(&cursor, own).await;
}

/// What can't be seen can't be learned from a cursor, nor who has which collections.
async fn unseen(api: &Api, cursor: &str) {
    for (sort, code) in [("secret", "FORBIDDEN"), ("-up.secret", "FORBIDDEN"), ("nope", "FORBIDDEN")] {
        api.get(&format!("/items/things?cursor=&sort={sort}")).await.refused(403, code);
    }
    let nobody = api.with_token(None);
    for cursor in ["", "x", cursor] {
        nobody.get(&format!("/items/things?cursor={cursor}&sort=word")).await.refused(403, "FORBIDDEN");
    }
    api.get("/settings?cursor=").await.refused(400, "INVALID_QUERY");
    api.get("/items/things?fields=id&deep[up][_cursor]=").await.refused(400, "INVALID_QUERY");
}

/// A fleet with another secret signs otherwise.
async fn stranger(cursor: &str, own: &str) {
    let secret = "another-secret-of-more-than-32-characters";
    let stranger = World::with(shape!(), Options::default().set("SECRET", secret)).await;
    things(&stranger).await;
    stranger.api.get(&format!("/items/things?cursor={cursor}{own}")).await.refused(400, "INVALID_QUERY");
}

/// SEARCH: within the query, and of these keys only.
#[tokio::test]
async fn searches_have_cursors() {
    let world = World::start(shape!()).await;
    things(&world).await;
    let api = &world.api;
    let search = async |body: Value| {
        let method = http::Method::from_bytes(b"SEARCH").unwrap();
        api.call(method, "/items/things", Some(body)).await
    };
    let keys = json!([9, 3, 5, 1]);
    let first = search(json!({"keys": keys, "query": {"cursor": "", "limit": 3, "fields": ["id"]}}))
        .await
        .expect(200);
    assert_eq!(first.data(), json!([{"id": 1}, {"id": 3}, {"id": 5}]));
    let cursor = first.json()["meta"]["next_cursor"].clone();
    let rest = search(json!({"keys": keys, "query": {"cursor": cursor, "fields": ["id"]}})).await.expect(200);
    assert_eq!(rest.json(), json!({"meta": {"next_cursor": null}, "data": [{"id": 9}]}));
    search(json!({"keys": [1, 9], "query": {"cursor": cursor}})).await.refused(400, "INVALID_QUERY");
}

/// Whatever is written and deleted beside it: what is there all the time comes once.
#[tokio::test(flavor = "multi_thread")]
async fn what_stays_comes_once() {
    let world = World::start(shape!()).await;
    world
        .collection(
            "feed",
            json!([{"field": "rank", "type": "integer"}, {"field": "stays", "type": "boolean"}, {"field": "note", "type": "string"}]),
        )
        .await;
    let api = &world.api;
    let rank = |nth: i64| if nth % 10 == 0 { Value::Null } else { json!(nth * 7 % 50) };
    let staying: Vec<Value> = (0..300).map(|nth| json!({"rank": rank(nth), "stays": true})).collect();
    let made = api.post("/items/feed?fields=id", json!(staying)).await.expect(200).data();
    let expected: BTreeSet<i64> =
        made.as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()).collect();
    let done = AtomicBool::new(false);
    let writer = async {
        let mut nth = 0;
        while !done.load(Ordering::Relaxed) {
            nth += 1;
            let passing: Vec<Value> =
                (0..5).map(|one| json!({"rank": rank(nth * 3 + one), "stays": false})).collect();
            let made = api.post("/items/feed?fields=id", json!(passing)).await.expect(200).data();
            let keys: Vec<Value> = made.as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
            let stays = 1 + nth % 300;
            api.patch(&format!("/items/feed/{stays}"), json!({"note": nth.to_string()})).await.expect(200);
            api.delete("/items/feed", Some(json!(keys[1..]))).await.expect(204);
        }
        nth
    };
    let reader = async {
        for order in ["rank", "-rank", "-id", "stays,-rank"] {
            let more = format!("&sort={order}&fields=id,stays");
            let seen = walked(api, "/items/feed", &more, 9).await;
            let seen =
                seen.iter().filter(|item| item["stays"] == true).map(|item| item["id"].as_i64().unwrap());
            let mut keys: Vec<i64> = seen.collect();
            let all = keys.len();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), all, "{order}: none twice");
            assert_eq!(keys.into_iter().collect::<BTreeSet<_>>(), expected, "{order}: all of them");
        }
        done.store(true, Ordering::Relaxed);
    };
    let (written, ()) = tokio::join!(writer, reader);
    assert!(written > 3, "a writer beside it");
}

#[tokio::test]
async fn counts_are_estimated() {
    let world = World::start(shape!()).await;
    things(&world).await;
    let pool = world.pool().await;
    sqlx::query("ANALYZE things").execute(&pool).await.unwrap();
    let api = &world.api;
    let meta = async |query: &str| {
        api.get(&format!("/items/things?{query}")).await.expect(200).json()["meta"].clone()
    };
    assert_eq!(meta("meta=filter_count_estimate").await, json!({"filter_count_estimate": 60}));
    let both = meta("meta=filter_count,filter_count_estimate&filter[yes][_eq]=true").await;
    assert_eq!(both["filter_count"], 30);
    let estimate = both["filter_count_estimate"].as_i64().unwrap();
    assert!((20..=40).contains(&estimate), "{both}");
    assert_eq!(meta("meta=*").await, json!({"total_count": 60, "filter_count": 60}));
    let cursor = meta("cursor=&limit=60&meta=filter_count_estimate").await;
    assert_eq!(cursor, json!({"filter_count_estimate": 60, "next_cursor": null}));
}

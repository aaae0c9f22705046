//! Who is told of what: each event is judged by its item as it stood before and after it, whatever has become of it since;
//! and two logs that differ only in what somebody may not see tell him the same, byte for byte.

use std::collections::{BTreeMap, BTreeSet};

use event_store::Log;
use model::{Accountability, Event};
use serde_json::{Value, json};
use uuid::Uuid;

use super::nested::state;
use super::{Asker, Shop, asker, editor, read};
use crate::events::judge::{Judge, Told};
use crate::events::shown::{Change, shown};
use crate::state::{Asking, State};

const FIELDS: [&str; 7] = ["id", "title", "status", "notes", "words", "published_at", "author"];

/// Numbers that look random and are the same in every run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

/// What [`editor`] sees of an article; nothing of one that is not for him.
fn seen(article: &Value) -> Option<BTreeSet<String>> {
    let names = |hidden: &[&str]| {
        FIELDS.iter().filter(|name| !hidden.contains(name)).map(|name| (*name).to_owned()).collect()
    };
    match (article["author"] == 1, article["status"] == "published") {
        (true, _) => Some(names(&[])),
        (_, true) => Some(names(&["notes", "published_at"])),
        _ => None,
    }
}

/// A state of an article; what the editor may not see of it is another in the other log.
fn article(dice: &mut Dice, key: u64, other: bool) -> Value {
    let (author, published, n) = (1 + dice.roll(2), dice.roll(2) == 0, dice.roll(1_000));
    let mut made = json!({"id": key, "title": format!("t{n}"), "status": if published { "published" } else { "draft" },
        "notes": format!("n{n}"), "words": n, "published_at": format!("2026-01-01T00:00:00.{n:03}Z"), "author": author});
    if other {
        let visible = seen(&made).unwrap_or_default();
        let others = json!({"title": "hidden", "status": "secret", "notes": "other", "words": 9_999,
            "published_at": null, "author": 3});
        for (name, value) in others.as_object().unwrap() {
            if !visible.contains(name) {
                made[name] = value.clone();
            }
        }
    }
    made
}

/// One change: before and after.
type Step = (Value, Value);

/// So many changes of a few articles, some of which go and come again.
fn story(count: usize, other: bool) -> Vec<Step> {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut now: BTreeMap<u64, Value> = BTreeMap::new();
    let step = |_| {
        let key = 100 + dice.roll(6);
        let before = now.remove(&key).unwrap_or_default();
        let gone = !before.is_null() && dice.roll(4) == 0;
        let after = article(&mut dice, key, other);
        let after = if gone { Value::Null } else { after };
        if !gone {
            now.insert(key, after.clone());
        }
        (before, after)
    };
    (0..count).map(step).collect()
}

/// Puts the story into the log and what came of it into the table.
async fn happen(shop: &Shop, story: &[Step]) {
    const EVENT: &str = "INSERT INTO eventus.events (position, id, name, collection, key, version, payload, previous, fields, time) \
        SELECT $1, $2, $3, 'articles', $4, $1, $5::json, $6::json, $7, '2026-01-01'";
    let db = &shop.servers.db;
    let mut now: BTreeMap<String, &Value> = BTreeMap::new();
    for (number, (before, after)) in story.iter().enumerate() {
        let position = i64::try_from(number).unwrap() + 1;
        let key = if after.is_null() { &before["id"] } else { &after["id"] }.to_string();
        let (name, fields) = match (before.is_null(), after.is_null()) {
            (true, _) => ("items.create", None),
            (_, true) => ("items.delete", None),
            _ => ("items.update", Some(FIELDS[1..].to_vec())),
        };
        let body = |state: &Value| (!state.is_null()).then(|| state.to_string());
        let event = sqlx::query(EVENT).bind(position).bind(Uuid::from_u128(number as u128)).bind(name);
        let event = event.bind(&key).bind(body(after)).bind(body(before)).bind(fields);
        event.execute(db).await.unwrap();
        now.insert(key, after);
    }
    let rows: Vec<&&Value> = now.values().filter(|state| !state.is_null()).collect();
    let sql = "INSERT INTO articles (id, title, status, notes, words, published_at, author) \
               SELECT * FROM json_to_recordset($1::json) AS x(id int, title text, status text, notes text, words int, \
               published_at timestamptz, author int)";
    sqlx::query(sql).bind(json!(rows).to_string()).execute(db).await.unwrap();
}

async fn told(state: &State, asker: &Asker, events: &[Event], piece: usize) -> Vec<Told> {
    let snapshot = state.snapshots.present();
    let asking = Asking::new(asker.access.clone(), asker.variables.clone());
    let who = Accountability::default();
    let judge = Judge { state, who: &who, asking: &asking, snapshot: &snapshot };
    let mut all = Vec::new();
    for piece in events.chunks(piece) {
        all.extend(judge.told(&piece.iter().collect::<Vec<_>>()).await.unwrap());
    }
    all
}

/// As the rules say, without looking at any table.
fn expected(story: &[Step], events: &[Event], shop: &Shop) -> Vec<Told> {
    let articles = shop.snapshot.collection("articles").unwrap();
    let one = |((before, after), event): (&Step, &Event)| {
        let (before, after) = (seen(before), seen(after));
        let change = Change::of(event, articles).unwrap();
        Some((event.position, shown(event, change, articles, (before.as_ref(), after.as_ref()))?.into()))
    };
    story.iter().zip(events).filter_map(one).collect()
}

#[tokio::test]
async fn events_are_judged_by_the_items_of_then() {
    const COUNT: usize = 300;
    let (shop, story) = (Shop::open().await, story(COUNT, false));
    happen(&shop, &story).await;
    let state = state(&shop).await;
    let events = Log::new(shop.servers.db.clone()).read(0, COUNT).await.unwrap();
    let all = told(&state, &editor(), &events, COUNT).await;
    assert!((100..COUNT - 50).contains(&all.len()), "{}", all.len());
    for (told, expected) in all.iter().zip(expected(&story, &events, &shop)) {
        assert_eq!(told.0, expected.0);
        assert_eq!(
            serde_json::from_slice::<Value>(&told.1).unwrap(),
            serde_json::from_slice::<Value>(&expected.1).unwrap()
        );
    }
    assert_eq!(all.len(), expected(&story, &events, &shop).len());
    assert_eq!(told(&state, &editor(), &events, 7).await, all, "in pieces as in one");
    let nobody = asker([read("tags", &["*"], Value::Null)]);
    assert_eq!(told(&state, &nobody, &events, COUNT).await, []);
}

#[tokio::test]
async fn hidden_values_of_events_have_no_say() {
    const COUNT: usize = 400;
    let (one, other) = tokio::join!(Shop::open(), Shop::open());
    let mut states = Vec::new();
    for (shop, other) in [(&one, false), (&other, true)] {
        happen(shop, &story(COUNT, other)).await;
        let events = Log::new(shop.servers.db.clone()).read(0, COUNT).await.unwrap();
        states.push((state(shop).await, events));
    }
    let both = async |asker: &Asker| {
        let told = |index: usize| {
            let (state, events) = &states[index];
            told(state, asker, events, 50)
        };
        let (first, second) = tokio::join!(told(0), told(1));
        (first.len(), first == second)
    };
    let (count, equal) = both(&editor()).await;
    assert!(count > 100 && equal, "{count} {equal}");
    // A field too much, an item too much.
    let published = json!({"status": {"_eq": "published"}});
    for leak in [read("articles", &["id", "notes"], published), read("articles", &["words"], Value::Null)] {
        let access = access::Access::by([
            read("articles", &["id", "title", "status"], json!({"status": {"_eq": "published"}})),
            leak,
        ]);
        let (_, equal) = both(&Asker { access, ..editor() }).await;
        assert!(!equal, "a leak is not found");
    }
}

#[tokio::test]
async fn what_cannot_be_judged_is_told_to_nobody_and_holds_up_nothing() {
    let shop = Shop::open().await;
    let story = story(6, false);
    happen(&shop, &story).await;
    // What the log says of a number is none.
    let broken = "UPDATE eventus.events SET previous = '{\"words\": \"many\", \"author\": 1}', name = 'items.update', \
                  payload = '{\"title\": \"x\"}', fields = '{title}' WHERE position = 3";
    sqlx::query(broken).execute(&shop.servers.db).await.unwrap();
    let state = state(&shop).await;
    let events = Log::new(shop.servers.db.clone()).read(0, 10).await.unwrap();
    let words = asker([read("articles", &["*"], json!({"words": {"_gte": 0}}))]);
    let positions: Vec<i64> = told(&state, &words, &events, 10).await.iter().map(|told| told.0).collect();
    let key = &events[2].key;
    let others: Vec<i64> =
        events.iter().filter(|event| event.key != *key).map(|event| event.position).collect();
    assert!(others.iter().all(|position| positions.contains(position)), "{positions:?} {others:?}");
}

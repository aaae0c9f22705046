//! The past: after a random program of writes, every query answers at every position what it answered then.

use std::collections::BTreeMap;

use proto::history::v1::UndoRequest;
use proto::history::v1::history_service_client::HistoryServiceClient;
use proto::items::v1::update_items_request::Target;
use proto::items::v1::{DeleteItemsRequest, Keys, ReadItemsRequest, delete_items_request};
use serde_json::{Value, json};

use crate::{Service, keys};

/// Writes of the program.
const STEPS: usize = 160;
/// Positions that are read again, each with one of the queries.
const POINTS: usize = 1_000;

/// A list, nesting in both directions, relations in filters and orders, search, figures, groups, counts.
const QUERIES: [(&str, &str); 9] = [
    ("posts", "fields=*,author.name&sort=id&limit=500"),
    ("authors", "fields=*,posts.title,posts.price&deep[posts][_sort]=-n,id&sort=id"),
    ("posts", "fields=id,title&filter[author][name][_contains]=a&sort=-author.name,id&meta=*"),
    ("posts", "fields=id&filter[n][_gt]=4&filter[price][_lt]=5000.5&sort=-big,id&limit=7&offset=2"),
    ("posts", "fields=id,title&search=b&sort=id"),
    ("posts", "aggregate[count]=*&aggregate[sum]=n&aggregate[max]=at&groupBy=author&sort=author"),
    ("authors", "fields=id,count(posts)&filter[posts][_some][n][_gte]=3&sort=id"),
    ("posts", "fields=id,tags,body,flag,ratio&filter[at][_gte]=2026-01-05T00:00:00Z&sort=at,id"),
    ("authors", "fields=id,posts.author.posts.id&sort=-name,id&limit=3"),
];

/// Numbers that look random and are the same each time.
struct Dice {
    seed: u64,
    /// Posts have secrets.
    secrets: bool,
}

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % sides
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let sides = u64::try_from(all.len()).unwrap();
        (sides > 0).then(|| &all[usize::try_from(self.roll(sides)).unwrap()])
    }
}

/// What the program knows to be there: keys, and of posts their title.
#[derive(Default)]
struct Known {
    posts: BTreeMap<String, String>,
    authors: Vec<String>,
}

impl Service {
    async fn read(&self, collection: &str, query: &str) -> (String, Option<i64>) {
        let query = query::Query::from_query_string(query).unwrap().to_bytes().into();
        let request = ReadItemsRequest { collection: collection.to_owned(), query, ..Default::default() };
        let answer = self.items().read_items(self.ask(request)).await.unwrap().into_inner();
        (String::from_utf8(answer.items.to_vec()).unwrap(), answer.filter_count)
    }

    async fn delete(&self, collection: &str, key: &str) {
        let target = delete_items_request::Target::Keys(Keys { keys: vec![key.to_owned()] });
        let request = DeleteItemsRequest {
            collection: collection.to_owned(),
            target: Some(target),
            ..DeleteItemsRequest::default()
        };
        self.items().delete_items(self.ask(request)).await.unwrap();
    }

    async fn blog(&self) {
        let field = |name: &str, kind: &str| json!({"field": name, "type": kind});
        let alias = json!({"field": "posts", "type": "alias", "meta": {"special": ["o2m"]}});
        let authors = json!([field("name", "string"), alias]);
        self.collection(json!({"collection": "authors", "schema": {}, "fields": authors})).await;
        let posts = json!([
            field("title", "string"), field("n", "integer"), field("big", "bigInteger"), field("flag", "boolean"),
            {"field": "price", "type": "decimal", "schema": {"numeric_precision": 30, "numeric_scale": 12}},
            field("ratio", "float"), field("body", "json"), field("tags", "csv"), field("at", "timestamp"),
            field("day", "date"), field("local", "dateTime"), field("clock", "time"), field("uid", "uuid"),
            {"field": "secret", "type": "string", "meta": {"special": ["conceal"]}}, field("author", "integer"),
        ]);
        self.collection(json!({"collection": "posts", "schema": {}, "fields": posts})).await;
        self.relation(json!({"collection": "posts", "field": "author", "related_collection": "authors",
            "meta": {"one_field": "posts"}, "schema": {"on_delete": "SET NULL"}}))
            .await;
    }

    /// An author and his post in one write, or a post beside the others of its author.
    async fn together(&self, known: &mut Known, dice: &mut Dice) {
        let own = post(known, dice);
        let title = own["title"].as_str().unwrap().to_owned();
        let payload = match dice.pick(&known.authors) {
            Some(key) if dice.roll(2) == 0 => json!([{"id": key, "posts": {"create": [own]}}]),
            _ => Value::Null,
        };
        if payload.is_null() {
            let author = json!({"name": "ivy", "posts": [own]});
            known.authors.extend(self.create("authors", author).await.unwrap().keys);
        } else {
            self.update("authors", Target::Each(true), payload).await.unwrap();
        }
        let newest = self.count("SELECT max(id)::bigint FROM posts").await;
        known.posts.insert(newest.to_string(), title);
    }

    /// One random write.
    async fn step(&self, known: &mut Known, dice: &mut Dice) {
        let posts: Vec<String> = known.posts.keys().cloned().collect();
        match dice.roll(12) {
            0 => {
                let name = ["ada", "bob", "eve", "zoë"][usize::try_from(dice.roll(4)).unwrap()];
                known.authors.extend(self.create("authors", json!({"name": name})).await.unwrap().keys);
            }
            1 if known.authors.len() > 2 => {
                let author =
                    known.authors.remove(usize::try_from(dice.roll(known.authors.len() as u64)).unwrap());
                self.delete("authors", &author).await;
            }
            2 | 3 => {
                let mut payload = post(known, dice);
                // Keys that were there before come back.
                if dice.roll(3) == 0 && !known.posts.contains_key("7") {
                    payload["id"] = json!(7);
                }
                let title = payload["title"].as_str().unwrap().to_owned();
                for key in self.create("posts", payload).await.unwrap().keys {
                    known.posts.insert(key, title.clone());
                }
            }
            4 => {
                if let Some(key) = dice.pick(&posts) {
                    self.delete("posts", key).await;
                    known.posts.remove(key);
                }
            }
            5 => self.together(known, dice).await,
            6 => {
                let some: Vec<&str> =
                    posts.iter().map(String::as_str).filter(|_| dice.roll(3) == 0).collect();
                self.update("posts", keys(&some), json!({"n": dice.roll(9)})).await.unwrap();
            }
            _ => {
                if let Some(key) = dice.pick(&posts) {
                    let mut change = post(known, dice);
                    let members = change.as_object_mut().unwrap();
                    members.retain(|_, _| dice.roll(3) == 0);
                    if let Some(title) = members.get("title") {
                        known.posts.insert(key.clone(), title.as_str().unwrap().to_owned());
                    }
                    self.update("posts", keys(&[key]), change).await.unwrap();
                }
            }
        }
    }

    /// Everything there is, secrets as they are stored.
    async fn everything(&self) -> Vec<String> {
        let mut all = Vec::new();
        for table in ["authors", "posts"] {
            let sql = format!("SELECT coalesce(json_agg(t ORDER BY id)::text, '') FROM {table} t");
            all.push(sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&self.pool).await.unwrap());
        }
        all
    }

    async fn undo(&self, request: UndoRequest) -> Result<Value, tonic::Status> {
        let mut history = HistoryServiceClient::new(self.channel.clone());
        let done = history.undo(self.ask(request)).await?.into_inner();
        Ok(serde_json::from_slice(&done.json).unwrap())
    }

    async fn position(&self) -> i64 {
        self.count("SELECT coalesce(max(position), 0) FROM eventus.events").await
    }
}

/// A post of random values, awkward ones among them.
fn post(known: &Known, dice: &mut Dice) -> Value {
    let n = dice.roll(1_000);
    let null_or = |value: Value, dice: &mut Dice| if dice.roll(5) == 0 { Value::Null } else { value };
    json!({
        "title": format!("{}-{n}", ["abc", "b'c", "zoë \"q\"", "\\b"][usize::try_from(dice.roll(4)).unwrap()]),
        "n": null_or(json!(dice.roll(9)), dice),
        "big": null_or(json!(format!("90071992547409{n:03}")), dice),
        "flag": null_or(json!(n.is_multiple_of(2)), dice),
        "price": null_or(json!(format!("{n}.{:012}", n * 7)), dice),
        "ratio": null_or(json!(n as f64 / 7.0), dice),
        "body": null_or(json!({"z": [n, null, "x"], "a": {"deep": "é\u{1}"}, "1": 1.50}), dice),
        "tags": null_or(json!([json!("b"), json!(format!("t{n}")), json!("a b")][..usize::try_from(n % 4).unwrap()]), dice),
        "at": null_or(json!(format!("2026-01-{:02}T0{}:30:00.{:03}Z", 1 + n % 28, n % 10, n)), dice),
        "day": null_or(json!(format!("2025-11-{:02}", 1 + n % 28)), dice),
        "local": null_or(json!(format!("2025-11-{:02}T10:00:{:02}", 1 + n % 28, n % 60)), dice),
        "clock": null_or(json!(format!("0{}:15:00", n % 10)), dice),
        "uid": null_or(json!(format!("3f8b0d6e-52a7-4c0e-8b7a-0a2f5f1f7{n:03}")), dice),
        "secret": null_or(if dice.secrets { json!("hush") } else { Value::Null }, dice),
        "author": null_or(dice.pick(&known.authors).map_or(Value::Null, |key| json!(key)), dice),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_position_answers_as_it_did_then() {
    let service = Service::start().await;
    service.blog().await;
    let (mut known, mut dice) = (Known::default(), Dice { seed: 20_260, secrets: true });
    let mut then = Vec::with_capacity(STEPS);
    for _ in 0..STEPS {
        service.step(&mut known, &mut dice).await;
        let mut answers = Vec::with_capacity(QUERIES.len());
        for (collection, query) in QUERIES {
            answers.push(service.read(collection, query).await);
        }
        let listed: Vec<Value> = serde_json::from_str(&answers[0].0).unwrap();
        let titles =
            listed.iter().map(|post| (post["id"].to_string(), post["title"].as_str().unwrap().to_owned()));
        assert_eq!(titles.collect::<BTreeMap<_, _>>(), known.posts);
        then.push((service.position().await, answers));
    }
    assert!(known.posts.len() > 5, "the program is too quiet");
    for point in 0..POINTS {
        let (position, answers) = dice.pick(&then).unwrap();
        let index = point % QUERIES.len();
        let (collection, query) = QUERIES[index];
        let found = service.read(collection, &format!("{query}&as_of={position}")).await;
        assert_eq!(found, answers[index], "{collection}?{query} at {position}");
    }
}

/// Whatever was written between two positions, taking it back leaves what stood before, to the last digit; and taking that
/// back leaves what stood after.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_never_was() {
    let service = Service::start().await;
    service.blog().await;
    let (mut known, mut dice) = (Known::default(), Dice { seed: 7_919, secrets: true });
    for _ in 0..40 {
        service.step(&mut known, &mut dice).await;
    }
    for round in 0..25 {
        // Secrets are not in the log: they are not changed here, nor is an item deleted that has one.
        sqlx::query("UPDATE posts SET secret = NULL").execute(&service.pool).await.unwrap();
        let (before, from) = (service.everything().await, service.position().await + 1);
        let mut then = Known { posts: known.posts.clone(), authors: known.authors.clone() };
        dice.secrets = false;
        for _ in 0..1 + dice.roll(12) {
            service.step(&mut known, &mut dice).await;
        }
        let (after, to) = (service.everything().await, service.position().await);
        if to < from {
            continue;
        }
        let range = UndoRequest { from, to, ..UndoRequest::default() };
        let dry = service.undo(UndoRequest { dry_run: true, ..range.clone() }).await.unwrap();
        assert_eq!(service.everything().await, after, "round {round}: a dry run changes nothing");
        let done = service.undo(range.clone()).await.unwrap();
        assert_eq!(done["undone"], dry["undone"]);
        assert_eq!(service.everything().await, before, "round {round}: {done}");
        let refused = service.undo(range).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Aborted, "{refused}");
        if round % 2 == 0 {
            let range = UndoRequest { from: to + 1, to: service.position().await, ..UndoRequest::default() };
            service.undo(range).await.unwrap();
            assert_eq!(service.everything().await, after, "round {round}: taken back twice");
        } else {
            std::mem::swap(&mut known, &mut then);
        }
    }
}

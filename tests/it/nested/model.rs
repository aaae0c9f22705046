//! Random programs of nested, batch and failing writes beside a model in memory: the items are the model's, and the log
//! tells them again, change by change.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use super::blog;
use crate::world::World;

/// Writes of the program.
const WRITES: usize = 160;

/// Places are taken modulo what is there.
#[derive(Debug, Clone)]
enum Write {
    Create { comments: u8, author: bool },
    Replace { post: u8, kept: Vec<u8>, changed: Vec<u8>, new: u8 },
    Parts { post: u8, new: u8, changed: Vec<u8>, out: Vec<u8> },
    Share { posts: Vec<u8> },
    Delete { comments: Vec<u8> },
    Fail { post: u8, how: u8 },
}

fn write() -> impl Strategy<Value = Write> {
    let some = || proptest::collection::vec(any::<u8>(), 0..4);
    prop_oneof![
        (0..4_u8, any::<bool>()).prop_map(|(comments, author)| Write::Create { comments, author }),
        (any::<u8>(), some(), some(), 0..3_u8).prop_map(|(post, kept, changed, new)| Write::Replace {
            post,
            kept,
            changed,
            new
        }),
        (any::<u8>(), 0..3_u8, some(), some()).prop_map(|(post, new, changed, out)| Write::Parts {
            post,
            new,
            changed,
            out
        }),
        some().prop_map(|posts| Write::Share { posts }),
        some().prop_map(|comments| Write::Delete { comments }),
        (any::<u8>(), 0..3_u8).prop_map(|(post, how)| Write::Fail { post, how }),
    ]
}

/// What should be there, by titles and names, of which there are no two alike.
#[derive(Debug, Default, PartialEq)]
struct Model {
    /// The author of each post.
    posts: BTreeMap<String, Option<String>>,
    /// The post of each comment.
    comments: BTreeMap<String, Option<String>>,
    authors: BTreeSet<String>,
}

struct Program<'w> {
    world: &'w World,
    model: Model,
    names: usize,
}

impl Program<'_> {
    fn fresh(&mut self) -> String {
        self.names += 1;
        format!("n{:04}", self.names)
    }

    async fn key(&self, collection: &str, title: &str) -> Value {
        let path = format!("/items/{collection}?fields=id&filter[title][_eq]={title}");
        self.world.api.get(&path).await.expect(200).data()[0]["id"].take()
    }

    fn at(of: &BTreeMap<String, Option<String>>, place: u8) -> Option<String> {
        of.keys().nth(usize::from(place) % of.len().max(1)).cloned()
    }

    fn some(&self, places: &[u8]) -> BTreeSet<String> {
        places.iter().filter_map(|place| Self::at(&self.model.comments, *place)).collect()
    }

    /// Gives comments other titles; what is sent for them.
    async fn changed(&mut self, titles: &BTreeSet<String>) -> Vec<Value> {
        let mut sent = Vec::new();
        for title in titles {
            let (key, fresh) = (self.key("comments", title).await, self.fresh());
            let post = self.model.comments.remove(title).unwrap();
            self.model.comments.insert(fresh.clone(), post);
            sent.push(json!({"id": key, "title": fresh}));
        }
        sent
    }

    fn made(&mut self, count: u8, post: &str) -> Vec<Value> {
        let titles: Vec<String> = (0..count).map(|_| self.fresh()).collect();
        self.model.comments.extend(titles.iter().map(|title| (title.clone(), Some(post.to_owned()))));
        titles.iter().map(|title| json!({"title": title})).collect()
    }

    async fn run(&mut self, write: &Write) {
        match write {
            Write::Create { comments, author } => self.create(*comments, *author).await,
            Write::Replace { post, kept, changed, new } => {
                let Some(post) = Self::at(&self.model.posts, *post) else { return };
                self.replace(&post, kept, changed, *new).await;
            }
            Write::Parts { post, new, changed, out } => {
                let Some(post) = Self::at(&self.model.posts, *post) else { return };
                self.parts(&post, *new, changed, out).await;
            }
            Write::Share { posts } => self.share(posts).await,
            Write::Delete { comments } => {
                let titles = self.some(comments);
                let mut keys = Vec::new();
                for title in &titles {
                    keys.push(self.key("comments", title).await);
                    self.model.comments.remove(title);
                }
                if !keys.is_empty() {
                    self.world.api.delete("/items/comments", Some(json!(keys))).await.expect(204);
                }
            }
            Write::Fail { post, how } => self.fail(*post, *how).await,
        }
    }

    async fn create(&mut self, comments: u8, author: bool) {
        let title = self.fresh();
        let comments = self.made(comments, &title);
        let mut post = json!({"title": title, "comments": comments});
        let name = author.then(|| self.fresh());
        if let Some(name) = &name {
            post["author"] = json!({"name": name});
            self.model.authors.insert(name.clone());
        }
        self.model.posts.insert(title, name);
        self.world.api.post("/items/posts?fields=id", post).await.expect(200);
    }

    async fn patch(&self, post: &str, change: Value) {
        let key = self.key("posts", post).await;
        self.world.api.patch(&format!("/items/posts/{key}?fields=id"), change).await.expect(200);
    }

    async fn replace(&mut self, post: &str, kept: &[u8], changed: &[u8], new: u8) {
        let changed = self.some(changed);
        let kept: BTreeSet<String> = self.some(kept).difference(&changed).cloned().collect();
        let mut list = Vec::new();
        for title in &kept {
            list.push(self.key("comments", title).await);
        }
        list.extend(self.changed(&changed).await);
        let renamed: Vec<String> =
            list.iter().filter_map(|entry| entry["title"].as_str()).map(str::to_owned).collect();
        list.extend(self.made(new, post));
        let stays: BTreeSet<String> = list
            .iter()
            .filter_map(|entry| entry["title"].as_str())
            .map(str::to_owned)
            .chain(kept.clone())
            .collect();
        for (title, of) in &mut self.model.comments {
            if kept.contains(title) || renamed.contains(title) {
                *of = Some(post.to_owned());
            } else if of.as_deref() == Some(post) && !stays.contains(title) {
                *of = None;
            }
        }
        self.patch(post, json!({"comments": list})).await;
    }

    async fn parts(&mut self, post: &str, new: u8, changed: &[u8], out: &[u8]) {
        let changed = self.some(changed);
        let out: BTreeSet<String> = self.some(out).difference(&changed).cloned().collect();
        let mut keys = Vec::new();
        for title in &out {
            keys.push(self.key("comments", title).await);
            let of = self.model.comments.get_mut(title).unwrap();
            if of.as_deref() == Some(post) {
                *of = None;
            }
        }
        let update = self.changed(&changed).await;
        for entry in &update {
            let title = entry["title"].as_str().unwrap();
            self.model.comments.insert(title.to_owned(), Some(post.to_owned()));
        }
        let create = self.made(new, post);
        self.patch(post, json!({"comments": {"create": create, "update": update, "delete": keys}})).await;
    }

    /// One new author for several posts.
    async fn share(&mut self, posts: &[u8]) {
        let titles: BTreeSet<String> =
            posts.iter().filter_map(|place| Self::at(&self.model.posts, *place)).collect();
        if titles.is_empty() {
            return;
        }
        let name = self.fresh();
        let mut keys = Vec::new();
        for title in titles {
            keys.push(self.key("posts", &title).await);
            self.model.posts.insert(title, Some(name.clone()));
        }
        self.model.authors.insert(name.clone());
        let change = json!({"keys": keys, "data": {"author": {"name": name}}});
        self.world.api.patch("/items/posts?fields=id", change).await.expect(200);
    }

    /// Something deep down is refused: nothing has changed.
    async fn fail(&mut self, post: u8, how: u8) {
        let Some(post) = Self::at(&self.model.posts, post) else { return };
        let key = self.key("posts", &post).await;
        let good = json!({"title": "never", "writer": {"name": "never"}});
        let bad = match how {
            0 => json!({"title": null}),
            1 => json!(999_999),
            _ => json!({"title": "never", "writer": 999_999}),
        };
        let change = json!({"title": "never", "author": {"name": "never"}, "comments": [good, bad]});
        let answer = self.world.api.patch(&format!("/items/posts/{key}"), change).await;
        assert!(matches!(answer.status, 400 | 403), "{}", answer.text);
    }

    /// What is there, in the model's terms.
    async fn present(&self) -> Model {
        let api = &self.world.api;
        let list = async |path: &str| api.get(path).await.expect(200).data().as_array().unwrap().clone();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let pairs = |items: Vec<Value>, by: &str, name: &str| {
            items.iter().map(|item| (text(&item["title"]).unwrap(), text(&item[by][name]))).collect()
        };
        Model {
            posts: pairs(list("/items/posts?fields=title,author.name&limit=-1").await, "author", "name"),
            comments: pairs(list("/items/comments?fields=title,post.title&limit=-1").await, "post", "title"),
            authors: list("/items/authors?fields=name&limit=-1")
                .await
                .iter()
                .filter_map(|item| text(&item["name"]))
                .collect(),
        }
    }
}

#[tokio::test]
async fn items_and_log_agree_with_the_model() {
    let world = blog(shape!()).await;
    let mut program = Program { world: &world, model: Model::default(), names: 0 };
    let mut runner = TestRunner::default();
    for number in 0..WRITES {
        let write = write().new_tree(&mut runner).unwrap().current();
        program.run(&write).await;
        if number % 20 == 19 || number + 1 == WRITES {
            assert_eq!(program.present().await, program.model, "after {write:?}");
        }
    }
    for collection in ["posts", "comments", "authors"] {
        log_tells(&world, collection).await;
    }
    let holes: i64 = sqlx::query_scalar(super::HOLES).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(holes, 0);
    world.quiet(std::time::Duration::from_secs(30)).await;
}

/// Told from its beginning, the log of a collection comes to the items that are there; what each event says was before
/// was there before; versions count without a gap; the last revision of an item is the item.
async fn log_tells(world: &World, collection: &str) {
    type Logged = (String, String, i64, Option<Value>, Option<Value>);
    let sql = "SELECT name, key, version, payload, previous FROM eventus.events WHERE collection = $1 ORDER BY position";
    let events: Vec<Logged> =
        sqlx::query_as(sql).bind(collection).fetch_all(&world.pool().await).await.unwrap();
    let mut items: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut versions: BTreeMap<String, i64> = BTreeMap::new();
    let events: Vec<Logged> = events.into_iter().filter(|event| event.0.starts_with("items.")).collect();
    let changes = events.iter().filter(|event| event.0 != "items.delete").count();
    for (name, key, version, payload, previous) in events {
        let before = versions.insert(key.clone(), version).unwrap_or(0);
        assert_eq!(version, before + 1, "{collection} {key}");
        if let Some(Value::Object(previous)) = previous {
            let item = &items[&key];
            assert!(
                previous.iter().all(|(field, value)| item[field] == *value),
                "{collection} {key} {version}"
            );
        }
        match (name.as_str(), payload) {
            ("items.delete", _) => drop(items.remove(&key)),
            (_, Some(Value::Object(payload))) => items.entry(key).or_default().extend(payload),
            (name, payload) => panic!("{name}: {payload:?}"),
        }
    }
    let all = world.api.get(&format!("/items/{collection}?limit=-1&fields=*")).await.expect(200).data();
    for item in all.as_array().unwrap() {
        let told = items.remove(&item["id"].to_string()).unwrap();
        assert!(told.iter().all(|(field, value)| item[field] == *value), "{item} {told:?}");
    }
    assert!(items.is_empty(), "{collection}: {items:?}");
    let path = format!("/revisions?filter[collection][_eq]={collection}&limit=-1&sort=id&fields=item,data");
    let revisions = world.api.get(&path).await.expect(200).data();
    assert_eq!(revisions.as_array().unwrap().len(), changes, "{collection}");
    let last: BTreeMap<&str, &Value> = revisions
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["item"].as_str().unwrap(), &one["data"]))
        .collect();
    for item in all.as_array().unwrap() {
        let Value::Object(told) = last[item["id"].to_string().as_str()] else { panic!("{item}") };
        assert!(told.iter().all(|(field, value)| item[field] == *value), "{item} {told:?}");
    }
}

//! Which write a client makes next, and what it makes of the log if it happens.

use http::Method;
use serde_json::{Value, json};

use super::HOT;
use crate::http::Answer;
use crate::records::Change;
use crate::rng::Rng;

/// A write that is to be sent.
pub struct Operation {
    pub method: Method,
    pub path: String,
    pub body: Option<Value>,
    pub changes: Vec<Change>,
    /// All of it happens or nothing; else keys that are not there are passed over.
    pub whole: bool,
}

impl Operation {
    /// What of it has happened, by the answer of a success: a change of what is not there is answered with success,
    /// too, and without the item.
    pub fn happened(&self, answer: Option<&Answer>) -> Vec<Change> {
        let body = answer.filter(|answer| answer.status == 200).map(Answer::data).unwrap_or_default();
        match self.method {
            Method::PATCH if self.whole => {
                if body.is_object() {
                    self.changes.clone()
                } else {
                    Vec::new()
                }
            }
            Method::PATCH => {
                let items = body.as_array().map_or(&[][..], Vec::as_slice);
                let named = |change: &&Change| items.iter().any(|item| item["id"] == change.key.as_str());
                self.changes.iter().filter(named).cloned().collect()
            }
            _ => self.changes.clone(),
        }
    }
}

/// One writer's choices.
pub struct Writer {
    pub rng: Rng,
    /// Begins its keys and tokens.
    pub name: String,
    number: usize,
    /// Keys that it has made and not deleted, as far as it knows.
    own: Vec<String>,
}

impl Writer {
    pub fn new(rng: Rng, name: String) -> Self {
        Self { rng, name, number: 0, own: Vec::new() }
    }

    /// The next write and its token.
    pub fn next(&mut self) -> (String, Operation) {
        self.number += 1;
        let token = format!("{}-{}", self.name, self.number);
        let operation = match self.rng.below(100) {
            0..30 => self.update(&token),
            30..42 => {
                let key = hot(&mut self.rng);
                self.create(&token, key)
            }
            42..66 => self.create(&token, token.clone()),
            66..74 => self.delete(),
            74..82 => self.create_several(&token),
            82..90 => self.update_several(&token),
            _ => self.nested(&token),
        };
        (token, operation)
    }

    /// A key of everybody's, or one of our own.
    fn known(&mut self) -> String {
        if self.own.is_empty() || self.rng.chance(75) {
            return hot(&mut self.rng);
        }
        self.rng.pick(&self.own)
    }

    fn update(&mut self, token: &str) -> Operation {
        let key = self.known();
        Operation {
            method: Method::PATCH,
            path: format!("/items/things/{key}"),
            body: Some(json!({"token": token})),
            whole: true,
            changes: vec![change("items.update", "things", key)],
        }
    }

    fn create(&mut self, token: &str, key: String) -> Operation {
        if key == token {
            self.own.push(key.clone());
        }
        Operation {
            method: Method::POST,
            path: "/items/things".to_owned(),
            body: Some(json!({"id": key, "token": token})),
            whole: true,
            changes: vec![change("items.create", "things", key)],
        }
    }

    fn delete(&mut self) -> Operation {
        let key = self.known();
        self.own.retain(|own| *own != key);
        Operation {
            method: Method::DELETE,
            path: format!("/items/things/{key}"),
            body: None,
            whole: true,
            changes: vec![change("items.delete", "things", key)],
        }
    }

    fn create_several(&mut self, token: &str) -> Operation {
        let keys: Vec<String> = (0..2 + self.rng.below(5)).map(|index| format!("{token}-{index}")).collect();
        self.own.extend(keys.iter().cloned());
        Operation {
            method: Method::POST,
            path: "/items/things".to_owned(),
            body: Some(keys.iter().map(|key| json!({"id": key, "token": token})).collect()),
            whole: true,
            changes: keys.into_iter().map(|key| change("items.create", "things", key)).collect(),
        }
    }

    fn update_several(&mut self, token: &str) -> Operation {
        let mut keys: Vec<String> = (0..2 + self.rng.below(3)).map(|_| self.known()).collect();
        keys.sort();
        keys.dedup();
        Operation {
            method: Method::PATCH,
            path: "/items/things".to_owned(),
            body: Some(json!({"keys": keys, "data": {"token": token}})),
            whole: false,
            changes: keys.into_iter().map(|key| change("items.update", "things", key)).collect(),
        }
    }

    fn nested(&mut self, token: &str) -> Operation {
        let lines: Vec<String> = (0..1 + self.rng.below(3)).map(|index| format!("{token}-{index}")).collect();
        let mut changes = vec![change("items.create", "orders", token.to_owned())];
        changes.extend(lines.iter().map(|key| change("items.create", "order_lines", key.clone())));
        let lines: Vec<Value> = lines.iter().map(|key| json!({"id": key, "token": token})).collect();
        Operation {
            method: Method::POST,
            path: "/items/orders".to_owned(),
            body: Some(json!({"id": token, "token": token, "lines": lines})),
            whole: true,
            changes,
        }
    }
}

fn hot(rng: &mut Rng) -> String {
    format!("h{}", rng.below(HOT))
}

fn change(name: &'static str, collection: &'static str, key: String) -> Change {
    Change { name, collection, key }
}

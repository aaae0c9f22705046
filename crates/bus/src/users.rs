//! Who may say and hear what on the broker: a user for each role of the fleet with the least it needs, and users for
//! programs outside that hear some collections. Pure: the server's own configuration comes out.
//!
//! Only items (the relay) may publish what the stream takes. Answers come to an inbox of each user's own, so that nobody
//! reads another's.

use model::EventName;
use serde::{Deserialize, Serialize};

use crate::{letters, subject, topology};

/// A user as nats-server takes it in `authorization { users = [..] }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Name.
    pub user: String,
    /// Password, in plain text or as bcrypt.
    pub password: String,
    /// What it may do.
    pub permissions: Permissions,
}

/// What a user may do: nothing but this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions {
    /// Subjects that it may publish to.
    pub publish: Allowed,
    /// Subjects that it may hear.
    pub subscribe: Allowed,
}

/// Subjects and patterns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// These.
    pub allow: Vec<String>,
}

/// What a role does on the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// Writes the stream.
    Relay,
    /// Takes events by the durable consumer of this name.
    Consumer(&'a str),
    /// Pings and nothing else.
    Pings,
}

/// Subjects on which answers for a user come.
pub fn inbox(user: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    format!("_INBOX_{}", user.chars().map(plain).collect::<String>())
}

/// The user of a role of the fleet.
pub fn of_role(prefix: &str, role: &str, part: Part<'_>, password: &str) -> User {
    let stream = topology::stream_name(prefix);
    let pings = subject::prefixed(prefix, "eventus.ping.*");
    let mut publish = vec![pings.clone(), "$JS.API.INFO".to_owned()];
    match part {
        Part::Pings => {}
        Part::Consumer(name) => {
            publish.extend(reading(&stream));
            publish.extend(consuming(&stream, name));
            publish.extend([
                format!("$JS.API.CONSUMER.CREATE.{stream}.{name}"),
                format!("$JS.API.CONSUMER.CREATE.{stream}.{name}.>"),
                format!("$JS.API.CONSUMER.UNPIN.{stream}.{name}"),
            ]);
        }
        Part::Relay => {
            publish.extend(reading(&stream));
            publish.extend(topology::SUBJECTS.iter().map(|pattern| subject::prefixed(prefix, pattern)));
            publish.push(format!("$JS.API.CONSUMER.INFO.{stream}.*"));
            let whole = ["CREATE", "UPDATE", "PURGE", "MSG.DELETE"];
            publish.extend(whole.map(|action| format!("$JS.API.STREAM.{action}.{stream}")));
            let dead = letters::stream_name(prefix);
            publish.push(subject::prefixed(prefix, letters::SUBJECTS));
            let mirror = ["CREATE", "INFO", "PURGE"];
            publish.extend(mirror.map(|action| format!("$JS.API.STREAM.{action}.{dead}")));
        }
    }
    let name = format!("eventus-{role}");
    user(name, password, publish, vec![pings])
}

/// A user of a program outside the fleet: it hears these collections of yours, live or by a durable consumer that
/// bears the user's name (and `_` with the collection, where there are several), and publishes nothing.
pub fn subscriber(prefix: &str, name: &str, collections: &[String], password: &str) -> User {
    let stream = topology::stream_name(prefix);
    let (mut publish, mut subscribe) = (vec!["$JS.API.INFO".to_owned()], Vec::new());
    publish.push(format!("$JS.API.STREAM.INFO.{stream}"));
    for collection in collections {
        let token = subject::escape(collection);
        let heard = subject::prefixed(prefix, &format!("{}.{token}", EventName::new("items", "*")));
        let consumer = if collections.len() == 1 { name.to_owned() } else { format!("{name}_{token}") };
        publish.extend(consuming(&stream, &consumer));
        // The name of the filter is a part of the subject: with another one the server refuses.
        publish.push(format!("$JS.API.CONSUMER.CREATE.{stream}.{consumer}.{heard}"));
        publish.push(format!("$JS.API.CONSUMER.DELETE.{stream}.{consumer}"));
        subscribe.push(heard);
    }
    user(name.to_owned(), password, publish, subscribe)
}

fn user(name: String, password: &str, publish: Vec<String>, mut subscribe: Vec<String>) -> User {
    subscribe.push(format!("{}.>", inbox(&name)));
    let permissions =
        Permissions { publish: Allowed { allow: publish }, subscribe: Allowed { allow: subscribe } };
    User { user: name, password: password.to_owned(), permissions }
}

/// Looking at the stream, and at single messages of it.
fn reading(stream: &str) -> [String; 4] {
    [
        format!("$JS.API.STREAM.INFO.{stream}"),
        format!("$JS.API.STREAM.MSG.GET.{stream}"),
        format!("$JS.API.DIRECT.GET.{stream}"),
        format!("$JS.API.DIRECT.GET.{stream}.>"),
    ]
}

/// Taking messages by a consumer, and settling them.
fn consuming(stream: &str, consumer: &str) -> [String; 3] {
    [
        format!("$JS.API.CONSUMER.INFO.{stream}.{consumer}"),
        format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"),
        format!("$JS.ACK.{stream}.{consumer}.>"),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Part, of_role, subscriber};
    use crate::subject::matches;

    #[test]
    fn only_the_relay_may_publish_events() {
        let event = |part| {
            let allowed = of_role("acme", "x", part, "p").permissions.publish.allow;
            ["acme.items.create.a", "acme.auth.login", "acme.custom.a.b", "acme.dlq.hooks.gone.x"]
                .map(|subject| allowed.iter().any(|pattern| matches(pattern, subject)))
        };
        assert_eq!(event(Part::Relay), [true; 4]);
        assert_eq!(event(Part::Consumer("hooks")), [false; 4]);
        assert_eq!(event(Part::Pings), [false; 4]);
    }

    #[test]
    fn a_subscriber_hears_its_collections() {
        let user = subscriber("", "shop", &["orders".to_owned(), "a.b".to_owned()], "p");
        let hears =
            |subject: &str| user.permissions.subscribe.allow.iter().any(|pattern| matches(pattern, subject));
        assert!(hears("items.create.orders") && hears("items.delete.a%2Eb") && hears("_INBOX_shop.x.y"));
        assert!(!hears("items.create.a") && !hears("items.create.other") && !hears("_INBOX.x"));
    }
}

//! Registrations on a real PostgreSQL.

use model::EventName;

use super::{named, replace};
use crate::registry::Row;
use crate::testing::{database, number};

const VERSION: &str = "SELECT version FROM eventus.control WHERE topic = 'filters'";
const ROWS: &str = "SELECT count(*) FROM eventus.filter_registrations";

fn row(hook: &str, event: &str, collection: &str, priority: i32) -> Row {
    let (hook, event, collection) = (hook.to_owned(), event.to_owned(), collection.to_owned());
    Row { hook, event, collection, priority }
}

#[tokio::test]
async fn the_set_is_replaced_only_when_it_differs() {
    let (_database, db) = database().await;
    let before = number(&db, VERSION).await;
    assert!(!replace(&db, &[]).await.unwrap());
    let first = [
        row("B", "items.create", "Ä", 1),
        row("a", "items.create", "*", 1),
        row("a", "items.update", "x", 1),
    ];
    assert!(replace(&db, &first).await.unwrap());
    assert!(!replace(&db, &first).await.unwrap(), "the same again");
    assert_eq!((number(&db, VERSION).await, number(&db, ROWS).await), (before + 1, 3));
    let other = [row("B", "items.create", "Ä", 2)];
    assert!(replace(&db, &other).await.unwrap(), "a priority differs");
    assert!(replace(&db, &[]).await.unwrap());
    assert_eq!((number(&db, VERSION).await, number(&db, ROWS).await), (before + 3, 0));
}

/// Replicas of two configurations that start together: the table holds one of the sets, whole.
#[tokio::test]
async fn writers_do_not_mix_their_sets() {
    let (_database, db) = database().await;
    let set = |hook: &str| ["items.create", "items.update"].map(|event| row(hook, event, "*", 1));
    for _ in 0..10 {
        let (a, b) = (set("a"), set("b"));
        let (one, two) = tokio::join!(replace(&db, &a), replace(&db, &b));
        assert!(one.unwrap() | two.unwrap());
        assert_eq!(number(&db, ROWS).await, 2);
        assert_eq!(number(&db, "SELECT count(DISTINCT hook) FROM eventus.filter_registrations").await, 1);
    }
}

#[tokio::test]
async fn hooks_are_named_by_event_and_collection() {
    let (_database, db) = database().await;
    let rows = [
        row("all", "items.create", "*", 1),
        row("one", "items.create", "articles", 1),
        row("one", "items.update", "articles", 1),
        row("system", "items.create", "directus_users", 1),
    ];
    replace(&db, &rows).await.unwrap();
    let create = EventName::new("items", "create");
    for (collection, expected) in [
        ("articles", &["all", "one"][..]),
        ("pages", &["all"]),
        ("directus_users", &["system"]),
        ("%", &["all"]),
    ] {
        let mut names = named(&db, &create, collection).await.unwrap();
        names.sort();
        assert_eq!(names, expected, "{collection}");
    }
    assert!(named(&db, &EventName::new("items", "delete"), "articles").await.unwrap().is_empty());
}

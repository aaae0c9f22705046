//! Cursors, estimates, trees and figures over windows, of which only a part is seen.

use access::Access;
use planner::{Place, plan_estimate, plan_page, plan_tree, plan_window};
use query::{Query, Report};
use serde_json::{Value, json};
use sqlx::Row as _;

use super::{Asker, Shop, asker, editor, read};
use crate::execute;
use crate::items::report::tree;

impl Shop {
    /// A list page by page, with the places between them.
    async fn pages(&self, asker: &Asker, collection: &str, query: &str) -> (Vec<Value>, Vec<Place>) {
        let found = self.snapshot.collection(collection).unwrap();
        let query = Query::from_query_string(query).unwrap();
        let (mut items, mut places): (Vec<Value>, Vec<Place>) = (Vec::new(), Vec::new());
        loop {
            let plan = plan_page(&query, found, self.reader(asker), places.last()).unwrap();
            let rows = execute::rows_alone(&self.servers.db, &plan.statement).await.unwrap();
            items.extend(serde_json::from_str::<Vec<Value>>(rows[0].get("items")).unwrap());
            let Some(last) = rows[0].get::<Option<String>, _>("last") else { return (items, places) };
            places.push(serde_json::from_str(&last).unwrap());
        }
    }

    /// Items of a report, and what is said of all of them.
    async fn report(&self, asker: &Asker, collection: &str, report: &Report) -> (Value, String) {
        let (found, reader) = (self.snapshot.collection(collection).unwrap(), self.reader(asker));
        let (items, meta) = match report {
            Report::Tree(report) => {
                let statement = plan_tree(report, found, reader).unwrap();
                let rows = execute::rows_alone(&self.servers.db, &statement).await.unwrap();
                tree::written(&rows, report).unwrap()
            }
            Report::Window(report) => {
                let plan = plan_window(report, found, reader).unwrap();
                let rows = execute::rows_alone(&self.servers.db, &plan.statement).await.unwrap();
                (rows[0].get("items"), String::new())
            }
        };
        (serde_json::from_str(&items).unwrap(), meta)
    }

    async fn tree(&self, asker: &Asker, text: &str) -> Value {
        self.report(asker, "authors", &Report::tree(text).unwrap()).await.0
    }
}

/// Of the order by notes only the notes are told that may be seen; every item comes once.
#[tokio::test]
async fn places_tell_what_may_be_seen() {
    let shop = Shop::open().await;
    let editor = editor();
    for (order, ids) in [
        ("notes", [1, 2, 3, 5, 6]),
        ("-notes", [6, 5, 3, 2, 1]),
        ("-year(published_at),id", [3, 5, 6, 1, 2]),
        ("author.name,id", [1, 2, 3, 5, 6]),
        ("-author.name,id", [5, 6, 3, 1, 2]),
    ] {
        let query = format!("fields=id&limit=1&cursor=&sort={order}");
        let (items, places) = shop.pages(&editor, "articles", &query).await;
        let expected: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
        assert_eq!(items, expected, "{order}");
        let told = format!("{places:?}");
        assert!(!told.contains("Bob\"") || order.contains("author"), "{order}: {told}");
        assert!(!told.contains("of Bob") && !told.contains("Eve"), "{order}: {told}");
    }
    let (found, reader) = (shop.snapshot.collection("authors").unwrap(), shop.reader(&editor));
    for refused in ["cursor=&sort=salary", "cursor=&sort=boss.salary", "cursor=&sort=token"] {
        plan_page(&Query::from_query_string(refused).unwrap(), found, reader, None).unwrap_err();
    }
}

/// Without the right to see keys there is nothing to go on by.
#[tokio::test]
async fn keys_that_may_not_be_seen_make_no_places() {
    let shop = Shop::open().await;
    let some = json!({"status": {"_eq": "published"}});
    let half = asker([read("articles", &["title"], Value::Null), read("articles", &["id", "title"], some)]);
    let found = shop.snapshot.collection("articles").unwrap();
    let query = Query::from_query_string("fields=title&cursor=").unwrap();
    plan_page(&query, found, shop.reader(&half), None).unwrap_err();
    let estimate = plan_estimate(&query, found, shop.reader(&half)).unwrap();
    assert!(execute::rows_alone(&shop.servers.db, &estimate).await.is_ok());
}

#[tokio::test]
async fn trees_hold_what_may_be_seen() {
    let shop = Shop::open().await;
    let text = "parent=boss&fields=name";
    let node = |depth: i32, name: &str, children: Value| json!({"depth": depth, "item": {"name": name}, "children": children});
    let all = Asker { access: Access::admin(), ..editor() };
    let (bob, eve) = (node(2, "Bob", json!([])), node(2, "Eve", json!([])));
    assert_eq!(shop.tree(&all, text).await, json!([node(1, "Ann", json!([bob, eve]))]));
    assert_eq!(shop.tree(&editor(), text).await, json!([node(1, "Ann", json!([bob]))]));
    assert_eq!(shop.tree(&editor(), "parent=boss&root=3").await, json!([]), "Eve is not there");
    // Who hangs below somebody out of sight is out of sight as well.
    let fields = ["id", "name", "boss"];
    let others = asker([read("authors", &fields, json!({"name": {"_neq": "Ann"}}))]);
    assert_eq!(shop.tree(&others, text).await, json!([]));
    assert_eq!(
        shop.tree(&others, "parent=boss&fields=name&root=2").await,
        json!([node(1, "Bob", json!([]))])
    );
    // A reference that he may not see leads nowhere.
    let blind = asker([read("authors", &["id", "name"], Value::Null)]);
    let Report::Tree(report) = Report::tree(text).unwrap() else { unreachable!("it is a tree") };
    let found = shop.snapshot.collection("authors").unwrap();
    plan_tree(&report, found, shop.reader(&blind)).unwrap_err();
}

/// A sum over what is seen, item by item and field by field.
#[tokio::test]
async fn figures_are_made_of_what_may_be_seen() {
    let shop = Shop::open().await;
    let sees = asker([
        read("articles", &["id", "title", "status"], json!({"status": {"_eq": "published"}})),
        read("articles", &["id", "title", "words", "author"], json!({"id": {"_in": [2, 3]}})),
    ]);
    let window = Report::window("compute=running_sum(words),running_count&order=id&fields=id,words").unwrap();
    let (items, _) = shop.report(&sees, "articles", &window).await;
    let one = |id: i32, words: Value, sum: Value, count: i32| {
        json!({"item": {"id": id, "words": words},
            "figures": {"running_sum_words": sum, "running_count": count}})
    };
    let expected = json!([
        one(1, json!(null), json!(null), 1),
        one(2, json!(20), json!("20"), 2),
        one(3, json!(30), json!("50"), 3),
        one(5, json!(null), json!("50"), 4),
        one(6, json!(null), json!("50"), 5),
    ]);
    assert_eq!(items, expected);
    let ranks = Report::window("compute=rank&order=-words&partition=author&fields=id").unwrap();
    let (items, _) = shop.report(&sees, "articles", &ranks).await;
    let ranks: Vec<String> = items
        .as_array()
        .unwrap()
        .iter()
        .map(|item| format!("{}:{}", item["item"]["id"], item["figures"]["rank"]))
        .collect();
    // Authors and words that are not seen are all alike.
    assert_eq!(ranks, ["2:1", "3:1", "1:1", "5:1", "6:1"]);
}

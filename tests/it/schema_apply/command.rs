//! The command `eventus schema`: snapshot, plan, apply on a database.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{entry, events, eventus, said, small};
use crate::world::World;

#[tokio::test]
async fn the_command_plans_and_applies() {
    let world = small().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (yaml, json) = (file("schema.yaml"), file("schema.json"));
    let url = &world.database.url;
    assert_eq!(said(&eventus(url, &["snapshot", &yaml]), 0), "");
    assert_eq!(said(&eventus(url, &["snapshot", &json]), 0), "");
    let text = std::fs::read_to_string(&yaml).unwrap();
    assert!(
        text.starts_with(
            "version: 1\ndirectus: \"11.17.4\"\nvendor: postgres\ncollections:\n  - collection: authors\n"
        ),
        "{text}"
    );
    assert_eq!(said(&eventus(url, &["snapshot"]), 0), text);
    assert_eq!(said(&eventus(url, &["plan", &yaml]), 0), "nothing to change\n");
    assert_eq!(said(&eventus(url, &["plan", &json]), 0), "nothing to change\n");
    let empty = testkit::database(db::migrate_url).await;
    let plan = said(&eventus(&empty.url, &["plan", &yaml]), 2);
    assert!(
        plan.contains("+ collection posts\n") && plan.contains("+ field posts.title (string)\n"),
        "{plan}"
    );
    assert!(plan.contains("+ relation posts.author -> authors (on delete no action)\n"), "{plan}");
    assert!(plan.ends_with("8 to make, 0 to change, 0 to delete\n"), "{plan}");
    assert!(said(&eventus(&empty.url, &["apply", &yaml]), 1).contains("--yes"), "nobody can be asked");
    assert!(said(&eventus(&empty.url, &["apply", &yaml, "--yes"]), 0).ends_with("applied\n"));
    assert_eq!(said(&eventus(&empty.url, &["snapshot"]), 0), text);
    assert_eq!(said(&eventus(&empty.url, &["apply", &yaml, "--yes"]), 0), "nothing to change\n");
    for (name, content) in [("bad.yaml", "a: ["), ("none.json", "{}"), ("old.json", "{\"version\": 2}")] {
        std::fs::write(file(name), content).unwrap();
        assert!(said(&eventus(url, &["plan", &file(name)]), 1).contains("Invalid payload"));
    }
    assert!(said(&eventus(url, &["plan", &file("missing")]), 1).contains("missing"));
    let bare = testkit::empty_database().await;
    assert!(said(&eventus(&bare.url, &["plan", &yaml]), 1).contains("eventus migrate"));
    changes_reach_who_runs(&world, Path::new(&json)).await;
}

/// A fleet that runs on the database serves what the command has made.
async fn changes_reach_who_runs(world: &World, file: &Path) {
    let mut wanted: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    entry(&mut wanted, "fields", "posts", "title")["schema"]["default_value"] = json!("untitled");
    let more = json!({"collection": "posts", "field": "words", "type": "integer", "meta": {}, "schema": {}});
    wanted["fields"].as_array_mut().unwrap().push(more);
    std::fs::write(file, wanted.to_string()).unwrap();
    let plan = said(&eventus(&world.database.url, &["plan", file.to_str().unwrap()]), 2);
    assert_eq!(
        plan,
        "~ field posts.title: default_value none -> untitled\n+ field posts.words (integer)\n\
         1 to make, 1 to change, 0 to delete\n"
    );
    said(&eventus(&world.database.url, &["apply", file.to_str().unwrap(), "--yes"]), 0);
    let deadline = Instant::now() + Duration::from_secs(5);
    while world.api.get("/fields/posts/words").await.status != 200 {
        assert!(Instant::now() < deadline, "nobody noticed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let made = world.api.post("/items/posts", json!({"words": 1})).await.expect(200).data();
    assert_eq!((&made["title"], &made["words"]), (&json!("untitled"), &json!(1)));
    let logged: Vec<String> = events(world).await.into_iter().map(|(name, _)| name).collect();
    assert!(logged.contains(&"fields.update".to_owned()), "{logged:?}");
    world.quiet(Duration::from_secs(20)).await;
}

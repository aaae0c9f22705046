//! What the CDN is asked for.

use cdn_purge_worker::Config;
use event_store::NewEvent;
use testkit::{PATIENCE, TRACE, process};

use crate::world::{World, event};

#[tokio::test(flavor = "multi_thread")]
async fn every_key_is_one_segment_of_the_path() {
    let world = World::start().await;
    let worker = world.worker(world.config()).await;
    let keys = ["7", "a/b", "..", "../../all", "100%", "%2e%2e", "é ü", "a?b#c", "photo.jpg"];
    world.append("items.update", &keys).await;
    world.cdn.wait_for(keys.len(), PATIENCE).await;
    world.settled().await;
    let mut expected = [
        "7",
        "a%2Fb",
        "%2E%2E",
        "%2E%2E%2F%2E%2E%2Fall",
        "100%25",
        "%252e%252e",
        "%C3%A9%20%C3%BC",
        "a%3Fb%23c",
        "photo.jpg",
    ]
    .map(|segment| format!("/zone/7/purge/{segment}"));
    expected.sort();
    assert_eq!(world.paths(), expected);
    for request in world.cdn.requests() {
        assert_eq!((request.method.as_str(), request.body.len()), ("DELETE", 0));
        assert_eq!(request.header("authorization"), "Bearer s3cret");
        assert_eq!(&request.header("traceparent")[..36], &TRACE[..36]);
    }
    assert_eq!(world.number("SELECT count(*) FROM eventus.purges WHERE state = 'succeeded'").await, 9);
    process::stop(&worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_purged_and_of_items_those_that_are_configured() {
    let world = World::start().await;
    let files = Config { collections: vec!["directus_files".to_owned()], ..world.config() };
    let worker = world.worker(files).await;
    world.append("files.upload", &["f1"]).await;
    world.commit(&[NewEvent { silent: true, ..event("files.update", "f2") }]).await;
    world.append("items.update", &["1"]).await;
    world.append("auth.login", &["u"]).await;
    world.append("files.delete", &["f3"]).await;
    world.cdn.wait_for(3, PATIENCE).await;
    world.until("SELECT count(*) FROM eventus.purges WHERE state = 'succeeded'", 3).await;
    assert_eq!(world.paths(), ["f1", "f2", "f3"].map(|key| format!("/zone/7/purge/{key}")));
    process::stop(&worker).await;
    world.cdn.clear();
    let articles = Config { collections: vec!["articles".to_owned()], ..world.config() };
    let worker = world.worker(articles).await;
    world.commit(&[NewEvent { collection: "pages".to_owned(), ..event("items.update", "2") }]).await;
    world.append("items.delete", &["3"]).await;
    world.cdn.wait_for(1, PATIENCE).await;
    world.settled().await;
    let paths = world.paths();
    assert!(paths.contains(&"/zone/7/purge/3".to_owned()) && !paths.contains(&"/zone/7/purge/2".to_owned()));
    process::stop(&worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_cdn_the_worker_is_healthy_and_idle() {
    let world = World::start().await;
    let worker = world.worker(Config::default()).await;
    world.append("files.upload", &["f1"]).await;
    assert!(worker.health.ready());
    assert_eq!(world.number("SELECT count(*) FROM eventus.consumers WHERE name = 'cdn-purge'").await, 0);
    process::stop(&worker).await;
}

//! Filter hooks: from the registration to the answer.

use std::time::Duration;

use futures_util::StreamExt as _;
use hooks_worker::hook::{FilterCall, FilterError, FilterHook, Registration};
use hooks_worker::{Config, Error, Registry};
use model::{Accountability, ErrorCode};
use proto::hooks::v1::FilterRequest;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use testkit::PATIENCE;
use tonic::Code;

use crate::world::{Worker, World};

fn derive(collections: &[&str]) -> Config {
    let derive_collections = collections.iter().map(|name| (*name).to_owned()).collect();
    Config { derive_collections, ..Config::default() }
}

fn request(event: &str, collection: &str, payload: &Value) -> FilterRequest {
    let payload = payload.to_string().into();
    FilterRequest { event: event.to_owned(), collection: collection.to_owned(), payload, keys: Vec::new() }
}

async fn ask(world: &World, worker: &Worker, request: FilterRequest) -> Result<Value, model::Error> {
    match worker.client.clone().filter(world.call_as_items(request)).await {
        Ok(answer) => Ok(serde_json::from_slice(&answer.into_inner().payload).unwrap()),
        Err(status) => Err(rpc::errors(status).0.remove(0)),
    }
}

#[tokio::test]
async fn an_article_gets_its_derived_fields() {
    let world = World::start().await;
    let config = derive(&["articles"]);
    let worker = world.worker(Registry::bundled(&config), config).await;
    let article =
        json!([{"title": "Über alles", "content": "<p>Some words</p>"}, {"title": "B", "slug": "mine"}]);
    let expected = json!([
        {"title": "Über alles", "content": "<p>Some words</p>", "slug": "uber-alles", "word_count": 2,
         "reading_time": 1, "excerpt": "Some words"},
        {"title": "B", "slug": "mine"},
    ]);
    for event in ["items.create", "articles.items.create", "items.update"] {
        assert_eq!(ask(&world, &worker, request(event, "articles", &article)).await.unwrap(), expected);
    }
    let keys = json!([1, "two"]);
    assert_eq!(ask(&world, &worker, request("items.delete", "articles", &keys)).await.unwrap(), keys);
    assert_eq!(ask(&world, &worker, request("items.create", "pages", &article)).await.unwrap(), article);
    let malformed = FilterRequest { payload: "[{".into(), ..request("items.create", "articles", &json!([])) };
    assert_eq!(ask(&world, &worker, malformed).await.unwrap_err().code, ErrorCode::InvalidPayload);
    worker.stop().await;
}

#[tokio::test]
async fn only_processes_of_the_fleet_may_ask() {
    let world = World::start().await;
    let worker = world.worker(Registry::new(), Config::default()).await;
    let admin = Accountability { admin: true, ..Accountability::default() };
    for who in [Accountability::default(), admin] {
        let call = world.call(who, request("items.create", "articles", &json!([])));
        assert_eq!(worker.client.clone().filter(call).await.unwrap_err().code(), Code::PermissionDenied);
    }
    worker.stop().await;
}

const VERSION: &str = "SELECT version FROM eventus.control WHERE topic = 'filters'";
const ROWS: &str = "SELECT count(*) FROM eventus.filter_registrations";

#[tokio::test]
async fn registrations_are_there_before_the_worker_is_ready_and_change_with_the_configuration() {
    let world = World::start().await;
    let before = world.number(VERSION).await;
    let mut pings = world.pings("control").await;

    let config = derive(&["articles", "pages"]);
    let worker = world.worker(Registry::bundled(&config), config.clone()).await;
    assert_eq!((world.number(ROWS).await, world.number(VERSION).await), (4, before + 1));
    tokio::time::timeout(PATIENCE, pings.next()).await.expect("a ping tells of the change");
    worker.stop().await;

    let worker = world.worker(Registry::bundled(&config), config).await;
    assert_eq!(
        (world.number(ROWS).await, world.number(VERSION).await),
        (4, before + 1),
        "nothing has changed"
    );

    // A roll-out: the next worker knows another set, the one before it still runs.
    let next = world.worker(Registry::new().filter(Odd), Config::default()).await;
    assert_eq!((world.number(ROWS).await, world.number(VERSION).await), (1, before + 2));
    let create = || request("items.create", "articles", &json!([{"title": "x"}]));
    let error = ask(&world, &worker, create()).await.unwrap_err();
    assert_eq!(
        (error.code, error.retry_after),
        (ErrorCode::ServiceUnavailable, Some(1)),
        "not passed in silence"
    );
    assert_eq!(ask(&world, &next, create()).await.unwrap(), json!([{"title": "x"}]));
    worker.stop().await;
    next.stop().await;
}

#[tokio::test]
async fn a_worker_without_a_database_is_not_ready() {
    let world = World::start().await;
    sqlx::query("ALTER TABLE eventus.filter_registrations RENAME TO away").execute(&world.db).await.unwrap();
    let worker = world.begin(Registry::new().filter(Odd), Config::default());
    testkit::eventually(PATIENCE, || async { !worker.runtime.health.report().is_empty() }).await;
    assert!(!worker.runtime.health.ready());
    let early = ask(&world, &worker, request("items.create", "a", &json!([]))).await.unwrap_err();
    assert_eq!(early.code, ErrorCode::ServiceUnavailable);
    sqlx::query("ALTER TABLE eventus.away RENAME TO filter_registrations").execute(&world.db).await.unwrap();
    worker.ready().await;
    assert_eq!(world.number(ROWS).await, 1);
    worker.stop().await;
}

/// Does what the collection's name says.
struct Odd;

#[tonic::async_trait]
impl FilterHook for Odd {
    fn name(&self) -> &'static str {
        "odd"
    }

    fn registrations(&self) -> Vec<Registration> {
        let (event, collection) = ("items.create".to_owned(), "*".to_owned());
        vec![Registration { event, collection, priority: 100 }]
    }

    async fn run(&self, call: &FilterCall) -> Result<Option<Vec<Box<RawValue>>>, FilterError> {
        match call.collection.as_str() {
            "refuse" => Err(FilterError::refused("Prices only rise.")),
            "own" => Err(FilterError::Refused(model::Error::forbidden())),
            "panic" => panic!("on purpose"),
            "hang" => std::future::pending().await,
            _ => Ok(None),
        }
    }
}

#[tokio::test]
async fn refusals_reach_the_caller_and_faults_are_never_a_silent_pass() {
    let world = World::start().await;
    let worker = world.worker(Registry::new().filter(Odd), Config::default()).await;
    let asked =
        |collection: &'static str| ask(&world, &worker, request("items.create", collection, &json!([{}])));
    let refused = asked("refuse").await.unwrap_err();
    assert_eq!(
        (refused.code, refused.extensions["reason"].as_str()),
        (ErrorCode::FailedValidation, Some("Prices only rise."))
    );
    assert_eq!(asked("own").await.unwrap_err(), model::Error::forbidden());
    assert_eq!(asked("panic").await.unwrap_err().code, ErrorCode::Internal);
    assert_eq!(asked("fine").await.unwrap(), json!([{}]), "a panic harms nobody else");

    let mut call = world.call_as_items(request("items.create", "hang", &json!([{}])));
    call.set_timeout(Duration::from_millis(100));
    let begun = std::time::Instant::now();
    let status = worker.client.clone().filter(call).await.unwrap_err();
    assert_eq!(rpc::errors(status).0[0].code, ErrorCode::ServiceUnavailable);
    assert!(begun.elapsed() < Duration::from_secs(4), "the caller's deadline, not our own");
    worker.stop().await;
}

#[tokio::test]
async fn a_set_that_cannot_work_does_not_start() {
    let world = World::start().await;
    let worker = world.begin(Registry::new().filter(Odd).filter(Odd), Config::default());
    let failure = tokio::time::timeout(PATIENCE, worker.runtime.tasks.failed()).await.unwrap();
    let expected = Error::Registry(vec!["two filter hooks are named odd".to_owned()]).to_string();
    assert_eq!(failure.reason, expected);
}

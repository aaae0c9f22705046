//! The tools themselves, on real servers.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use model::Clock as _;
use testkit::{Answer, Nats, Sink, TestClock};

const DEADLINE: Duration = Duration::from_secs(20);

async fn post(url: &str, body: &'static str) -> Result<u16, Box<dyn std::error::Error>> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = http::Request::post(url).header("x-test", "1").body(Full::new(Bytes::from(body)))?;
    Ok(client.request(request).await?.status().as_u16())
}

#[tokio::test]
async fn databases_are_copies_of_one_template_and_go_away() {
    let migrate = async |url: String| {
        use sqlx::{Connection as _, PgConnection};
        let mut connection = PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql("CREATE TABLE made_by_the_template (n int)").execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    };
    let server = testkit::Postgres::start().await;
    let (first, second) = tokio::join!(
        testkit::TestDatabase::on(&server, migrate),
        testkit::TestDatabase::on(&server, migrate)
    );
    assert_ne!(first.name, second.name);
    let count = async |url: &str, query: &'static str| -> i64 {
        use sqlx::{Connection as _, PgConnection};
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
    };
    for database in [&first, &second] {
        assert_eq!(count(&database.url, "SELECT count(*) FROM made_by_the_template").await, 0);
    }
    drop((first, second));
    let left = "SELECT count(*) FROM pg_database WHERE datname LIKE 'eventus_test_%'";
    assert_eq!(count(server.url(), left).await, 0);
}

#[tokio::test]
async fn a_nats_server_survives_kill_and_forgets_when_wiped() {
    let mut nats = Nats::start().await;
    let url = nats.url();
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let config = async_nats::jetstream::stream::Config {
        name: "S".to_owned(),
        subjects: vec!["s".to_owned()],
        ..Default::default()
    };
    jetstream.create_stream(config).await.unwrap();
    jetstream.publish("s", "kept".into()).await.unwrap().await.unwrap();
    nats.kill9().await;
    assert_eq!(nats.pid(), None);
    nats.restart().await;
    assert_eq!(nats.url(), url);
    let fresh = async_nats::jetstream::new(nats.client().await);
    assert_eq!(fresh.get_stream("S").await.unwrap().cached_info().state.messages, 1);
    nats.stop().await;
    nats.wipe_store();
    nats.restart().await;
    let fresh = async_nats::jetstream::new(nats.client().await);
    assert_eq!(fresh.stream_names().count().await, 0);
}

#[tokio::test]
async fn a_sink_records_and_answers_as_told() {
    let mut sink = Sink::start().await;
    sink.answer(|_, number| Answer::status(if number == 0 { 500 } else { 204 }).header("x-answer", "1"));
    assert_eq!(post(&sink.url("/hook?a=1"), "one").await.unwrap(), 500);
    assert_eq!(post(&sink.url("/hook"), "two").await.unwrap(), 204);
    let requests = sink.wait_for(2, DEADLINE).await;
    assert_eq!(
        (requests[0].path.as_str(), requests[0].text(), requests[0].header("x-test")),
        ("/hook?a=1", "one", "1")
    );
    assert!(requests[0].time <= requests[1].time);
    sink.pause().await;
    assert!(post(&sink.url("/hook"), "refused").await.is_err());
    sink.resume().await;
    sink.answer_status(202);
    assert_eq!(post(&sink.url("/hook"), "three").await.unwrap(), 202);
    assert_eq!(sink.requests().len(), 3);
    sink.clear();
    assert!(sink.requests().is_empty());
}

#[tokio::test]
async fn a_slow_answer_is_slow() {
    let sink = Sink::start().await;
    sink.answer(|_, _| Answer::status(200).after(Duration::from_millis(200)));
    let begun = Instant::now();
    post(&sink.url("/"), "").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn waiting_ends_with_the_condition() {
    let mut looks = 0;
    testkit::eventually(DEADLINE, || {
        looks += 1;
        let enough = looks == 3;
        async move { enough }
    })
    .await;
    assert_eq!(looks, 3);
    assert_eq!(testkit::eventually_some(DEADLINE, || async { Some(7) }).await, 7);
}

#[tokio::test]
#[should_panic(expected = "not within 30ms")]
async fn waiting_in_vain_panics() {
    testkit::eventually(Duration::from_millis(30), || async { false }).await;
}

#[test]
fn a_test_clock_moves_when_told() {
    let clock = TestClock::default();
    let before = clock.clone().now();
    clock.advance(Duration::from_secs(60));
    assert_eq!(clock.now() - before, Duration::from_secs(60));
}

mod collector;

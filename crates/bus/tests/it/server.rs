//! Servers that will not do, and servers that are not there.

use std::time::Duration;

use bus::{Bus, Config, Error, State};
use testkit::{Nats, eventually, free_address};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::world::SOON;

/// Says it is an old server, and answers pings.
async fn old_server(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(async move {
            let (reader, mut writer) = stream.into_split();
            let info = "INFO {\"server_id\":\"x\",\"version\":\"2.9.10\",\"max_payload\":1048576,\"headers\":true}\r\n";
            writer.write_all(info.as_bytes()).await.unwrap();
            let mut lines = BufReader::new(reader).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if line == "PING" {
                    writer.write_all(b"PONG\r\n").await.unwrap();
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_too_old_is_refused_at_connect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(old_server(listener));
    let error = Bus::connect(&Config::new(url), "test").await.unwrap_err();
    assert!(matches!(&error, Error::ServerTooOld { found, .. } if found == "2.9.10"), "{error}");
    assert!(error.to_string().contains("at least 2.12"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_server_that_turns_up_later_is_refused_by_everything() {
    let address = free_address();
    let bus = Bus::connect(&Config::new(format!("nats://{address}")), "test").await.unwrap();
    assert!(matches!(bus.health(), State::Down(_)));
    let listener = TcpListener::bind(address).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(old_server(listener));
    eventually(SOON, || async { bus.health() == State::Refused("2.9.10".to_owned()) }).await;
    assert!(matches!(bus.ready().await, Err(Error::ServerTooOld { .. })));
    assert!(matches!(bus::topology::ensure(&bus).await, Err(Error::ServerTooOld { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_server_is_waited_for_and_health_tells() {
    let mut nats = Nats::start().await;
    nats.kill9().await;
    let bus = Bus::connect(&Config::new(nats.url()), "test").await.unwrap();
    let health = chassis::Health::new();
    let component = health.component("bus");
    let mut tasks = JoinSet::new();
    let reporting = bus.clone();
    tasks.spawn(async move { reporting.report(component).await });
    eventually(SOON, || async { !health.ready() }).await;
    tokio::time::timeout(Duration::from_secs(1), bus.ping("log")).await.expect("a ping never waits");
    nats.restart().await;
    bus.ready().await.unwrap();
    eventually(SOON, || async { health.ready() }).await;
    nats.kill9().await;
    eventually(SOON, || async { !health.ready() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_addresses_and_passwords_are_named_without_the_password() {
    for url in ["", " , ", "nats://me:secret@host:port"] {
        let error = Bus::connect(&Config::new(url), "test").await.unwrap_err();
        assert!(matches!(error, Error::Config(_)));
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let nats = Nats::start().await;
    let wrong = format!("nats://eventus:wrong@127.0.0.1:{}", nats.port());
    let bus = Bus::connect(&Config::new(wrong), "test").await.unwrap();
    let State::Down(reason) = bus.health() else { panic!("{:?}", bus.health()) };
    assert!(reason.contains("authorization"), "{reason}");
}

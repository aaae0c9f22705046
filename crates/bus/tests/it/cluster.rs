//! Three servers and a stream with three copies: a hole in the chain and the death of a leader.

use std::fmt::Write as _;
use std::time::Duration;

use bus::{Bus, Config, Error, Marks, Publisher, Resume};
use futures_util::StreamExt as _;
use testkit::{Nats, eventually, free_address};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::world::{Effects, Log, Memory, SOON, quick, relay};

struct Cluster {
    servers: Vec<Nats>,
    config: Config,
}

impl Cluster {
    async fn start() -> Self {
        let routes = [free_address(), free_address(), free_address()];
        let mut servers = Vec::new();
        for (n, address) in routes.iter().enumerate() {
            let mut extra =
                format!("server_name: n{n}\ncluster {{\n  name: c\n  listen: \"{address}\"\n  routes: [");
            for route in &routes {
                let _ = write!(extra, "\"nats://{route}\", ");
            }
            extra.push_str("]\n}\nauthorization { user: c, password: c }\n");
            servers.push(Nats::start_with(&extra).await);
        }
        let urls: Vec<String> =
            servers.iter().map(|server| format!("nats://c:c@127.0.0.1:{}", server.port())).collect();
        let config = Config { replicas: 3, ..Config::new(urls.join(",")) };
        Self { servers, config }
    }

    async fn bus(&self) -> Bus {
        Bus::connect(&self.config, "test").await.unwrap()
    }

    /// Index of the server that leads the stream.
    async fn leader(&self, bus: &Bus) -> Option<usize> {
        let stream = bus.jetstream().get_stream("EVENTS").await.ok()?;
        let leader = stream.cached_info().cluster.as_ref()?.leader.clone()?;
        leader.strip_prefix('n')?.parse().ok()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_and_the_death_of_a_leader_leave_a_stream_that_goes_on() {
    let mut cluster = Cluster::start().await;
    let bus = cluster.bus().await;
    eventually(SOON, || async { bus::topology::ensure(&bus).await.is_ok() }).await;
    let log = Log::default();
    log.fill(1000, 10);
    let all = log.all().clone();
    let mut publisher = Publisher::new(bus.clone(), Uuid::from_u128(1));
    publisher.resume(Marks::default()).await.unwrap();
    let published = publisher.publish(&all[..500]).await;
    assert_eq!(published.acked, 500, "{:?}", published.error);

    // A hole: the first of a hundred gets lost on the way. Nothing of the rest may be stored.
    let mut inbox = bus.client().subscribe("lost.*").await.unwrap();
    for (n, event) in all[500..600].iter().enumerate().skip(1) {
        let mut message = bus::envelope::encode("", "/eventus/x", event).unwrap();
        message.headers.insert("Nats-Expected-Last-Sequence", (500 + n).to_string());
        let reply = format!("lost.{n}");
        let (subject, headers, body) = (message.subject, message.headers, message.body);
        bus.client().publish_with_reply_and_headers(subject, reply, headers, body).await.unwrap();
    }
    for _ in 1..100 {
        let answer = tokio::time::timeout(SOON, inbox.next()).await.unwrap().unwrap();
        assert!(answer.payload.windows(5).any(|part| part == b"10071"), "{:?}", answer.payload);
    }
    let after = publisher.publish(&all[500..600]).await;
    assert_eq!(after.acked, 100, "the stream goes on after the mismatches: {:?}", after.error);

    // The leader dies in the middle of a run.
    let leader = cluster.leader(&bus).await.unwrap();
    let (published, ()) = tokio::join!(publisher.publish(&all[600..]), cluster.servers[leader].kill9());
    let marks = published.marks.or(after.marks).unwrap();
    let mut acked = 600 + published.acked;
    eventually(SOON, || async { cluster.leader(&bus).await.is_some_and(|now| now != leader) }).await;
    while acked < 1000 {
        match publisher.resume(marks).await {
            Ok(Resume::Behind { position, .. }) => {
                assert!(position as usize >= acked, "what was acknowledged is there: {position} of {acked}");
                acked = position as usize;
                acked += publisher.publish(&all[acked..]).await.acked;
            }
            Ok(other) => panic!("{other:?}"),
            Err(Error::ChainLost(reason)) => panic!("{reason}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    cluster.servers[leader].restart().await;
    let stream = bus.jetstream().get_stream("EVENTS").await.unwrap();
    let state = stream.cached_info().state.clone();
    assert_eq!((state.first_sequence, state.last_sequence, state.messages), (1, 1000, 1000));
    for sequence in [1, 500, 501, 550, 551, 600, 601, 1000] {
        let message = stream.get_raw_message(sequence).await.unwrap();
        assert_eq!(bus::envelope::place(&message.headers).unwrap().position, sequence as i64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn relay_and_consumer_ride_through_the_death_of_leaders() {
    let mut cluster = Cluster::start().await;
    let bus = cluster.bus().await;
    eventually(SOON, || async { bus::topology::ensure(&bus).await.is_ok() }).await;
    let log = Log::default();
    let memory = Memory::of(&log);
    let effects = Effects::default();
    let health = chassis::Health::new();
    let component = health.component("consumer");
    let mut tasks = JoinSet::new();
    tasks.spawn(relay(cluster.bus().await, log.clone(), 0));
    let (own, handler, mine) = (cluster.bus().await, effects.clone(), memory.clone());
    tasks.spawn(async move {
        let shutdown = chassis::Shutdown::new();
        bus::consumer::run(own, quick(|_| {}), mine, handler, shutdown, component).await.unwrap();
    });
    log.fill(2000, 20);
    effects.until(100).await;
    let leader = cluster.leader(&bus).await.unwrap();
    cluster.servers[leader].kill9().await;
    log.fill(100, 20);
    effects.until(2100).await;
    cluster.servers[leader].restart().await;
    log.fill(100, 20);
    effects.until(2200).await;
    assert_eq!(effects.check_order(), 2200);
    eventually(SOON, || async { memory.mark() == 2200 }).await;
}

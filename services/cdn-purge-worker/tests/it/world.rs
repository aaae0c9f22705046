//! A database, a nats-server, a relay, and purge workers on top of them.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use cdn_purge_worker::{Cdn, Config, Links, Token};
use chassis::{Runtime, Shutdown};
use event_store::NewEvent;
use model::{RandomIds, SystemClock};
use outbound::{Schedule, Url};
use testkit::{Sink, process};

pub struct World {
    servers: testkit::World,
    pub cdn: Sink,
}

impl Deref for World {
    type Target = testkit::World;

    fn deref(&self) -> &testkit::World {
        &self.servers
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut testkit::World {
        &mut self.servers
    }
}

impl World {
    pub async fn start() -> Self {
        let servers = testkit::World::start("purge-test").await;
        servers.relay().await;
        Self { servers, cdn: Sink::start().await }
    }

    /// All of the user's collections, quick repetition, a short window.
    pub fn config(&self) -> Config {
        let default = Config::default();
        let delays = [100, 200, 400].map(Duration::from_millis).to_vec();
        let url = Url::parse(&self.cdn.url("/zone/7/")).unwrap();
        Config {
            cdn: Some(Cdn { url, token: Token::new("s3cret") }),
            collections: vec!["*".to_owned()],
            outbound: outbound::Config {
                allow: outbound::Config::parse_allow(&["127.0.0.1".to_owned()]).unwrap(),
                timeout: Duration::from_secs(2),
                ..default.outbound
            },
            schedule: Schedule { delays, overload: Duration::from_millis(200) },
            window: Duration::from_millis(100),
            ..default
        }
    }

    /// Starts a worker and waits until it is ready.
    pub async fn worker(&self, config: Config) -> Runtime {
        let runtime = Runtime::new(Shutdown::new());
        let links = Links {
            db: self.db.clone(),
            bus: self.bus.clone(),
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
        };
        runtime.tasks.spawn("cdn-purge", cdn_purge_worker::run(config, links, runtime.child()));
        process::ready(&runtime).await;
        runtime
    }

    /// Appends an event of this name for each key.
    pub async fn append(&self, name: &str, keys: &[&str]) {
        let events: Vec<NewEvent> = keys.iter().map(|key| event(name, key)).collect();
        self.commit(&events).await;
    }

    /// Waits until the worker has done with all events of the log and the CDN with all purges.
    pub async fn settled(&self) {
        self.caught_up("cdn-purge").await;
        self.until("SELECT count(*) FROM eventus.purges WHERE state IN ('pending', 'sending')", 0).await;
    }

    /// What the CDN was asked for so far.
    pub fn paths(&self) -> Vec<String> {
        let mut paths: Vec<String> = self.cdn.requests().into_iter().map(|request| request.path).collect();
        paths.sort();
        paths
    }
}

pub fn event(name: &str, key: &str) -> NewEvent {
    let collection = if name.starts_with("files.") { "directus_files" } else { "articles" };
    testkit::new_event(name, collection, key)
}

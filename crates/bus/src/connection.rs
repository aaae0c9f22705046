//! The connection to the broker: made in the background, kept for ever, and refused when the server is too old.

use std::str::FromStr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State as ConnectionState;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use percent_encoding::percent_decode_str;
use tokio::sync::Notify;

use crate::{Config, Error, config, users};

/// The oldest server that does what we rely on. 2.9 silently ignores `filter_subjects`.
const MINIMUM: (u32, u32, &str) = (2, 12, "2.12.0");

/// How long `connect` waits for the first connection before it leaves it to the background.
const FIRST: Duration = Duration::from_secs(2);

/// How long an answer may take: in a cluster without a leader none comes, and asking again is what helps.
const ANSWER: Duration = Duration::from_secs(3);

/// The connection to the broker. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Bus {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    context: Context,
    config: Config,
    notice: Arc<Notice>,
}

/// What the connection's task tells us.
#[derive(Default)]
struct Notice {
    changed: Notify,
    reason: Mutex<Option<String>>,
}

/// How the connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Connected to a server that will do.
    Up,
    /// Not connected, with the last reason; it is tried again and again.
    Down(String),
    /// Connected to a server that is too old (its version): nothing is sent to it.
    Refused(String),
}

impl Bus {
    /// Connects under this name (shown in the server's connection list). An absent server is no error: the
    /// connection is made in the background.
    ///
    /// # Errors
    /// [`Error::Config`] when the address does not fit, [`Error::ServerTooOld`] when the server answers within
    /// two seconds and is too old. One that turns up later is refused by each operation and by `health`.
    pub async fn connect(config: &Config, name: &str) -> Result<Self, Error> {
        if !config::prefix_fits(&config.prefix) {
            return Err(Error::Config("the subject prefix does not fit".to_owned()));
        }
        let servers = config.url.split(',').map(str::trim).filter(|part| !part.is_empty());
        let servers: Result<Vec<ServerAddr>, _> = servers.map(ServerAddr::from_str).collect();
        // The parser's own text may repeat the address with its password.
        let servers = servers.map_err(|_| Error::Config("NATS_URL is not an address".to_owned()))?;
        if servers.is_empty() {
            return Err(Error::Config("NATS_URL holds no address".to_owned()));
        }
        let notice = Arc::new(Notice::default());
        // The client takes no credentials from addresses: those of the first address are for all.
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let options = match (servers[0].username(), servers[0].password()) {
            (Some(user), Some(password)) => {
                let user = decoded(user);
                // Answers come where nobody else may listen.
                let options = options(name, notice.clone()).custom_inbox_prefix(users::inbox(&user));
                options.user_and_password(user, decoded(password))
            }
            (Some(token), None) => options(name, notice.clone()).token(decoded(token)),
            (None, _) => options(name, notice.clone()),
        };
        let client = options.connect(servers).await;
        let client = client.map_err(|error| Error::Config(error.to_string()))?;
        let context = ContextBuilder::new()
            .timeout(Duration::from_secs(5))
            .max_ack_inflight(1000)
            .build(client.clone());
        let bus = Self { inner: Arc::new(Inner { client, context, config: config.clone(), notice }) };
        match tokio::time::timeout(FIRST, bus.ready()).await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) | Err(_) => Ok(bus),
        }
    }

    /// How the connection is now.
    pub fn health(&self) -> State {
        let client = &self.inner.client;
        if client.connection_state() != ConnectionState::Connected {
            let reason = self.inner.notice.reason.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return State::Down(reason.unwrap_or_else(|| "connecting".to_owned()));
        }
        match client.try_server_info() {
            Some(server) if new_enough(&server.version) => State::Up,
            Some(server) => State::Refused(server.version),
            None => State::Down("connecting".to_owned()),
        }
    }

    /// Waits until the connection is up.
    ///
    /// # Errors
    /// [`Error::ServerTooOld`]; waiting longer is of no use then.
    pub async fn ready(&self) -> Result<(), Error> {
        loop {
            let changed = self.changed();
            match self.health() {
                State::Up => return Ok(()),
                State::Refused(found) => return Err(Error::ServerTooOld { found, needed: MINIMUM.2 }),
                State::Down(_) => changed.await,
            }
        }
    }

    /// Keeps a component's health in step with the connection, until it is dropped. Spawn it.
    pub async fn report(&self, component: chassis::Component) {
        loop {
            let changed = self.changed();
            match self.health() {
                State::Up => component.up(),
                State::Down(reason) => component.down(reason),
                State::Refused(found) => {
                    component.down(Error::ServerTooOld { found, needed: MINIMUM.2 }.to_string());
                }
            }
            changed.await;
        }
    }

    /// The settings it was made with.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The connection itself, for what this crate has no word for.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// JetStream on this connection.
    pub fn jetstream(&self) -> &Context {
        &self.inner.context
    }

    /// Up now, or an error.
    pub(crate) fn require(&self) -> Result<(), Error> {
        match self.health() {
            State::Up => Ok(()),
            State::Down(reason) => Err(Error::Unavailable(reason)),
            State::Refused(found) => Err(Error::ServerTooOld { found, needed: MINIMUM.2 }),
        }
    }

    /// Grows with every connection: what was under way on an earlier one may be lost.
    pub(crate) fn generation(&self) -> u64 {
        self.inner.client.statistics().connects.load(Ordering::Relaxed)
    }

    /// Resolves when the state may have changed. The state moves a moment after the notice, and a notice may be
    /// dropped, so it looks again after a while in any case.
    async fn changed(&self) {
        let _ = tokio::time::timeout(Duration::from_millis(50), self.inner.notice.changed.notified()).await;
    }
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus").field("config", &self.inner.config).field("state", &self.health()).finish()
    }
}

fn options(name: &str, notice: Arc<Notice>) -> ConnectOptions {
    ConnectOptions::new()
        .name(name)
        .retry_on_initial_connect()
        .connection_timeout(Duration::from_secs(2))
        .ping_interval(Duration::from_secs(5))
        .request_timeout(Some(ANSWER))
        .reconnect_delay_callback(|attempts| match attempts {
            0 | 1 => Duration::ZERO,
            // Some spread, so that a fleet does not come back in step.
            more => Duration::from_millis((20 * more as u64).min(500)),
        })
        .event_callback(move |event| {
            let notice = notice.clone();
            async move { notice.take(&event) }
        })
}

impl Notice {
    fn take(&self, event: &Event) {
        match event {
            Event::Connected => tracing::info!("bus connected"),
            Event::Disconnected => tracing::warn!("bus disconnected"),
            Event::SlowConsumer(_) | Event::ServerError(_) => tracing::warn!(%event, "bus"),
            _ => tracing::debug!(%event, "bus"),
        }
        let reason = match event {
            Event::Connected => None,
            other => Some(other.to_string()),
        };
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = reason;
        self.changed.notify_waiters();
    }
}

fn new_enough(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split(['.', '-']).map(|part| part.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= (MINIMUM.0, MINIMUM.1),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::new_enough;

    #[test]
    fn versions_are_compared_as_numbers() {
        for good in ["2.12.0", "2.15.1", "v2.12.3", "2.100.0", "3.0.0", "2.13.0-RC.1"] {
            assert!(new_enough(good), "{good}");
        }
        for old in ["2.9.10", "2.11.99", "1.99.0", "", "two", "2"] {
            assert!(!new_enough(old), "{old}");
        }
    }
}

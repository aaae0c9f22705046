//! Streams and subjects as data, and the one place that makes them on the server.

use std::time::{Duration, Instant};

use async_nats::Subject;
use async_nats::header::{HeaderMap, HeaderValue, NATS_EXPECTED_LAST_MESSAGE_ID, NATS_MESSAGE_ID};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{
    ConsumerInfoErrorKind, CreateStreamError, CreateStreamErrorKind, GetStreamErrorKind, PublishErrorKind,
};
use async_nats::jetstream::stream::{
    Config as StreamConfig, DiscardPolicy, RawMessageErrorKind, RetentionPolicy, StorageType, Stream,
};
use bytes::Bytes;

use crate::{Bus, Config, Error, subject};

/// Name of the stream, behind `PREFIX_` when there is a prefix.
pub const STREAM: &str = "EVENTS";

/// What the stream captures. Pings (`eventus.ping.*`) are not among it.
pub const SUBJECTS: &[&str] = &[
    "items.>",
    "users.>",
    "files.>",
    "auth.>",
    "collections.>",
    "fields.>",
    "relations.>",
    "roles.>",
    "policies.>",
    "access.>",
    "api_keys.>",
    "permissions.>",
    "settings.>",
    "flows.>",
    "operations.>",
    "folders.>",
    "presets.>",
    "notifications.>",
    "dashboards.>",
    "panels.>",
    "translations.>",
    "shares.>",
    "versions.>",
    "comments.>",
    "activity.>",
    "revisions.>",
    "extensions.>",
    "webhooks.>",
    "custom.>",
];

/// How long the server remembers message ids: a first net under the chain.
pub const DUPLICATE_WINDOW: Duration = Duration::from_mins(2);

/// How long the server may take to forget message ids.
const FORGET: Duration = Duration::from_secs(10);

/// A message is at most this long, headers and body together.
pub const MAX_MESSAGE: usize = 262_144;

/// Name of the stream for this prefix: `EVENTS`, `ACME_EVENTS`.
pub fn stream_name(prefix: &str) -> String {
    if prefix.is_empty() { STREAM.to_owned() } else { format!("{}_{STREAM}", prefix.to_ascii_uppercase()) }
}

/// The stream as it is to be.
pub fn stream(config: &Config) -> StreamConfig {
    StreamConfig {
        name: stream_name(&config.prefix),
        description: Some("A rebuildable copy of the event log; only the relay writes".to_owned()),
        subjects: SUBJECTS.iter().map(|pattern| subject::prefixed(&config.prefix, pattern)).collect(),
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        max_age: config.max_age,
        max_bytes: i64::try_from(config.max_bytes).ok().filter(|bytes| *bytes > 0).unwrap_or(-1),
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        max_message_size: MAX_MESSAGE as i32,
        num_replicas: config.replicas,
        duplicate_window: DUPLICATE_WINDOW.min(config.max_age),
        allow_direct: true,
        // Erasure deletes messages, and a reset of the relay purges. A hole breaks no chain, but for the last message.
        deny_delete: false,
        ..StreamConfig::default()
    }
}

/// Makes the stream, or brings its settings up to date. Idempotent; of several callers all succeed.
pub async fn ensure(bus: &Bus) -> Result<(), Error> {
    bus.ready().await?;
    let wanted = stream_as_made(bus).await?;
    match bus.jetstream().create_or_update_stream(wanted).await {
        Ok(_) => Ok(()),
        Err(error) => Err(refused("making the stream", error)),
    }
}

/// The stream as it is to be, but for what can't be changed once it is made: the server takes no leave to delete back.
async fn stream_as_made(bus: &Bus) -> Result<StreamConfig, Error> {
    let present = look(bus).await?;
    let deny_delete = present.is_some_and(|present| present.cached_info().config.deny_delete);
    Ok(StreamConfig { deny_delete, ..stream(bus.config()) })
}

/// Makes the stream if there is none, and leaves one that is there as it is.
pub async fn ensure_present(bus: &Bus) -> Result<(), Error> {
    bus.ready().await?;
    if look(bus).await?.is_some() {
        return Ok(());
    }
    match bus.jetstream().create_stream(stream(bus.config())).await {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            // Somebody else was faster, with other settings.
            CreateStreamErrorKind::JetStream(answer)
                if answer.error_code() == ErrorCode::STREAM_NAME_EXIST =>
            {
                Ok(())
            }
            _ => Err(refused("making the stream", error)),
        },
    }
}

/// The stream as its leader knows it now. `None`: there is none.
pub(crate) async fn look(bus: &Bus) -> Result<Option<Stream>, Error> {
    bus.require()?;
    match bus.jetstream().get_stream(stream_name(&bus.config().prefix)).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(answer) if answer.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                Ok(None)
            }
            GetStreamErrorKind::Request => Err(Error::Unavailable(error.to_string())),
            _ => Err(Error::refused("reading the stream", error)),
        },
    }
}

/// How a durable consumer stands on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerSight {
    /// Its name.
    pub name: String,
    /// Stream sequence up to which everything is acknowledged.
    pub ack_floor: u64,
    /// Messages that were not delivered yet.
    pub pending: u64,
    /// Delivered, not acknowledged.
    pub in_flight: u64,
    /// Whether a process takes messages.
    pub active: bool,
}

/// How the durable consumers of these names stand, as far as there are such.
pub async fn consumers(bus: &Bus, names: &[String]) -> Result<Vec<ConsumerSight>, Error> {
    let Some(stream) = look(bus).await? else { return Ok(Vec::new()) };
    let mut seen = Vec::with_capacity(names.len());
    for name in names {
        let info = match stream.consumer_info(name).await {
            Ok(info) => info,
            Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => continue,
            Err(error) => return Err(Error::Unavailable(error.to_string())),
        };
        seen.push(ConsumerSight {
            name: name.clone(),
            ack_floor: info.ack_floor.stream_sequence,
            pending: info.num_pending,
            in_flight: info.num_ack_pending as u64,
            active: info.priority_groups.iter().any(|group| group.pinned_client_id.is_some()),
        });
    }
    Ok(seen)
}

/// The last message's subject and id: what the server forgets last. `None` when there is no such message.
pub(crate) async fn last_id(bus: &Bus) -> Result<Option<(Subject, HeaderValue)>, Error> {
    let Some(stream) = look(bus).await? else { return Ok(None) };
    let state = &stream.cached_info().state;
    if state.messages == 0 {
        return Ok(None);
    }
    match stream.get_raw_message(state.last_sequence).await {
        Ok(message) => {
            let id = message.headers.get(NATS_MESSAGE_ID).cloned();
            Ok(id.map(|id| (message.subject, id)))
        }
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(Error::refused("reading the stream's last message", error)),
    }
}

/// Makes the server forget all message ids, by a window that is over at once; `last` is the youngest of them.
/// `ensure` puts the window right again.
pub(crate) async fn forget_ids(bus: &Bus, last: Option<(Subject, HeaderValue)>) -> Result<(), Error> {
    let begun = Instant::now();
    let mut window = Duration::from_millis(100);
    loop {
        let shrunk = StreamConfig { duplicate_window: window, ..stream_as_made(bus).await? };
        let updated = bus.jetstream().update_stream(shrunk).await;
        updated.map_err(|error| refused("changing the stream", error))?;
        // The server looks once per window.
        tokio::time::sleep(window * 5).await;
        match &last {
            Some((subject, id)) if remembers(bus, subject, id).await? => {}
            _ => return Ok(()),
        }
        if begun.elapsed() > FORGET {
            return Err(Error::Unavailable("the server does not forget message ids".to_owned()));
        }
        // A busy server may look just before it takes the new window, and then not for as long as the old one:
        // it takes note of a change only.
        window += Duration::from_millis(1);
    }
}

/// Whether the server would take a message with this id for a duplicate. It looks at the id first and
/// at the id of the message before then; that one never is, so nothing is stored.
async fn remembers(bus: &Bus, subject: &Subject, id: &HeaderValue) -> Result<bool, Error> {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, id.clone());
    headers.insert(NATS_EXPECTED_LAST_MESSAGE_ID, "never");
    let sent = bus.jetstream().publish_with_headers(subject.clone(), headers, Bytes::new()).await;
    let answer = match sent {
        Ok(answer) => answer.await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(ack) => Ok(ack.duplicate),
        Err(error) if error.kind() == PublishErrorKind::WrongLastMessageId => Ok(false),
        Err(error) => Err(Error::refused("asking for a message id", error)),
    }
}

fn refused(action: &'static str, error: CreateStreamError) -> Error {
    match error.kind() {
        CreateStreamErrorKind::TimedOut | CreateStreamErrorKind::JetStreamUnavailable => {
            Error::Unavailable(error.to_string())
        }
        _ => Error::refused(action, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_in_every_name() {
        let mut config = Config::new("nats://host");
        assert_eq!(stream(&config).name, "EVENTS");
        assert_eq!(stream(&config).subjects[0], "items.>");
        config.prefix = "acme".to_owned();
        assert_eq!(stream(&config).name, "ACME_EVENTS");
        assert_eq!(stream(&config).subjects[0], "acme.items.>");
        assert!(!SUBJECTS.iter().any(|pattern| subject::matches(pattern, "eventus.ping.log")));
    }
}

//! Streams and subjects as data, and the one place that makes them on the server.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{
    Config as StreamConfig, DiscardPolicy, RetentionPolicy, StorageType, Stream,
};

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
        // A hole would break the chain. Purging stays possible: a reset of the relay does it.
        deny_delete: true,
        ..StreamConfig::default()
    }
}

/// Makes the stream, or brings its settings up to date. Idempotent; of several callers all succeed.
pub async fn ensure(bus: &Bus) -> Result<(), Error> {
    bus.ready().await?;
    let wanted = stream(bus.config());
    match bus.jetstream().create_or_update_stream(wanted).await {
        Ok(_) => Ok(()),
        Err(error) => Err(refused("making the stream", error)),
    }
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

/// Makes the server forget all message ids, by a window that is over at once. `ensure` puts the window right again.
pub(crate) async fn forget_ids(bus: &Bus) -> Result<(), Error> {
    let window = Duration::from_millis(100);
    let shrunk = StreamConfig { duplicate_window: window, ..stream(bus.config()) };
    let updated = bus.jetstream().update_stream(shrunk).await;
    updated.map_err(|error| refused("changing the stream", error))?;
    // There is nothing to ask whether it has forgotten; it looks once per window.
    tokio::time::sleep(window * 5).await;
    Ok(())
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

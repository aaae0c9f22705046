//! Dead letters on the bus, for programs outside: a stream that holds what the table holds, one message for each letter
//! that waits. The table is the truth; the stream is made anew from it.

use async_nats::HeaderMap;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{
    Config as StreamConfig, DiscardPolicy, RetentionPolicy, StorageType, Stream,
};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use model::EventName;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Bus, Config, Error, envelope, subject, topology};

/// Name of the stream, behind `PREFIX_` when there is a prefix.
pub const STREAM: &str = "DEAD_LETTERS";

/// What it captures.
pub const SUBJECTS: &str = "dlq.>";

/// Stands for the event in a subject when the log no longer has it.
const GONE: &str = "gone";

/// Name of the stream for this prefix: `DEAD_LETTERS`, `ACME_DEAD_LETTERS`.
pub fn stream_name(prefix: &str) -> String {
    if prefix.is_empty() { STREAM.to_owned() } else { format!("{}_{STREAM}", prefix.to_ascii_uppercase()) }
}

/// The stream as it is to be: a letter stays as long as it waits, and its newest word replaces the one before.
pub fn stream(config: &Config) -> StreamConfig {
    StreamConfig {
        name: stream_name(&config.prefix),
        description: Some("A copy of the dead letters that wait; only Eventus writes".to_owned()),
        subjects: vec![subject::prefixed(&config.prefix, SUBJECTS)],
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        max_messages: -1,
        max_messages_per_subject: 1,
        max_bytes: -1,
        max_consumers: -1,
        max_message_size: topology::MAX_MESSAGE as i32,
        num_replicas: config.replicas,
        duplicate_window: topology::DUPLICATE_WINDOW,
        allow_direct: true,
        ..StreamConfig::default()
    }
}

/// Where a letter stands: `dlq.<consumer>.<the event's subject>.<the event's id>`.
pub fn subject_of(prefix: &str, consumer: &str, event: Option<(&EventName, &str)>, id: Uuid) -> String {
    let event = event.map_or_else(|| GONE.to_owned(), |(name, collection)| subject::plain(name, collection));
    subject::prefixed(prefix, &format!("dlq.{}.{event}.{id}", subject::escape(consumer)))
}

/// One letter as a message.
#[derive(Debug, Clone)]
pub struct Message {
    /// See [`subject_of`].
    pub subject: String,
    /// Consumer that gave the event up.
    pub consumer: String,
    /// Id of the event.
    pub id: Uuid,
    /// Attempts so far.
    pub attempts: i32,
    /// JSON.
    pub body: Vec<u8>,
}

/// The stream, as it was a moment ago.
#[derive(Debug)]
pub struct Letters {
    bus: Bus,
    stream: Stream,
    source: String,
}

impl Letters {
    /// Finds the stream, or makes it. `epoch` is the log's.
    ///
    /// # Errors
    /// The broker is away or refuses.
    pub async fn open(bus: &Bus, epoch: Uuid) -> Result<Self, Error> {
        bus.require()?;
        let source = envelope::source(epoch);
        let name = stream_name(&bus.config().prefix);
        let found = match bus.jetstream().get_stream(&name).await {
            Ok(stream) => Some(stream),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(answer)
                    if answer.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    None
                }
                GetStreamErrorKind::Request => return Err(Error::Unavailable(error.to_string())),
                _ => return Err(Error::refused("reading the stream of dead letters", error)),
            },
        };
        let stream = match found {
            Some(stream) => stream,
            None => bus.jetstream().create_stream(stream(bus.config())).await.map_err(|error| match error
                .kind()
            {
                CreateStreamErrorKind::TimedOut | CreateStreamErrorKind::JetStreamUnavailable => {
                    Error::Unavailable(error.to_string())
                }
                _ => Error::refused("making the stream of dead letters", error),
            })?,
        };
        Ok(Self { bus: bus.clone(), stream, source })
    }

    /// When it was made: another moment is another stream, and what was told to the one before is not in it.
    pub fn created(&self) -> OffsetDateTime {
        self.stream.cached_info().created
    }

    /// How many letters it holds.
    ///
    /// # Errors
    /// The broker is away.
    pub async fn count(&mut self) -> Result<u64, Error> {
        let info = self.stream.info().await.map_err(|error| Error::Unavailable(error.to_string()))?;
        Ok(info.state.messages)
    }

    /// Tells letters; all of them are in the stream when this is `Ok`.
    ///
    /// # Errors
    /// The broker is away or refuses; some may be in the stream then.
    pub async fn tell(&self, letters: Vec<Message>) -> Result<(), Error> {
        let mut acks = Vec::with_capacity(letters.len());
        for letter in letters {
            let (id, consumer) = (letter.id, &letter.consumer);
            let mut headers = HeaderMap::new();
            headers.insert("ce-specversion", "1.0");
            headers.insert("ce-id", format!("{id}/{consumer}/{}", letter.attempts));
            headers.insert("ce-type", format!("dlq.{consumer}"));
            headers.insert("ce-source", self.source.as_str());
            headers.insert("ce-subject", id.to_string());
            headers.insert("ce-datacontenttype", "application/json");
            let body = Bytes::from(letter.body);
            let sent = self.bus.jetstream().publish_with_headers(letter.subject, headers, body).await;
            acks.push(sent.map_err(|error| Error::Unavailable(error.to_string()))?);
        }
        for ack in acks {
            ack.await.map_err(|error| Error::refused("telling dead letters", error))?;
        }
        Ok(())
    }

    /// Subjects of the letters that it holds.
    ///
    /// # Errors
    /// The broker is away.
    pub async fn subjects(&self) -> Result<Vec<String>, Error> {
        let away = |error: &dyn std::fmt::Display| Error::Unavailable(error.to_string());
        let subjects = self.stream.info_with_subjects(">").await.map_err(|error| away(&error))?;
        subjects.map_ok(|(subject, _)| subject).try_collect().await.map_err(|error| away(&error))
    }

    /// Takes a letter out.
    ///
    /// # Errors
    /// The broker is away or refuses.
    pub async fn remove(&self, subject: &str) -> Result<(), Error> {
        let purged = self.stream.purge().filter(subject).await;
        purged.map(drop).map_err(|error| Error::refused("taking out a dead letter", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_has_a_subject_of_its_own() {
        let (id, name) = (Uuid::from_u128(7), EventName::new("items", "update"));
        let told = |prefix, event| subject_of(prefix, "webhooks", event, id);
        let at = "00000000-0000-0000-0000-000000000007";
        assert_eq!(told("", Some((&name, "a.b"))), format!("dlq.webhooks.items.update.a%2Eb.{at}"));
        let login = EventName::new("auth", "login");
        assert_eq!(
            told("acme", Some((&login, "directus_users"))),
            format!("acme.dlq.webhooks.auth.login.{at}")
        );
        assert_eq!(told("", None), format!("dlq.webhooks.gone.{at}"));
        assert!(!topology::SUBJECTS.iter().any(|pattern| subject::matches(pattern, "dlq.webhooks.gone")));
    }
}

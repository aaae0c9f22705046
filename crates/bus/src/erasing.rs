//! Messages taken out of the stream because the log no longer holds what stands in them.
//!
//! The server overwrites what it deletes. A hole in the middle breaks no chain, and who still has to get such a message
//! must not lose it: the caller says which events all consumers of ours are past.

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use model::Event;

use crate::{Bus, Error, envelope, subject, topology};

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    /// Positions whose event stands in the stream no more otherwise than it was given.
    pub settled: Vec<i64>,
    /// How many messages were taken out.
    pub messages: u64,
}

/// Takes out the messages of these events (in order, as the log has them now) that say anything else than these events.
/// The last message of the stream stays where it is, since the chain hangs on it: its event is not settled yet.
///
/// A stream that was made when no message could be deleted is emptied up to the event instead.
///
/// # Errors
/// The broker is away or refuses; nothing is settled then that was not done.
pub async fn erase(bus: &Bus, events: &[Event]) -> Result<Erased, Error> {
    let mut erased = Erased::default();
    let Some(stream) = topology::look(bus).await? else {
        // Whoever makes it anew fills it from the log.
        erased.settled = events.iter().map(|event| event.position).collect();
        return Ok(erased);
    };
    let prefix = &bus.config().prefix;
    let last = stream.cached_info().state.last_sequence;
    let mut search = Search::over(&stream, prefix);
    for event in events {
        if let Some(message) = search.find(event.position).await?
            && is_stale(prefix, &message, event)?
        {
            if message.sequence >= last {
                continue;
            }
            take_out(&stream, message.sequence).await?;
            erased.messages += 1;
        }
        erased.settled.push(event.position);
    }
    Ok(erased)
}

/// Empties the stream up to a position, for more messages than can be taken out one by one: the server syncs its disk for
/// each. The last message stays. Gives the position up to which nothing is left.
///
/// # Errors
/// The broker is away or refuses.
pub async fn empty(bus: &Bus, upto: i64) -> Result<i64, Error> {
    let Some(stream) = topology::look(bus).await? else { return Ok(upto) };
    let search = Search::over(&stream, &bus.config().prefix);
    let (mut low, mut high) = (search.low, search.end);
    while low < high {
        let middle = low + (high - low) / 2;
        match search.at_or_behind(middle).await? {
            Some(message) if position_of(&message) <= upto => low = message.sequence + 1,
            _ => high = middle,
        }
    }
    // Everything before this sequence is at or below the position.
    let last = stream.cached_info().state.last_sequence;
    let purged = stream.purge().sequence(low.min(last)).await;
    purged.map_err(|error| Error::refused("emptying the stream", error))?;
    match search.at_or_behind(last).await? {
        Some(message) if low > last => Ok(upto.min(position_of(&message) - 1)),
        _ => Ok(upto),
    }
}

/// Whether the message says anything else than the event.
fn is_stale(prefix: &str, message: &StreamMessage, event: &Event) -> Result<bool, Error> {
    let place = envelope::place(&message.headers)?;
    let now = envelope::encode(prefix, &place.source, event)?;
    Ok(place.id == event.id && message.payload != now.body)
}

async fn take_out(stream: &Stream, sequence: u64) -> Result<(), Error> {
    if stream.cached_info().config.deny_delete {
        tracing::warn!(
            sequence,
            "messages of this stream can't be deleted one by one: it is emptied up to here"
        );
        let purged = stream.purge().sequence(sequence + 1).await;
        return purged.map(drop).map_err(|error| Error::refused("emptying the stream", error));
    }
    let deleted = stream.delete_message(sequence).await;
    deleted.map(drop).map_err(|error| Error::refused("deleting a message", error))
}

/// Positions grow with sequences: what is before one was found is not looked at for the next.
struct Search<'a> {
    stream: &'a Stream,
    filter: String,
    low: u64,
    end: u64,
}

/// Of a foreign message, which the relay will not bear: 0.
fn position_of(message: &StreamMessage) -> i64 {
    envelope::place(&message.headers).map_or(0, |place| place.position)
}

impl<'a> Search<'a> {
    fn over(stream: &'a Stream, prefix: &str) -> Self {
        let state = &stream.cached_info().state;
        let (low, end) = (state.first_sequence.max(1), state.last_sequence + 1);
        Self { stream, filter: subject::prefixed(prefix, ">"), low, end }
    }

    /// The message at a position; `None` when the stream does not hold it.
    async fn find(&mut self, position: i64) -> Result<Option<StreamMessage>, Error> {
        let (mut low, mut high) = (self.low, self.end);
        // Neighbours in the log are near in the stream: the first look is at the lowest.
        let mut middle = low;
        while low < high {
            let Some(message) = self.at_or_behind(middle).await? else {
                high = middle;
                middle = low + high.saturating_sub(low) / 2;
                continue;
            };
            let found = position_of(&message);
            if found == position {
                self.low = message.sequence;
                return Ok(Some(message));
            }
            if found > position {
                high = middle;
            } else {
                low = message.sequence + 1;
                // Each message is at least one position on.
                let apart = (position - found).unsigned_abs();
                high = high.min(message.sequence.saturating_add(apart).saturating_add(1));
            }
            middle = low + high.saturating_sub(low) / 2;
        }
        self.low = low.min(self.end);
        Ok(None)
    }

    /// The first message at this sequence or behind it.
    async fn at_or_behind(&self, sequence: u64) -> Result<Option<StreamMessage>, Error> {
        match self.stream.get_first_raw_message_by_subject(&self.filter, sequence).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(Error::refused("looking for a message", error)),
        }
    }
}

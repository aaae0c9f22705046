//! One delivered message, read once: the event, and where the broker says it stands.

use async_nats::header::NATS_PIN_ID;
use async_nats::{HeaderMap, Message, Subject};
use model::Event;

use crate::{Error, envelope};

/// An event as the broker handed it to us.
#[derive(Debug)]
pub(super) struct Delivery {
    pub event: Event,
    pub token: Token,
    /// The pin under which it came.
    pub pin: Option<String>,
}

/// Names a delivery towards the broker: answers go there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub reply: Subject,
    /// Place in the stream.
    pub stream_sequence: u64,
    /// Number of this delivery among all of the consumer; without gaps, whoever gets them.
    pub consumer_sequence: u64,
    /// How often this message has been delivered, from 1.
    pub deliveries: u64,
}

impl Token {
    /// Reads an ack subject:
    /// `$JS.ACK[.domain.account].stream.consumer.deliveries.stream_seq.consumer_seq.time.pending[.random]`.
    pub(super) fn parse(reply: &Subject) -> Option<Self> {
        let tokens: Vec<&str> = reply.split('.').collect();
        let at = match tokens.len() {
            9 => 4,
            11.. => 6,
            _ => return None,
        };
        if tokens[..2] != ["$JS", "ACK"] {
            return None;
        }
        let number = |index: usize| tokens[index].parse::<u64>().ok();
        Some(Self {
            reply: reply.clone(),
            deliveries: number(at)?,
            stream_sequence: number(at + 1)?,
            consumer_sequence: number(at + 2)?,
        })
    }
}

/// Reads a message. When it is no event of ours, the token still says where to answer.
pub(super) fn read(message: &Message) -> Result<Delivery, (Option<Token>, Error)> {
    let token = message.reply.as_ref().and_then(Token::parse);
    let Some(token) = token else { return Err((None, Error::Envelope("no ack subject".to_owned()))) };
    let event = match model::read_event(&message.payload) {
        Ok(event) => Ok(event),
        Err(model::ReadError::Newer(schema)) => {
            envelope::outline(message.headers.as_ref().unwrap_or(&HeaderMap::new()), schema)
        }
        Err(error) => Err(Error::Envelope(error.to_string())),
    };
    match event {
        Ok(event) => Ok(Delivery { event, token, pin: pin(message) }),
        Err(error) => Err((Some(token), error)),
    }
}

/// The pin in a message's headers. A foreign header of that name may precede the server's.
pub(super) fn pin(message: &Message) -> Option<String> {
    let value = message.headers.as_ref()?.get_last(NATS_PIN_ID)?;
    Some(value.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ack_subjects_of_both_forms_are_read() {
        for subject in [
            "$JS.ACK.EVENTS.w.2.17.9.1795389219701303522.3",
            "$JS.ACK.hub.ACC.EVENTS.w.2.17.9.1795389219701303522.3",
            "$JS.ACK._.ACC.EVENTS.w.2.17.9.1795389219701303522.3.xyz",
        ] {
            let token = Token::parse(&subject.into()).unwrap();
            assert_eq!((token.deliveries, token.stream_sequence, token.consumer_sequence), (2, 17, 9));
        }
        for foreign in ["", "_INBOX.a.b", "$JS.ACK.EVENTS.w.x.17.9.1.3", "a.b.c.d.e.f.g.h.i"] {
            assert_eq!(Token::parse(&foreign.into()), None, "{foreign}");
        }
    }
}

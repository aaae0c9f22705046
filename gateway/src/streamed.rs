//! Lists that are passed on as they come: a reader who is slow is waited for, and nothing but a part is held.
//!
//! What is small is sent whole, with its length. A failure after the answer has begun breaks the connection: a body that
//! looks whole is whole.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::try_unfold;
use model::{Error, Errors};
use proto::items::v1::stream_items_response::Part;
use proto::items::v1::{ReadItemsRequest, StreamHead, StreamItemsRequest, StreamItemsResponse};
use query::Export;
use tokio::time::Instant;
use tonic::Streaming;

use crate::answer;
use crate::caller::Caller;
use crate::export::{self, Encoder, Unreadable};
use crate::failure::Failure;
use crate::state::Gateway;

/// Bytes up to which an answer is sent whole.
const WHOLE: usize = 256 * 1024;
/// How long its beginning may be prepared before it begins all the same.
const SOON: Duration = Duration::from_secs(5);

/// Answers a list, in a form of its own if one is wanted.
pub async fn items(
    gateway: &Gateway,
    caller: &Caller,
    read: ReadItemsRequest,
    form: Option<Export>,
) -> Result<Response, Failure> {
    let name = read.collection.clone();
    let request = StreamItemsRequest { read: Some(read), rehearse: form.is_some_and(export::is_csv) };
    let mut parts = gateway.items().stream_items(gateway.call(caller, request)).await?.into_inner();
    let Some(StreamItemsResponse { part: Some(Part::Head(head)) }) = parts.message().await? else {
        return Err(Error::internal().into());
    };
    let mut list = List { writer: Writer::new(head, form), parts };
    let (begun, mut body) = (Instant::now(), String::new());
    let mut whole = false;
    while !whole && body.len() < WHOLE && begun.elapsed() < SOON {
        whole = !list.next(&mut body).await?;
    }
    let body = if whole { Body::from(body) } else { Body::from_stream(try_unfold(Some((list, body)), rest)) };
    Ok(match form {
        Some(form) => export::file(form, &name, gateway.clock.now(), body),
        None => answer::streamed(body),
    })
}

/// One more piece of a body: the beginning that is there, then what comes.
async fn rest(state: Option<(List, String)>) -> Result<Option<(Bytes, Option<(List, String)>)>, Errors> {
    let Some((mut list, mut body)) = state else { return Ok(None) };
    while body.is_empty() {
        if !list.next(&mut body).await? {
            return Ok((!body.is_empty()).then(|| (Bytes::from(body), None)));
        }
    }
    Ok(Some((Bytes::from(body), Some((list, String::new())))))
}

/// A list on its way.
struct List {
    parts: Streaming<StreamItemsResponse>,
    writer: Writer,
}

impl List {
    /// Takes the next part; false at the end, which is written, too.
    async fn next(&mut self, out: &mut String) -> Result<bool, Errors> {
        let message = self.parts.message().await.map_err(|status| {
            tracing::warn!(code = ?status.code(), "a list broke off");
            rpc::errors(status)
        })?;
        let Some(message) = message else {
            self.writer.end(out);
            return Ok(false);
        };
        let unreadable = |error: Unreadable| {
            tracing::error!(%error, "a list broke off");
            Errors::from(Error::internal())
        };
        match message.part {
            Some(Part::Rehearsal(part)) => {
                part.items.iter().try_for_each(|item| self.writer.rehearse(item)).map_err(unreadable)?;
            }
            Some(Part::Items(part)) => {
                part.items.iter().try_for_each(|item| self.writer.item(item, out)).map_err(unreadable)?;
            }
            Some(Part::Head(_)) | None => {}
        }
        Ok(true)
    }
}

/// The form of the answer.
enum Writer {
    /// `{"data":[..]}`: items as they are.
    Envelope {
        head: StreamHead,
        count: usize,
    },
    Export(Box<Encoder>),
}

impl Writer {
    fn new(head: StreamHead, form: Option<Export>) -> Self {
        match form {
            Some(form) => Self::Export(Box::new(Encoder::new(form, head.single))),
            None => Self::Envelope { head, count: 0 },
        }
    }

    fn rehearse(&mut self, item: &[u8]) -> Result<(), Unreadable> {
        match self {
            Self::Envelope { .. } => Ok(()),
            Self::Export(encoder) => encoder.rehearse(item),
        }
    }

    fn item(&mut self, item: &[u8], out: &mut String) -> Result<(), Unreadable> {
        match self {
            Self::Envelope { head, count } => {
                out.push_str(if *count == 0 { "" } else { "," });
                if *count == 0 {
                    open(head, out);
                }
                *count += 1;
                out.push_str(std::str::from_utf8(item).map_err(|_| Unreadable)?);
                Ok(())
            }
            Self::Export(encoder) => encoder.item(item, out),
        }
    }

    fn end(&mut self, out: &mut String) {
        match self {
            Self::Envelope { head, count } => {
                if *count == 0 {
                    open(head, out);
                }
                out.push_str(if head.single { "}" } else { "]}" });
            }
            Self::Export(encoder) => encoder.end(out),
        }
    }
}

/// What stands before the first item.
fn open(head: &StreamHead, out: &mut String) {
    let beside = answer::Beside {
        total_count: head.total_count,
        filter_count: head.filter_count,
        estimate: head.filter_count_estimate,
        next_cursor: None,
    };
    out.push_str(&answer::opening(beside));
    out.push_str(if head.single { "" } else { "[" });
}

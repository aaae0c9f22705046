//! The body of an answer, watched to its end: a stream works (and fails, and panics) while it is read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use super::Account;
use crate::status;

/// A body that closes its call's account when it has been read, or is dropped.
#[derive(Debug)]
pub(super) struct Watched {
    body: Body,
    account: Account,
    code: Option<Code>,
    panicked: bool,
}

impl Watched {
    pub(super) fn new(body: Body, account: Account) -> Self {
        Self { body, account, code: None, panicked: false }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.panicked {
            return Poll::Ready(None);
        }
        let entered = this.account.span.enter();
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut this.body).poll_frame(context)));
        drop(entered);
        match &polled {
            Ok(Poll::Ready(Some(Ok(frame)))) => {
                if let Some(end) = frame.trailers_ref().and_then(Status::from_header_map) {
                    this.code = Some(end.code());
                }
            }
            Ok(Poll::Ready(Some(Err(error)))) => this.code = Some(error.code()),
            Ok(Poll::Ready(None)) => this.code = this.code.or(Some(Code::Ok)),
            Ok(Poll::Pending) => {}
            Err(_) => {
                this.panicked = true;
                this.code = Some(Code::Internal);
            }
        }
        polled.unwrap_or_else(|_| {
            let broken = status(model::Error::internal().into());
            let mut trailers = http::HeaderMap::new();
            Poll::Ready(Some(match broken.add_header(&mut trailers) {
                Ok(()) => Ok(Frame::trailers(trailers)),
                Err(broken) => Err(broken),
            }))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.panicked || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Nobody read to the end: the caller has gone away.
        self.account.close(self.code.unwrap_or(Code::Cancelled));
    }
}

//! Filter hooks: asked before planning, with a deadline; no answer means nothing is written.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{Clock, Error, Errors};
use proto::hooks::v1::FilterRequest;
use proto::hooks::v1::hooks_service_client::HooksServiceClient;
use rpc::{Caller, Channel, Signer};
use tracing::Instrument as _;

/// Asks the hooks worker.
#[derive(Clone)]
pub struct Filters {
    client: HooksServiceClient<Channel>,
    signer: Signer,
    clock: Arc<dyn Clock>,
    deadline: Duration,
}

/// What is about to be done.
#[derive(Debug)]
pub struct Question<'a> {
    /// `items.create` ...
    pub event: &'a str,
    /// Collection.
    pub collection: &'a str,
    /// JSON array: payloads, or keys for a delete.
    pub payload: Bytes,
    /// Keys of the items that are to change.
    pub keys: &'a [String],
}

impl Filters {
    /// Filters behind a channel; a call that takes longer than `deadline` counts as no answer.
    pub fn new(channel: Channel, signer: Signer, clock: Arc<dyn Clock>, deadline: Duration) -> Self {
        let client = HooksServiceClient::new(channel)
            .max_decoding_message_size(rpc::MAX_MESSAGE)
            .max_encoding_message_size(rpc::MAX_MESSAGE);
        Self { client, signer, clock, deadline }
    }

    /// The payload as the hooks left it; as it is where they are not to be asked. Their refusal, or 503 when they did not answer in time.
    pub async fn ask(&self, question: Question<'_>, caller: &Caller) -> Result<Bytes, Errors> {
        if caller.silent {
            return Ok(question.payload);
        }
        let message = FilterRequest {
            event: question.event.to_owned(),
            collection: question.collection.to_owned(),
            payload: question.payload,
            keys: question.keys.to_vec(),
        };
        let as_us = Caller {
            accountability: model::Accountability {
                process: Some("items".to_owned()),
                ..caller.accountability.clone()
            },
            ..caller.clone()
        };
        let span = tracing::info_span!("filter", event = question.event, collection = question.collection);
        let mut client = self.client.clone();
        let call = async {
            let mut request = rpc::outgoing(&self.signer, &*self.clock, &as_us, message);
            request.set_timeout(self.deadline);
            tokio::time::timeout(self.deadline, client.filter(request)).await
        };
        match call.instrument(span).await {
            Ok(Ok(response)) => Ok(response.into_inner().payload),
            Ok(Err(status)) => {
                let errors = rpc::errors(status);
                tracing::warn!(event = question.event, collection = question.collection, %errors, "filter refused");
                Err(errors)
            }
            Err(_) => {
                tracing::warn!(
                    event = question.event,
                    collection = question.collection,
                    "filter did not answer in time"
                );
                Err(Error::unavailable("hooks").into())
            }
        }
    }
}

//! Who calls: put on a call by the one side, found on it by the other.

use std::sync::LazyLock;

use model::{Accountability, Clock};
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Request, Status};

use crate::{ACCOUNTABILITY, REQUEST_ID, Signer, status};

/// Who calls, on behalf of which request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// Id of the request that came in at the gateway.
    pub request_id: Option<String>,
    /// Who acts.
    pub accountability: Accountability,
}

impl Caller {
    /// A process of the fleet acting by itself.
    pub fn process(name: &str) -> Self {
        Self { request_id: None, accountability: Accountability::process(name) }
    }
}

/// The request to send: signed accountability, request id, and the trace context of the current span.
pub fn outgoing<T>(signer: &Signer, clock: &dyn Clock, caller: &Caller, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    put(metadata, ACCOUNTABILITY, &signer.sign(&caller.accountability, clock.now()));
    if let Some(id) = &caller.request_id {
        put(metadata, REQUEST_ID, id);
    }
    if let Some(parent) = chassis::trace::current() {
        put(metadata, "traceparent", parent.as_str());
    }
    request
}

/// What is no header text is left out; the receiver does without.
fn put(metadata: &mut MetadataMap, key: &'static str, value: &str) {
    if let Ok(value) = AsciiMetadataValue::try_from(value) {
        metadata.insert(key, value);
    }
}

/// Who calls, as the `Guard` found out; the public where no guard stands.
pub fn caller<T>(request: &Request<T>) -> &Caller {
    static PUBLIC: LazyLock<Caller> = LazyLock::new(Caller::default);
    request.extensions().get::<Caller>().unwrap_or(&PUBLIC)
}

/// Refuses all but admins (and processes of the fleet, which have every right).
pub fn require_admin(caller: &Caller) -> Result<(), Status> {
    if caller.accountability.admin { Ok(()) } else { Err(status(model::Error::forbidden().into())) }
}

/// Refuses all but processes of the fleet.
pub fn require_process(caller: &Caller) -> Result<(), Status> {
    if caller.accountability.process.is_some() {
        Ok(())
    } else {
        Err(status(model::Error::forbidden().into()))
    }
}

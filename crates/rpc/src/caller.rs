//! Who calls: put on a call by the one side, found on it by the other.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue};
use model::{Accountability, Clock};
use time::OffsetDateTime;
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
    /// What he writes is nothing for hooks, flows and webhooks. Said by a service from its message; it does not travel.
    pub silent: bool,
}

impl Caller {
    /// A process of the fleet acting by itself.
    pub fn process(name: &str) -> Self {
        Self { accountability: Accountability::process(name), ..Self::default() }
    }
}

/// A caller on the way, and what signs for him if the way leaves the process. It lives in the extensions of a
/// request, which nothing from the network can fill.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) caller: Caller,
    signer: Signer,
    now: OffsetDateTime,
}

impl Outgoing {
    /// As headers: what the receiver's guard believes.
    pub(crate) fn sign(&self, headers: &mut HeaderMap) {
        let signed = self.signer.sign(&self.caller.accountability, self.now);
        let id = self.caller.request_id.as_deref();
        for (name, value) in [(ACCOUNTABILITY, Some(signed.as_str())), (REQUEST_ID, id)] {
            // What is no header text is left out; the receiver does without.
            if let Some(Ok(value)) = value.map(HeaderValue::from_str) {
                headers.insert(name, value);
            }
        }
    }
}

/// The mark of a call that nobody of the fleet has signed for. In the extensions, too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outsider;

/// Whether the one who calls came by himself, by a bearer token or as the public: nobody of the fleet looks after what he
/// came in by.
pub fn is_outsider<T>(request: &Request<T>) -> bool {
    request.extensions().get::<Outsider>().is_some()
}

/// The request to send by a [`crate::Channel`]: who calls (signed where it leaves the process), request id, and the
/// trace context of the current span.
pub fn outgoing<T>(signer: &Signer, clock: &dyn Clock, caller: &Caller, message: T) -> Request<T> {
    let mut request = untraced(signer, clock, caller, message);
    if let Some(parent) = chassis::trace::current() {
        put(request.metadata_mut(), "traceparent", parent.as_str());
    }
    request
}

/// The same without a trace context: for what is not part of any request.
pub(crate) fn untraced<T>(signer: &Signer, clock: &dyn Clock, caller: &Caller, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let outgoing = Outgoing { caller: caller.clone(), signer: signer.clone(), now: clock.now() };
    request.extensions_mut().insert(outgoing);
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

/// Who calls, as [`caller`], and what is asked.
pub fn called<T>(request: Request<T>) -> (Caller, T) {
    let (_, mut extensions, message) = request.into_parts();
    (extensions.remove::<Caller>().unwrap_or_default(), message)
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

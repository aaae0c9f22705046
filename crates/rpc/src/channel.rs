//! The way to a peer: over the network, or straight into a server of the same process. Callers can't tell.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use model::Clock;
use prost::Message;
use proto::calls::v1::CarryRequest;
use tonic::body::Body;
use tonic::transport::Endpoint;
use tonic::{Code, Status};
use tower_service::Service;

use crate::caller::Outgoing;
use crate::carry::{Carrier, LONGEST};
use crate::{Caller, Direct, Error, LocalSlot, Signer, Tls};

/// Where a generated client sends its calls (`ItemsServiceClient::new(channel)`). Cheap to clone.
#[derive(Debug, Clone)]
pub struct Channel {
    way: Way,
}

#[derive(Debug)]
enum Way {
    Remote {
        channel: tonic::transport::Channel,
        endpoint: Box<Endpoint>,
        /// Why it takes no call. The next call is told: what a generated client makes of a channel that is not ready has
        /// lost its cause, and looks like an answer of the peer.
        broken: Option<tonic::transport::Error>,
        /// The stream on which calls go together.
        carrier: Arc<Carrier>,
    },
    Local(LocalSlot),
}

impl Way {
    fn remote(endpoint: Box<Endpoint>) -> Self {
        Self::Remote { channel: endpoint.connect_lazy(), endpoint, broken: None, carrier: Arc::default() }
    }
}

impl Clone for Way {
    fn clone(&self) -> Self {
        match self {
            Self::Remote { channel, endpoint, carrier, .. } => Self::Remote {
                channel: channel.clone(),
                endpoint: endpoint.clone(),
                broken: None,
                carrier: Arc::clone(carrier),
            },
            Self::Local(slot) => Self::Local(slot.clone()),
        }
    }
}

impl Channel {
    /// To `http://host:port`, or the same by TLS. Connects at the first call and again whenever the connection is lost;
    /// a peer that is away costs a call two seconds at most and makes it UNAVAILABLE. Needs a tokio runtime.
    ///
    /// # Errors
    /// The address is none, or wants TLS where there is none to be had.
    pub fn connect_lazy(url: impl Into<String>, tls: Option<&Tls>) -> Result<Self, Error> {
        let url = url.into();
        let endpoint = match (tls, url.split_once("://")) {
            (Some(tls), Some(("http" | "https", rest))) => {
                let endpoint = Endpoint::from_shared(format!("https://{rest}")).map_err(Error::Address)?;
                endpoint.tls_config(tls.client()).map_err(Error::Address)?
            }
            (None, Some(("https", _))) => return Err(Error::WithoutTls),
            _ => Endpoint::from_shared(url).map_err(Error::Address)?,
        };
        let endpoint = endpoint
            .connect_timeout(Duration::from_secs(2))
            .tcp_nodelay(true)
            .tcp_keepalive(Some(Duration::from_secs(30)))
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(1 << 22);
        Ok(Self { way: Way::remote(Box::new(endpoint)) })
    }

    /// The same way by a connection of its own. A server takes so many calls at a time on each
    /// ([`crate::CALLS_AT_A_TIME`]): what stays open for long must not take the places of what is short.
    #[must_use]
    pub fn beside(&self) -> Self {
        match &self.way {
            Way::Remote { endpoint, .. } => Self { way: Way::remote(endpoint.clone()) },
            Way::Local(_) => self.clone(),
        }
    }

    /// It leads out of the process.
    pub fn is_remote(&self) -> bool {
        matches!(self.way, Way::Remote { .. })
    }

    /// Into the server that is bound (now or later) to this slot.
    pub fn local(slot: &LocalSlot) -> Self {
        Self { way: Way::Local(slot.clone()) }
    }

    /// The method that is asked `Q`, if it is in this process and offered as it is (`Server::direct`); else it is
    /// called by a generated client.
    pub fn direct<Q: 'static, A: 'static>(&self) -> Option<Arc<Direct<Q, A>>> {
        match &self.way {
            Way::Remote { .. } => None,
            Way::Local(slot) => slot.direct(),
        }
    }

    /// One call of a method on the stream that this channel shares with its clones (`eventus.calls.v1`), as
    /// [`crate::outgoing`] would send it. `None`: it is not offered so by this peer, or the peer is in this process, or
    /// the message is too long for others to wait behind it; nothing was done then. Who drops it gives the call up.
    pub async fn carry<Q: Message, A: Message + Default>(
        &self,
        path: &str,
        signer: &Signer,
        clock: &dyn Clock,
        caller: &Caller,
        message: &Q,
    ) -> Option<Result<A, Status>> {
        let Way::Remote { carrier, .. } = &self.way else { return None };
        if message.encoded_len() > LONGEST {
            return None;
        }
        let traceparent = chassis::trace::current();
        let call = CarryRequest {
            id: 0,
            method: path.to_owned(),
            message: message.encode_to_vec().into(),
            accountability: signer.sign(&caller.accountability, clock.now()),
            request_id: caller.request_id.clone().unwrap_or_default(),
            traceparent: traceparent.map(|parent| parent.as_str().to_owned()).unwrap_or_default(),
        };
        let answer = carrier.call(self, signer, clock, call).await?;
        Some(answer.and_then(|answer| A::decode(answer).map_err(|error| Status::internal(error.to_string()))))
    }
}

/// A call under way.
pub struct ResponseFuture {
    kind: Kind,
}

enum Kind {
    Remote(tonic::transport::channel::ResponseFuture),
    Broken(Option<tonic::transport::Error>),
    Local(BoxFuture<'static, Response<Body>>),
}

impl std::fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match &mut self.way {
            Way::Remote { channel, broken, .. } => channel.poll_ready(context).map(|ready| {
                *broken = ready.err();
                Ok(())
            }),
            Way::Local(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let kind = match &mut self.way {
            Way::Remote { broken, .. } if broken.is_some() => Kind::Broken(broken.take()),
            Way::Remote { channel, .. } => {
                if let Some(outgoing) = request.extensions_mut().remove::<Outgoing>() {
                    outgoing.sign(request.headers_mut());
                }
                Kind::Remote(channel.call(request))
            }
            Way::Local(slot) => Kind::Local(match deadline(request.headers()) {
                Some(deadline) => Box::pin(in_time(deadline, slot.clone().call(request))),
                None => Box::pin(slot.clone().call(request)),
            }),
        };
        ResponseFuture { kind }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, tonic::transport::Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.kind {
            Kind::Remote(future) => Pin::new(future).poll(context),
            Kind::Broken(error) => error.take().map_or(Poll::Pending, |error| Poll::Ready(Err(error))),
            Kind::Local(future) => future.as_mut().poll(context).map(Ok),
        }
    }
}

async fn in_time(deadline: Duration, call: impl Future<Output = Response<Body>>) -> Response<Body> {
    match tokio::time::timeout(deadline, call).await {
        Ok(response) => response,
        Err(_) => Status::new(Code::DeadlineExceeded, "no answer in time").into_http(),
    }
}

/// The `grpc-timeout` of a call, which the transport would have looked after.
fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number.checked_mul(3_600)?),
        "M" => Duration::from_secs(number.checked_mul(60)?),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

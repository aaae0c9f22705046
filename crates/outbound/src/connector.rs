//! Opens connections: one look-up, every address checked, and the connection goes to an address that was checked.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::guard::Guard;
use crate::url::{Host, host, port};
use crate::{Class, Error};

/// A future that is sent around.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Finds the addresses of a name. Handed in, so that tests can lie.
pub trait Resolve: Send + Sync + std::fmt::Debug + 'static {
    /// All addresses of a host, in the order in which they are to be tried.
    fn resolve<'a>(&'a self, host: &'a str) -> Boxed<'a, std::io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Boxed<'a, std::io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// How long one address may take; there may be others, and a deadline stands above all.
const ONE_ADDRESS: Duration = Duration::from_secs(4);

/// Opens TCP connections for the client's pool, which keeps them by scheme, host and port.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    guard: Guard,
    resolver: Arc<dyn Resolve>,
}

impl Connector {
    /// With these rules.
    pub fn new(guard: Guard, resolver: Arc<dyn Resolve>) -> Self {
        Self { inner: Arc::new(Inner { guard, resolver }) }
    }
}

impl Inner {
    async fn connect(&self, uri: &Uri) -> Result<TcpStream, Error> {
        let port = port(uri).ok_or(Class::Invalid)?;
        let addresses = match host(uri).ok_or(Class::Invalid)? {
            Host::Address(ip) => vec![ip],
            Host::Name(name) => self.resolver.resolve(name).await.map_err(|_| Class::Dns)?,
        };
        if addresses.is_empty() {
            return Err(Class::Dns.into());
        }
        let mut last = Error::from(Class::Blocked);
        for ip in addresses {
            let to = SocketAddr::new(ip.to_canonical(), port);
            if !self.guard.permits(to) {
                continue;
            }
            match tokio::time::timeout(ONE_ADDRESS, TcpStream::connect(to)).await {
                Ok(Ok(stream)) => {
                    // Without it a small request may wait for an acknowledgement; it still works if refused.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::TimedOut => {
                    last = Class::Timeout.into()
                }
                Ok(Err(_)) => last = Class::Refused.into(),
                Err(_) => last = Class::Timeout.into(),
            }
        }
        Err(last)
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = Error;
    type Future = Boxed<'static, Result<Self::Response, Error>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let inner = self.inner.clone();
        Box::pin(async move { inner.connect(&uri).await.map(TokioIo::new) })
    }
}

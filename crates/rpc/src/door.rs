//! One address for all services of a process: each call goes to the slot that holds its service.

use std::convert::Infallible;
use std::task::{Context, Poll};

use chassis::Runtime;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::service::Routes;
use tower_service::Service;

use crate::serve::{common_services, on_tcp};
use crate::{Error, LocalSlot, Tls};

/// The way into several slots from the network. Each slot keeps its own guard.
#[derive(Debug, Clone, Default)]
pub struct Door {
    slots: Vec<(&'static str, LocalSlot)>,
    common: Routes,
    tls: Option<Tls>,
}

impl Door {
    /// One more service, by its full name (`eventus.items.v1.ItemsService`), and where it is.
    #[must_use]
    pub fn service(mut self, name: &'static str, slot: LocalSlot) -> Self {
        self.slots.push((name, slot));
        self
    }

    /// By TLS, where there is any: who has no certificate of the fleet does not come in.
    #[must_use]
    pub fn tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// Serves until the soft stop, with health v1 of the process and reflection where that is wanted.
    ///
    /// # Errors
    /// The descriptors can't be reflected, or the listener broke.
    pub async fn serve(
        mut self,
        listener: TcpListener,
        reflection: bool,
        runtime: Runtime,
    ) -> Result<(), Error> {
        let names: Vec<&'static str> = self.slots.iter().map(|(name, _)| *name).collect();
        self.common = common_services(Routes::default(), &names, reflection, &runtime.health)?.prepare();
        let tls = self.tls.take();
        on_tcp(self, listener, tls.as_ref(), &runtime.shutdown).await
    }
}

impl Service<Request<Body>> for Door {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let service = request.uri().path().split('/').nth(1).unwrap_or_default();
        match self.slots.iter().find(|(name, _)| *name == service) {
            Some((_, slot)) => {
                let slot = slot.clone();
                Box::pin(async move { Ok(slot.call(request).await) })
            }
            None => {
                let mut common = self.common.clone();
                Box::pin(async move { common.call(request).await })
            }
        }
    }
}

//! A server within the same process: calls go straight into its services, no socket, no frames.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower_service::Service as _;

use crate::direct::{Direct, Directs};
use crate::guard::Guard;

/// A place for a server that may come later than its clients. Clones are the same place.
#[derive(Debug, Clone, Default)]
pub struct LocalSlot {
    bound: Arc<ArcSwapOption<Bound>>,
}

#[derive(Debug)]
struct Bound {
    guard: Option<Guard>,
    routes: Routes,
    directs: Directs,
}

impl LocalSlot {
    /// Empty: calls are UNAVAILABLE until `bind`.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on calls go to these services, without a guard. Processes bind by `serve`, which adds theirs.
    pub fn bind(&self, routes: Routes) {
        self.put(None, routes, Directs::default());
    }

    /// Something is bound.
    pub fn is_bound(&self) -> bool {
        self.bound.load().is_some()
    }

    pub(crate) fn put(&self, guard: Option<Guard>, routes: Routes, directs: Directs) {
        self.bound.store(Some(Arc::new(Bound { guard, routes: routes.prepare(), directs })));
    }

    pub(crate) fn direct<Q: 'static, A: 'static>(&self) -> Option<Arc<Direct<Q, A>>> {
        self.bound.load().as_ref()?.directs.find()
    }

    /// One call, on the caller's own task: if the caller gives up, the work is dropped.
    pub(crate) async fn call(self, request: http::Request<Body>) -> http::Response<Body> {
        let (guard, mut routes) = match &*self.bound.load() {
            Some(bound) => (bound.guard.clone(), bound.routes.clone()),
            None => return Status::new(Code::Unavailable, "not started yet").into_http(),
        };
        match guard {
            Some(guard) => guard.call(routes, request).await,
            None => match routes.call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
        }
    }
}

//! Calls within a process that stay values: nothing is written as bytes to be read again a moment later.
//!
//! A service offers its busiest methods so (`Server::direct`), beside the same methods as gRPC; who calls by
//! `Channel::direct` finds out which of the two it is. What stands around a call is the guard's, either way.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tonic::Status;

use crate::guard::{Method, direct};
use crate::{Caller, status};

type Work<Q, A> = dyn Fn(Caller, Q) -> BoxFuture<'static, Result<A, Status>> + Send + Sync;

/// A method of a service in this process. `Q` is asked, `A` is answered.
pub struct Direct<Q, A> {
    method: &'static Method,
    work: Box<Work<Q, A>>,
}

impl<Q, A> std::fmt::Debug for Direct<Q, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Direct").field("method", &self.method).finish_non_exhaustive()
    }
}

impl<Q: 'static, A: 'static> Direct<Q, A> {
    /// One call, on the caller's own task: if the caller gives up, the work is dropped. It belongs to the current span.
    ///
    /// # Errors
    /// Those of the method; INTERNAL when it panics.
    pub async fn call(&self, caller: Caller, message: Q) -> Result<A, Status> {
        if !self.method.admits(&caller.accountability) {
            return Err(status(model::Error::forbidden().into()));
        }
        direct(self.method, (self.work)(caller, message)).await
    }
}

/// The methods that a process offers so, by what they are asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Directs(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl Directs {
    pub(crate) fn add<Q: 'static, A: 'static>(
        &mut self,
        path: &str,
        work: impl Fn(Caller, Q) -> BoxFuture<'static, Result<A, Status>> + Send + Sync + 'static,
    ) {
        let method = Direct::<Q, A> { method: Method::of(path), work: Box::new(work) };
        self.0.insert(TypeId::of::<Q>(), Arc::new(method));
    }

    pub(crate) fn find<Q: 'static, A: 'static>(&self) -> Option<Arc<Direct<Q, A>>> {
        self.0.get(&TypeId::of::<Q>())?.clone().downcast().ok()
    }
}

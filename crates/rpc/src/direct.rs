//! Calls within a process that stay values: nothing is written as bytes to be read again a moment later.
//!
//! A service offers its busiest methods so (`Server::direct`), beside the same methods as gRPC; who calls by
//! `Channel::direct` finds out which of the two it is. The same methods are carried by streams between processes
//! (`carry`). What stands around a call is the guard's, either way.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use model::TraceParent;
use prost::Message;
use tonic::Status;

use crate::carry::Carry;
use crate::guard::{Method, carried, direct};
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
        self.admit(&caller)?;
        direct(self.method, (self.work)(caller, message)).await
    }

    fn admit(&self, caller: &Caller) -> Result<(), Status> {
        if self.method.admits(&caller.accountability) {
            Ok(())
        } else {
            Err(status(model::Error::forbidden().into()))
        }
    }
}

impl<Q: Message + Default + 'static, A: Message + 'static> Carry for Direct<Q, A> {
    fn call(
        self: Arc<Self>,
        by: Caller,
        parent: Option<TraceParent>,
        message: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, Status>> {
        Box::pin(async move {
            self.admit(&by)?;
            let work = async {
                let message = Q::decode(message).map_err(|error| Status::internal(error.to_string()))?;
                Ok(Bytes::from((self.work)(by, message).await?.encode_to_vec()))
            };
            carried(self.method, parent.as_ref(), work).await
        })
    }
}

/// The methods that a process offers so: by what they are asked, and by their paths.
#[derive(Clone, Default)]
pub(crate) struct Directs {
    by_question: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    by_path: HashMap<String, Arc<dyn Carry>>,
}

impl std::fmt::Debug for Directs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.by_path.keys()).finish()
    }
}

impl Directs {
    pub(crate) fn add<Q: Message + Default + 'static, A: Message + 'static>(
        &mut self,
        path: &str,
        work: impl Fn(Caller, Q) -> BoxFuture<'static, Result<A, Status>> + Send + Sync + 'static,
    ) {
        let method = Arc::new(Direct::<Q, A> { method: Method::of(path), work: Box::new(work) });
        self.by_question.insert(TypeId::of::<Q>(), method.clone());
        self.by_path.insert(path.to_owned(), method);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }

    pub(crate) fn carried(&self, path: &str) -> Option<Arc<dyn Carry>> {
        self.by_path.get(path).cloned()
    }

    pub(crate) fn find<Q: 'static, A: 'static>(&self) -> Option<Arc<Direct<Q, A>>> {
        self.by_question.get(&TypeId::of::<Q>())?.clone().downcast().ok()
    }
}

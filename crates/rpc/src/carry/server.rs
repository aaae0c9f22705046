//! The side that is called.

use std::sync::Arc;

use bytes::Bytes;
use chassis::Runtime;
use model::{ErrorCode, TraceParent};
use proto::calls::v1::calls_service_server::CallsService;
use proto::calls::v1::{CarryRequest, CarryResponse};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::places::{Known, Running};
use super::{QUEUE, pack, parts};
use crate::direct::Directs;
use crate::{CALLS_AT_A_TIME, Caller, Guard, caller, require_process, status};

/// Takes calls by streams, for the methods that the process offers so.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) guard: Guard,
    pub(crate) directs: Arc<Directs>,
    pub(crate) runtime: Runtime,
}

type Answers = mpsc::Sender<Result<CarryResponse, Status>>;

#[tonic::async_trait]
impl CallsService for Calls {
    type CarryStream = ReceiverStream<Result<CarryResponse, Status>>;

    async fn carry(
        &self,
        request: Request<Streaming<CarryRequest>>,
    ) -> Result<Response<Self::CarryStream>, Status> {
        require_process(caller(&request))?;
        let (answers, told) = mpsc::channel(QUEUE);
        let stream = Carried {
            guard: self.guard.clone(),
            directs: Arc::clone(&self.directs),
            runtime: self.runtime.clone(),
            running: Running::default(),
            places: Arc::new(Semaphore::new(CALLS_AT_A_TIME as usize)),
            answers,
        };
        self.runtime.tasks.detach(stream.serve(request.into_inner()));
        Ok(Response::new(ReceiverStream::new(told)))
    }
}

/// One stream.
struct Carried {
    guard: Guard,
    directs: Arc<Directs>,
    runtime: Runtime,
    running: Running,
    places: Arc<Semaphore>,
    answers: Answers,
}

impl Carried {
    /// Takes what is asked until nobody asks any more. What runs then is finished, unless nobody reads answers either.
    async fn serve(self, mut calls: Streaming<CarryRequest>) {
        let mut known = Known::default();
        let mut stopping = false;
        let soft = self.runtime.shutdown.soft().clone();
        // Dropped at the hard stop, too.
        let _left = Left(self.running.clone());
        loop {
            let next = tokio::select! {
                next = calls.message() => next,
                () = self.answers.closed() => return,
                () = soft.cancelled(), if !stopping => {
                    stopping = true;
                    let _ = self.answers.send(Ok(CarryResponse::default())).await;
                    continue;
                }
            };
            match next {
                Ok(Some(call)) if call.method.is_empty() => self.running.give_up(call.id),
                Ok(Some(call)) => self.take(&mut known, call).await,
                Ok(None) => break,
                Err(_) => return,
            }
        }
        // Each call has a place: when all places are free, all are answered.
        tokio::select! {
            _ = self.places.acquire_many(CALLS_AT_A_TIME) => {}
            () = self.answers.closed() => {}
        }
    }

    async fn take(&self, known: &mut Known, call: CarryRequest) {
        let CarryRequest { id, method, message, accountability, request_id, traceparent } = call;
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
        let Some(method) = self.directs.carried(&method) else {
            let unknown = CarryResponse { id, unknown: true, ..CarryResponse::default() };
            let _ = self.answers.send(Ok(unknown)).await;
            return;
        };
        let by = known.verify(self.guard.signer(), self.guard.clock(), &accountability);
        let (answers, running) = (self.answers.clone(), self.running.clone());
        let work = async move {
            let answer = match by {
                Ok(accountability) => {
                    let request_id = (!request_id.is_empty()).then_some(request_id);
                    let by = Caller { request_id, accountability, silent: false };
                    method.call(by, TraceParent::parse(&traceparent), message).await
                }
                Err(error) => Err(refused(&error)),
            };
            for part in parts(pack(id, answer)) {
                if answers.send(Ok(part)).await.is_err() {
                    break;
                }
            }
            running.over(id);
            drop(place);
        };
        self.running.start(id, || self.runtime.tasks.abortable(work));
    }
}

/// What is left of a stream when nobody serves it any more.
struct Left(Running);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.give_all_up();
    }
}

fn refused(error: &crate::Error) -> Status {
    tracing::warn!(error = error as &dyn std::error::Error, "accountability refused");
    status(model::Error::new(ErrorCode::InvalidToken).into())
}

/// A method as a stream carries it.
pub(crate) trait Carry: Send + Sync {
    fn call(
        self: Arc<Self>,
        by: Caller,
        parent: Option<TraceParent>,
        message: Bytes,
    ) -> futures_util::future::BoxFuture<'static, Result<Bytes, Status>>;
}

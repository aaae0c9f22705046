//! What operators do with the log and its consumers: looking, replaying, dead letters, rebuilding.
//!
//! The same functions serve the gRPC service, which the gateway puts under `/utils`, and the command line, which runs them
//! on the database itself.

use bytes::Bytes;
use model::{Error, Errors};
use proto::upkeep::v1 as pb;
use proto::upkeep::v1::upkeep_service_server::UpkeepService;
use serde_json::Value;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::state::State;

mod consumers;
mod events;
mod letters;
mod mirror;
mod replays;
pub mod retention;
mod selection;

/// What upkeep works with.
#[derive(Clone)]
pub struct Upkeep {
    db: db::Db,
    /// Where there is one, it says how consumers stand.
    bus: Option<bus::Bus>,
    /// Who asks, where it is known.
    user: Option<Uuid>,
    ids: std::sync::Arc<dyn model::Ids>,
}

impl Upkeep {
    /// On a database, and a bus where that is asked, too.
    pub fn new(db: db::Db, bus: Option<bus::Bus>, ids: std::sync::Arc<dyn model::Ids>) -> Self {
        Self { db, bus, user: None, ids }
    }

    /// Where the settled log ends.
    ///
    /// # Errors
    /// The database is away.
    pub async fn end(&self) -> Result<i64, Errors> {
        event_store::Log::new(self.db.clone()).last_settled().await.map_err(away)
    }

    fn of(state: &State, user: Option<Uuid>) -> Self {
        Self {
            db: state.db.clone(),
            bus: Some(state.bus.clone()),
            user,
            ids: std::sync::Arc::clone(&state.ids),
        }
    }
}

/// The service over the process's state.
#[derive(Clone)]
pub struct Service(pub State);

type Answer = Result<Response<pb::JsonResponse>, Status>;

fn answer(result: Result<Value, Errors>) -> Answer {
    let json = result.map_err(rpc::status)?;
    Ok(Response::new(pb::JsonResponse { json: Bytes::from(json.to_string()) }))
}

/// What is wrong with the log or the database, as the caller is told.
fn away(error: impl Into<event_store::Error>) -> Errors {
    let error = error.into();
    if error.is_unavailable() {
        return crate::items::moment::away(&error).into();
    }
    tracing::error!(%error, "upkeep failed");
    Error::internal().into()
}

macro_rules! methods {
    ($($name:ident $message:ident),+ $(,)?) => {
        #[tonic::async_trait]
        impl UpkeepService for Service {
            $(
                async fn $name(&self, request: Request<pb::$message>) -> Answer {
                    rpc::require_admin(rpc::caller(&request))?;
                    let (caller, message) = rpc::called(request);
                    answer(Upkeep::of(&self.0, caller.accountability.user).$name(message).await)
                }
            )+
        }
    };
}

methods!(
    list_events ListEventsRequest,
    list_consumers ListConsumersRequest,
    list_dead_letters ListDeadLettersRequest,
    drop_dead_letters DeadLettersRequest,
    requeue_dead_letters DeadLettersRequest,
    start_replay StartReplayRequest,
    rebuild_consumer RebuildConsumerRequest,
    list_replays ListReplaysRequest,
    get_replay ReplayRequest,
    cancel_replay ReplayRequest,
);

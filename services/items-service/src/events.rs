//! The EventsService: the log as a stream of committed facts.
//!
//! One tail per process reads the log, and only while somebody listens (`live`). Who may see the same and wants the same
//! is one group, for which events are judged once (`group`, `judge`, `shown`); what was before, and what a slow listener
//! missed, he reads from the log by himself (`listener`), so he holds up nobody.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use model::{Error, Errors};
use proto::events::v1 as pb;
use proto::events::v1::events_service_server::EventsService;
use rpc::Caller;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::state::State;

mod credential;
mod emit;
mod group;
pub mod judge;
mod listener;
mod live;
mod observe;
mod place;
pub mod shown;
mod wanted;

use credential::Credential;
use judge::Judge;
use listener::Listener;
pub use live::Live;
use live::{Listening, unreadable};
use place::{Place, holder};
use wanted::Wanted;

/// Most patterns and collections that one stream may name.
const NAMES: usize = 500;

/// The service over the process's state.
pub struct Events {
    state: State,
    live: Live,
    auth: Arc<dyn rpc::Authenticator>,
}

/// Where a stream begins, in which log, and why not where it was to begin.
struct Start {
    after: i64,
    epoch: Uuid,
    reset: Option<&'static str>,
}

impl Events {
    /// Events of the log in this database; who comes from outside the fleet is known by `auth`.
    pub fn new(state: State, live: Live, auth: Arc<dyn rpc::Authenticator>) -> Self {
        Self { state, live, auth }
    }

    async fn start(
        &self,
        caller: &Caller,
        request: &pb::SubscribeRequest,
        listening: &Listening,
    ) -> Result<Start, Errors> {
        let who = &caller.accountability;
        let asked = match (&*request.after_token, request.after) {
            ("", None) => None,
            ("", Some(_)) if !who.admin => return Err(not_yours().into()),
            ("", Some(after)) => Some((after, None)),
            (token, _) => {
                let place = Place::open(token, &self.state.places, &holder(who))?;
                Some((place.position, Some(place.epoch)))
            }
        };
        let extents = &self.live.extents;
        let after = asked.map_or(0, |(after, _)| after);
        let extent = extents.of(after).await.map_err(|error| unreadable(&error))?;
        let reset = asked.and_then(|(after, epoch)| extent.lost(after, epoch));
        let after = match asked.filter(|_| reset.is_none()) {
            Some((after, _)) => after,
            None => listening.now().await?,
        };
        Ok(Start { after, epoch: extent.epoch, reset })
    }

    async fn listen(
        &self,
        caller: Caller,
        request: pb::SubscribeRequest,
        authorization: Option<String>,
    ) -> Result<<Self as EventsService>::SubscribeStream, Errors> {
        if request.events.len() + request.collections.len() > NAMES {
            return Err(
                Error::invalid_query(format!("More than {NAMES} names of events and collections")).into()
            );
        }
        let wanted = Arc::new(Wanted::new(request.events.clone(), request.collections.clone()));
        self.live.admit(&caller, &wanted).await?;
        let listening = self.live.listen();
        let Start { after, epoch, reset } = self.start(&caller, &request, &listening).await?;
        let (sender, receiver) = mpsc::channel(listener::BUFFER);
        let credential = authorization.map(|token| Credential {
            auth: Arc::clone(&self.auth),
            token,
            who: caller.accountability.clone(),
            versions: self.state.rights.versions(),
        });
        let live = self.live.clone();
        let listener =
            Listener { live, caller, wanted, progress: request.progress, sender, credential, epoch };
        self.live.runtime.tasks.detach(listener.run(after, reset, listening));
        Ok(Box::pin(ReceiverStream::new(receiver)))
    }

    /// One event as the caller is told of it.
    async fn one(&self, caller: &Caller, request: &pb::GetEventRequest) -> Result<pb::EventMessage, Errors> {
        let (live, who) = (&self.live, &caller.accountability);
        let extent = live.extents.of(0).await.map_err(|error| unreadable(&error))?;
        let place = match &*request.token {
            "" if !who.admin => return Err(Error::forbidden().into()),
            "" => Place { position: request.position, epoch: extent.epoch },
            token => Place::open(token, &self.state.places, &holder(who))?,
        };
        let stored = live.log.get(place.position).await.map_err(|error| unreadable(&error))?;
        let event = stored.filter(|_| place.epoch == extent.epoch).ok_or_else(Error::forbidden)?.event;
        let snapshot = self.state.snapshots.present();
        let everything = Wanted::new(Vec::new(), Vec::new());
        let told = match live.admit(caller, &everything).await? {
            None => judge::whole(&event),
            Some(asking) => {
                let judge = Judge { state: &self.state, who, asking: &asking, snapshot: &snapshot };
                let told = judge.told(&[&event]).await.map_err(|_| Error::unavailable("database"))?;
                told.into_iter().next()
            }
        };
        let (_, event) = told.ok_or_else(Error::forbidden)?;
        Ok(listener::message(live, caller, place, event)?)
    }
}

/// A position says how much happens that one may not see.
fn not_yours() -> Error {
    Error::invalid_query("The id of the last event is none that was given to you")
}

/// The bearer token of one who is not of the fleet; of one without any the empty text.
fn credential<T>(request: &Request<T>) -> Option<String> {
    if !rpc::is_outsider(request) {
        return None;
    }
    // The guard has read it: it is a bearer token, or there is none.
    let value = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
    let value = value.unwrap_or_default();
    Some(value.split_once(' ').map_or("", |(_, token)| token.trim()).to_owned())
}

#[tonic::async_trait]
impl EventsService for Events {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<pb::EventMessage, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<pb::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let authorization = credential(&request);
        let (caller, message) = rpc::called(request);
        self.listen(caller, message, authorization).await.map(Response::new).map_err(rpc::status)
    }

    async fn get_event(
        &self,
        request: Request<pb::GetEventRequest>,
    ) -> Result<Response<pb::EventMessage>, Status> {
        let (caller, message) = rpc::called(request);
        self.one(&caller, &message).await.map(Response::new).map_err(rpc::status)
    }

    async fn emit(&self, request: Request<pb::EmitRequest>) -> Result<Response<pb::EmitResponse>, Status> {
        rpc::require_admin(rpc::caller(&request))?;
        let (caller, message) = rpc::called(request);
        emit::custom(&self.state, &caller, message).await.map(Response::new).map_err(rpc::status)
    }
}

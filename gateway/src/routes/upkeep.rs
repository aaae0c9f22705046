//! `/utils/events`, `/utils/consumers`, `/utils/dead-letters` and `/utils/replays`: what operators do with the event log.
//! For admins.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use model::Error;
use proto::upkeep::v1 as pb;
use serde::Deserialize;

use super::only;
use crate::answer;
use crate::body::JsonBody;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::path::Names;
use crate::read_query::Parameters;
use crate::state::Gateway;

/// The routes.
pub fn routes() -> Router<Gateway> {
    Router::new()
        .route("/utils/events", only(get(list_events), "GET,HEAD"))
        .route("/utils/consumers", only(get(list_consumers), "GET,HEAD"))
        .route("/utils/consumers/{name}/rebuild", only(post(rebuild), "POST"))
        .route("/utils/dead-letters", only(get(list_letters), "GET,HEAD"))
        .route("/utils/dead-letters/requeue", only(post(requeue), "POST"))
        .route("/utils/dead-letters/drop", only(post(drop_letters), "POST"))
        .route("/utils/replays", only(get(list_replays).post(start_replay), "GET,HEAD,POST"))
        .route("/utils/replays/{id}", only(get(read_replay).delete(cancel_replay), "GET,HEAD,DELETE"))
}

/// Asks the service and gives its answer.
macro_rules! asked {
    ($gateway:expr, $caller:expr, $method:ident, $message:expr) => {{
        let request = $gateway.call(&$caller, $message);
        Ok(answer::of(&$gateway.upkeep().$method(request).await?.into_inner().json))
    }};
}

/// GET /utils/events?from=&to=&since=&until=&collection=&key=&event=&after=&limit=
async fn list_events(
    State(gateway): State<Gateway>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    let numbers = parameters
        .list("positions")
        .into_iter()
        .map(|text| text.parse().map_err(|_| Error::invalid_query("\"positions\" must be numbers")));
    let selection = pb::Selection {
        ids: parameters.list("ids"),
        positions: numbers.collect::<Result<_, _>>()?,
        from: parameters.number("from")?,
        to: parameters.number("to")?,
        since: parameters.text("since"),
        until: parameters.text("until"),
        collection: parameters.text("collection"),
    };
    let message = pb::ListEventsRequest {
        selection: Some(selection),
        after: parameters.number("after")?.unwrap_or_default(),
        key: parameters.text("key"),
        event: parameters.text("event"),
        limit: parameters.number("limit")?.unwrap_or_default(),
    };
    asked!(gateway, caller, list_events, message)
}

/// GET /utils/consumers
async fn list_consumers(State(gateway): State<Gateway>, caller: Caller) -> Result<Response, Failure> {
    caller.require_admin()?;
    asked!(gateway, caller, list_consumers, pb::ListConsumersRequest {})
}

/// POST /utils/consumers/:name/rebuild
async fn rebuild(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(consumer): Names<String>,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    asked!(gateway, caller, rebuild_consumer, pb::RebuildConsumerRequest { consumer })
}

/// GET /utils/dead-letters?consumer=&collection=&id=&limit=&offset=
async fn list_letters(
    State(gateway): State<Gateway>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    let message = pb::ListDeadLettersRequest {
        consumer: parameters.text("consumer"),
        collection: parameters.text("collection"),
        id: parameters.text("id"),
        limit: parameters.number("limit")?.unwrap_or_default(),
        offset: parameters.number("offset")?.unwrap_or_default(),
    };
    asked!(gateway, caller, list_dead_letters, message)
}

/// Which events of which consumer.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    consumer: String,
    #[serde(default)]
    ids: Vec<String>,
    #[serde(default)]
    positions: Vec<i64>,
    from: Option<i64>,
    to: Option<i64>,
    #[serde(default)]
    since: String,
    #[serde(default)]
    until: String,
    #[serde(default)]
    collection: String,
    all: Option<bool>,
    effects: Option<bool>,
}

impl Wish {
    fn split(self) -> (String, pb::Selection) {
        let Self { consumer, ids, positions, from, to, since, until, collection, .. } = self;
        (consumer, pb::Selection { ids, positions, from, to, since, until, collection })
    }

    fn of_letters(self) -> Result<pb::DeadLettersRequest, Error> {
        if self.effects.is_some() {
            return Err(Error::invalid_payload("\"effects\" is about replays; dead letters have had none"));
        }
        let all = self.all.unwrap_or_default();
        let (consumer, selection) = self.split();
        Ok(pb::DeadLettersRequest { consumer, selection: Some(selection), all })
    }
}

/// POST /utils/dead-letters/requeue
async fn requeue(
    State(gateway): State<Gateway>,
    caller: Caller,
    body: JsonBody,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    asked!(gateway, caller, requeue_dead_letters, body.parse::<Wish>()?.of_letters()?)
}

/// POST /utils/dead-letters/drop
async fn drop_letters(
    State(gateway): State<Gateway>,
    caller: Caller,
    body: JsonBody,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    asked!(gateway, caller, drop_dead_letters, body.parse::<Wish>()?.of_letters()?)
}

/// POST /utils/replays
async fn start_replay(
    State(gateway): State<Gateway>,
    caller: Caller,
    body: JsonBody,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    let wish: Wish = body.parse()?;
    if wish.all.is_some() {
        let reason = "\"all\" is about dead letters; all events are those \"from\" the first position";
        return Err(Error::invalid_payload(reason).into());
    }
    let effects = wish.effects.unwrap_or_default();
    let (consumer, selection) = wish.split();
    let message = pb::StartReplayRequest { consumer, selection: Some(selection), effects };
    asked!(gateway, caller, start_replay, message)
}

/// GET /utils/replays?consumer=&limit=
async fn list_replays(
    State(gateway): State<Gateway>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    let limit = parameters.number("limit")?.unwrap_or_default();
    let message = pb::ListReplaysRequest { consumer: parameters.text("consumer"), limit };
    asked!(gateway, caller, list_replays, message)
}

/// GET /utils/replays/:id
async fn read_replay(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(id): Names<String>,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    asked!(gateway, caller, get_replay, pb::ReplayRequest { id })
}

/// DELETE /utils/replays/:id
async fn cancel_replay(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(id): Names<String>,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    asked!(gateway, caller, cancel_replay, pb::ReplayRequest { id })
}

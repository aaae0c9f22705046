//! The routes: which path and method is which handler. What is not here is 404 `ROUTE_NOT_FOUND`.

mod accounts;
mod analytics;
mod api_keys;
mod auth;
mod collections;
pub mod events;
mod fields;
mod history;
mod hooks;
pub mod imports;
mod items;
mod permissions;
mod relations;
mod reports;
mod schema;
pub mod server;
mod shares;
mod sort;
mod system;
mod upkeep;
mod users;
mod versions;
mod webhooks;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Uri};

use crate::edge;
use crate::failure::Failure;
use crate::state::Gateway;

/// Every route, surrounded by the edge.
pub fn router(gateway: Gateway) -> Router {
    Router::new()
        .merge(content())
        .merge(system::routes())
        .merge(history::routes())
        .merge(upkeep::routes())
        .merge(versions())
        .merge(definitions())
        .merge(people())
        .merge(accounts::routes())
        .merge(operations())
        .fallback(missing)
        .layer(from_fn_with_state(gateway.clone(), edge::surround))
        .with_state(gateway)
}

fn content() -> Router<Gateway> {
    let collection =
        get(items::list).post(items::create).patch(items::update_many).delete(items::delete_many);
    let collection = collection.put(items::upsert);
    let item = get(items::read).patch(items::update).delete(items::delete);
    Router::new()
        .route("/items/{collection}", searchable(collection, "POST,SEARCH,GET,HEAD,PATCH,DELETE,PUT"))
        .route("/items/{collection}/{key}", only(item, "GET,HEAD,PATCH,DELETE"))
        .route("/utils/sort/{collection}", only(post(sort::sort), "POST"))
        .route(imports::UPLOAD, only(post(imports::import), "POST"))
        .route("/utils/import/jobs/{id}", only(get(imports::read).delete(imports::cancel), "GET,HEAD,DELETE"))
        .route("/utils/revert/{revision}", only(post(sort::revert), "POST"))
        .route("/reports/{collection}/tree", only(get(reports::tree), "GET,HEAD"))
        .route("/reports/{collection}/window", only(get(reports::window), "GET,HEAD"))
}

fn versions() -> Router<Gateway> {
    Router::new()
        .route("/versions/{key}/save", only(post(versions::save), "POST"))
        .route("/versions/{key}/compare", only(get(versions::compare), "GET,HEAD"))
        .route("/versions/{key}/promote", only(post(versions::promote), "POST"))
}

fn definitions() -> Router<Gateway> {
    let collections_of_all = get(collections::list).post(collections::create).patch(collections::update_many);
    let collection = get(collections::read).patch(collections::update).delete(collections::delete);
    let fields_of_one = get(fields::list_of).post(fields::create).patch(fields::update_many);
    let field = get(fields::read).patch(fields::update).delete(fields::delete);
    let relations_of_all = get(relations::list).post(relations::create);
    let relation = get(relations::read).patch(relations::update).delete(relations::delete);
    Router::new()
        .route("/collections", only(collections_of_all, "GET,HEAD,POST,PATCH"))
        .route("/collections/{collection}", only(collection, "GET,HEAD,PATCH,DELETE"))
        .route("/fields", only(get(fields::list), "GET,HEAD"))
        .route("/fields/{collection}", only(fields_of_one, "GET,HEAD,POST,PATCH"))
        .route("/fields/{collection}/{field}", only(field, "GET,HEAD,PATCH,DELETE"))
        .route("/relations", only(relations_of_all, "GET,HEAD,POST"))
        .route("/relations/{collection}", only(get(relations::list_of), "GET,HEAD"))
        .route("/relations/{collection}/{field}", only(relation, "GET,HEAD,PATCH,DELETE"))
        .route("/schema/snapshot", only(get(schema::snapshot), "GET,HEAD"))
        .route("/schema/diff", only(post(schema::diff), "POST"))
        .route("/schema/apply", only(post(schema::apply), "POST"))
}

fn people() -> Router<Gateway> {
    let api_key = get(api_keys::read).patch(api_keys::update).delete(api_keys::delete);
    Router::new()
        .route("/api-keys", only(get(api_keys::list).post(api_keys::create), "GET,HEAD,POST"))
        .route("/api-keys/{id}", only(api_key, "GET,HEAD,PATCH,DELETE"))
        .route("/.well-known/jwks.json", only(get(auth::public_keys), "GET,HEAD"))
        .route("/auth", only(get(auth::providers), "GET,HEAD"))
        .route("/auth/login", only(post(auth::login), "POST"))
        .route("/auth/login/{provider}", only(get(auth::sso::begin), "GET,HEAD"))
        .route(
            "/auth/login/{provider}/callback",
            only(get(auth::sso::finish).post(auth::sso::posted), "GET,HEAD,POST"),
        )
        .route("/auth/refresh", only(post(auth::refresh), "POST"))
        .route("/auth/logout", only(post(auth::logout), "POST"))
        .route("/shares/auth", only(post(shares::login), "POST"))
        .route("/shares/info/{share}", only(get(shares::read), "GET,HEAD"))
        .route("/users/me", only(get(users::me).patch(users::update_me), "GET,HEAD,PATCH"))
        .route("/roles/me", only(get(users::my_roles), "GET,HEAD"))
        .route("/permissions/me", only(get(permissions::mine), "GET,HEAD"))
        .route("/permissions/me/{collection}", only(get(permissions::of_singleton), "GET,HEAD"))
        .route("/permissions/me/{collection}/{key}", only(get(permissions::of_item), "GET,HEAD"))
        .route("/policies/me/globals", only(get(permissions::globals), "GET,HEAD"))
}

fn operations() -> Router<Gateway> {
    let endpoint =
        get(webhooks::read_endpoint).patch(webhooks::update_endpoint).delete(webhooks::delete_endpoint);
    let endpoints = get(webhooks::list_endpoints).post(webhooks::create_endpoint);
    Router::new()
        .route("/server/ping", only(get(server::ping), "GET,HEAD"))
        .route("/server/info", only(get(server::info), "GET,HEAD"))
        .route("/server/specs/oas", only(get(server::open_api), "GET,HEAD"))
        .route("/server/specs/asyncapi", only(get(server::async_api), "GET,HEAD"))
        .route("/server/specs/events/{version}", only(get(server::event_schema), "GET,HEAD"))
        .route("/server/health", only(get(server::health), "GET,HEAD"))
        .route("/events", only(get(events::subscribe).post(events::emit), "GET,POST"))
        .route("/events/{name}", only(get(events::one), "GET,HEAD"))
        .route("/analytics/metrics", only(get(analytics::metrics), "GET,HEAD"))
        .route("/hooks/runs", only(get(hooks::runs), "GET,HEAD"))
        .route("/webhooks/endpoints", only(endpoints, "GET,HEAD,POST"))
        .route("/webhooks/endpoints/{id}", only(endpoint, "GET,HEAD,PATCH,DELETE"))
        .route("/webhooks/deliveries", only(get(webhooks::list_deliveries), "GET,HEAD"))
}

/// These methods and no others; OPTIONS names them.
fn only(methods: MethodRouter<Gateway>, allowed: &'static str) -> MethodRouter<Gateway> {
    methods.fallback(move |method: Method, uri: Uri| async move { other(&method, &uri, allowed) })
}

/// As [`only`], and SEARCH.
fn searchable(methods: MethodRouter<Gateway>, allowed: &'static str) -> MethodRouter<Gateway> {
    methods.fallback(move |State(gateway): State<Gateway>, request: Request| {
        items::search(gateway, request, allowed)
    })
}

/// What a route says to a method that it does not know.
fn other(method: &Method, uri: &Uri, allowed: &'static str) -> Response {
    if method != Method::OPTIONS {
        return Failure::route_not_found(uri.path()).into_response();
    }
    let mut response = Response::new(Body::from(allowed));
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(allowed));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

async fn missing(request: Request) -> Failure {
    Failure::route_not_found(request.uri().path())
}

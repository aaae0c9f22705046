//! `/users`, `/roles` and the other system collections: the routes of items, at places of their own.

use axum::routing::{MethodRouter, get};
use axum::{Extension, Router};

use super::items::{self, Of};
use super::{only, searchable};
use crate::state::Gateway;

/// What can be done with the items of a system collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Methods {
    /// Everything.
    All,
    /// Reading.
    Read,
    /// Reading, and changing one by its key.
    ReadAndChange,
    /// Reading and changing its one item.
    Singleton,
}

use Methods::{All, Read, ReadAndChange, Singleton};

/// Path, collection, methods.
const COLLECTIONS: [(&str, &str, Methods); 21] = [
    ("/access", "directus_access", All),
    ("/activity", "directus_activity", Read),
    ("/comments", "directus_comments", All),
    ("/dashboards", "directus_dashboards", All),
    ("/extensions", "directus_extensions", ReadAndChange),
    ("/files", "directus_files", All),
    ("/flows", "directus_flows", All),
    ("/folders", "directus_folders", All),
    ("/notifications", "directus_notifications", All),
    ("/operations", "directus_operations", All),
    ("/panels", "directus_panels", All),
    ("/permissions", "directus_permissions", All),
    ("/policies", "directus_policies", All),
    ("/presets", "directus_presets", All),
    ("/revisions", "directus_revisions", Read),
    ("/roles", "directus_roles", All),
    ("/settings", "directus_settings", Singleton),
    ("/shares", "directus_shares", All),
    ("/translations", "directus_translations", All),
    ("/users", "directus_users", All),
    ("/versions", "directus_versions", All),
];

/// The routes of all of them.
pub fn routes() -> Router<Gateway> {
    COLLECTIONS.into_iter().fold(Router::new(), |router, (path, collection, methods)| {
        router.merge(of(path, methods).route_layer(Extension(Of(collection))))
    })
}

fn of(path: &str, methods: Methods) -> Router<Gateway> {
    let router = Router::new().route(path, collection(methods));
    let item = match methods {
        Singleton => return router,
        Read => only(get(items::read), "GET,HEAD"),
        ReadAndChange => only(get(items::read).patch(items::update), "GET,HEAD,PATCH"),
        All => only(get(items::read).patch(items::update).delete(items::delete), "GET,HEAD,PATCH,DELETE"),
    };
    router.route(&format!("{path}/{{key}}"), item)
}

fn collection(methods: Methods) -> MethodRouter<Gateway> {
    match methods {
        Singleton => only(get(items::list).patch(items::update_many), "GET,HEAD,PATCH"),
        Read | ReadAndChange => searchable(get(items::list), "SEARCH,GET,HEAD"),
        All => searchable(
            get(items::list).post(items::create).patch(items::update_many).delete(items::delete_many),
            "POST,SEARCH,GET,HEAD,PATCH,DELETE",
        ),
    }
}

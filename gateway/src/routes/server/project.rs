//! The public part of the settings, read through the items service and remembered for a few seconds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use model::Errors;
use proto::accounts::v1::ReadSetUpRequest;
use proto::items::v1::ReadItemsRequest;
use query::Query;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::state::Gateway;

/// How long an answer is believed.
const FRESH: Duration = Duration::from_secs(5);

const FIELDS: [&str; 17] = [
    "project_name",
    "project_descriptor",
    "project_logo",
    "project_color",
    "default_appearance",
    "default_theme_light",
    "default_theme_dark",
    "theme_light_overrides",
    "theme_dark_overrides",
    "default_language",
    "public_foreground",
    "public_background",
    "public_favicon",
    "public_note",
    "custom_css",
    "public_registration",
    "public_registration_verify_email",
];

/// What was last read. One request at a time asks for it anew.
#[derive(Debug, Default)]
pub struct Project {
    last: Mutex<Option<(Instant, Value)>>,
    /// There was an administrator: there always will be.
    set_up: AtomicBool,
}

impl Project {
    /// The project's public settings.
    ///
    /// # Errors
    /// The items service is away.
    pub async fn read(&self, gateway: &Gateway) -> Result<Value, Errors> {
        let mut last = self.last.lock().await;
        if let Some((_, project)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(project.clone());
        }
        let project = ask(gateway).await?;
        *last = Some((Instant::now(), project.clone()));
        Ok(project)
    }
}

impl Project {
    /// Whether there is an administrator.
    ///
    /// # Errors
    /// The auth service is away.
    pub async fn is_set_up(&self, gateway: &Gateway) -> Result<bool, Errors> {
        if self.set_up.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let request = gateway.own(ReadSetUpRequest {});
        let completed =
            gateway.accounts().read_set_up(request).await.map_err(rpc::errors)?.into_inner().completed;
        self.set_up.store(completed, Ordering::Relaxed);
        Ok(completed)
    }
}

async fn ask(gateway: &Gateway) -> Result<Value, Errors> {
    let fields = FIELDS.iter().map(|field| (*field).to_owned()).collect();
    let query = Query { fields: Some(fields), limit: Some(1), ..Query::default() };
    let collection = "directus_settings".to_owned();
    let query = query.to_bytes().into();
    let request = gateway.own(ReadItemsRequest { collection, query, keys: None, tags: false });
    let found = gateway.items().read_items(request).await.map_err(rpc::errors)?.into_inner();
    Ok(first(&found.items))
}

/// The settings' one item; where it was never written, nothing is set.
fn first(items: &Bytes) -> Value {
    match serde_json::from_slice(items) {
        Ok(Value::Array(mut list)) if !list.is_empty() => list.swap_remove(0),
        Ok(item @ Value::Object(_)) => item,
        _ => Value::Object(FIELDS.iter().map(|field| ((*field).to_owned(), Value::Null)).collect()),
    }
}

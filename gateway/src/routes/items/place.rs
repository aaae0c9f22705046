//! Which collection and item a request is about: by the route of a system collection, or by the path under `/items`.

use axum::extract::FromRequestParts;
use http::request::Parts;
use model::Error;

use crate::failure::Failure;
use crate::path::Names;
use crate::state::Gateway;

/// Put beside the requests of a system collection's routes: its name.
#[derive(Debug, Clone, Copy)]
pub struct Of(pub &'static str);

/// The collection.
#[derive(Debug, Clone)]
pub struct InCollection(pub String);

/// One item.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its collection.
    pub collection: String,
    /// Its key.
    pub key: String,
}

impl FromRequestParts<Gateway> for InCollection {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Failure> {
        if let Some(Of(collection)) = parts.extensions.get() {
            return Ok(Self((*collection).to_owned()));
        }
        let Names(collection) = Names::from_request_parts(parts, gateway).await?;
        Ok(Self(user_collection(collection)?))
    }
}

impl FromRequestParts<Gateway> for Item {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Failure> {
        if let Some(Of(collection)) = parts.extensions.get().copied() {
            let Names(key) = Names::from_request_parts(parts, gateway).await?;
            return Ok(Self { collection: collection.to_owned(), key });
        }
        let Names((collection, key)) = Names::from_request_parts(parts, gateway).await?;
        Ok(Self { collection: user_collection(collection)?, key })
    }
}

/// System collections have routes of their own.
fn user_collection(name: String) -> Result<String, Error> {
    if name.starts_with("directus_") { Err(Error::forbidden()) } else { Ok(name) }
}

//! Names in the path, decoded.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::state::Gateway;

/// The variable segments of the route, in order.
#[derive(Debug, Clone)]
pub struct Names<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Gateway> for Names<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Failure> {
        match Path::from_request_parts(parts, gateway).await {
            Ok(Path(names)) => Ok(Self(names)),
            // Bytes that are no text name nothing.
            Err(_) => Err(Failure::route_not_found(parts.uri.path())),
        }
    }
}

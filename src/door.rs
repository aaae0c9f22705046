//! The gRPC door of a process: one address for all services that it runs, with health and reflection.

use std::convert::Infallible;

use axum::body::Body;
use http::{Request, Response};
use rpc::Channel;
use tonic::service::Routes;
use tower::ServiceExt as _;

/// A gRPC service of this process by its full name.
pub struct Entry {
    /// `eventus.items.v1.ItemsService`
    pub service: &'static str,
    /// The way to it.
    pub channel: Channel,
}

/// Routes that lead each call to its service.
pub fn routes(entries: Vec<Entry>) -> Routes {
    let mut router = axum::Router::new();
    for Entry { service, channel } in entries {
        let call = tower::service_fn(move |request: Request<Body>| {
            let channel = channel.clone();
            async move {
                let request = request.map(tonic::body::Body::new);
                let response = match channel.oneshot(request).await {
                    Ok(response) => response,
                    Err(error) => tonic::Status::unavailable(error.to_string()).into_http(),
                };
                Ok::<Response<Body>, Infallible>(response.map(Body::new))
            }
        });
        router = router.route_service(&format!("/{service}/{{method}}"), call);
    }
    Routes::from(router)
}

//! Connections: accepted up to a limit, served until the soft stop, then finished.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::CONTENT_LENGTH;
use http::uri::PathAndQuery;
use http::{StatusCode, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use crate::client::Peer;
use crate::state::Gateway;

/// How long a connection may wait for (the rest of) a request's head.
const HEAD: Duration = Duration::from_secs(75);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 64 * 1024;
/// Before accepting again when the process has run out of something (file descriptors).
const RESPITE: Duration = Duration::from_millis(50);

/// Accepts until the soft stop. What runs then goes on, as tracked tasks.
///
/// # Errors
/// The listener is unusable.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    gateway: Gateway,
    runtime: chassis::Runtime,
) -> std::io::Result<()> {
    let places = Arc::new(Semaphore::new(gateway.config.connections));
    let stop = runtime.shutdown.soft().clone();
    tracing::info!(address = %listener.local_addr()?, "listening");
    loop {
        let next = async {
            // Never closed, so there always comes a place.
            let place = places.clone().acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = stop.cancelled() => return Ok(()),
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = connection(stream, peer, router.clone(), stop.clone());
                runtime.tasks.detach(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                tokio::time::sleep(RESPITE).await;
            }
        }
    }
}

/// One connection, until it ends or the stop: then the request under way is the last.
async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(router.clone(), peer, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection broke");
    }
}

async fn answer(
    mut router: Router,
    peer: SocketAddr,
    mut request: http::Request<Incoming>,
) -> Result<http::Response<Body>, Infallible> {
    if let Some(uri) = without_trailing_slash(request.uri()) {
        *request.uri_mut() = uri;
    }
    request.extensions_mut().insert(Peer(peer));
    let mut response = router.call(request).await?;
    if matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        // The router would have it that there is a body of no length.
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    Ok(response)
}

/// `/items/articles/` is `/items/articles`.
fn without_trailing_slash(uri: &Uri) -> Option<Uri> {
    let trimmed = uri.path().strip_suffix('/').filter(|path| !path.is_empty() && !path.ends_with('/'))?;
    let path = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{trimmed}?{query}")),
        None => PathAndQuery::try_from(trimmed),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path.ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::without_trailing_slash;

    #[test]
    fn one_trailing_slash_is_dropped() {
        let path =
            |uri: &'static str| without_trailing_slash(&Uri::from_static(uri)).map(|uri| uri.to_string());
        assert_eq!(path("/items/a/").as_deref(), Some("/items/a"));
        assert_eq!(path("/items/a/?x=/").as_deref(), Some("/items/a?x=/"));
        assert_eq!(path("/items/a"), None);
        assert_eq!(path("/"), None);
        assert_eq!(path("/a//"), None);
    }
}

//! `eventus receive`: a receiver of webhooks, for trying them out.
//!
//! Checks each delivery with the standardwebhooks library, as any receiver should, and prints what it got.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;

/// Serves `POST /` until the process is stopped. `secret` is the endpoint's `whsec_...`.
pub async fn serve(
    listener: TcpListener,
    secret: &str,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let webhook = Arc::new(Webhook::new(secret)?);
    println!("receiver: listening on http://{}", listener.local_addr()?);
    let router = Router::new().route("/", post(receive)).with_state(webhook);
    Ok(axum::serve(listener, router).await?)
}

async fn receive(State(webhook): State<Arc<Webhook>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned();
    match webhook.verify(&body, &headers) {
        Ok(()) => {
            println!("receiver: signature verified, webhook-id {}", header("webhook-id"));
            println!("receiver: {}", String::from_utf8_lossy(&body));
            StatusCode::NO_CONTENT
        }
        Err(error) => {
            println!("receiver: REFUSED {} ({error})", header("webhook-id"));
            StatusCode::UNAUTHORIZED
        }
    }
}

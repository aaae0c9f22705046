//! Prints every item event; started again, it goes on where it stopped. NATS_URL=nats://user:password@host:4222

use async_nats::jetstream::{self, consumer::pull};
use futures_util::StreamExt as _;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::args().nth(1).ok_or("usage: subscribe NATS_URL")?;
    let stream = jetstream::new(async_nats::connect(url).await?).get_stream("EVENTS").await?;
    let name = Some("printer-rs".to_owned());
    let settings = pull::Config { durable_name: name, filter_subject: "items.>".to_owned(), ..Default::default() };
    let mut messages = stream.get_or_create_consumer("printer-rs", settings).await?.messages().await?;
    while let Some(message) = messages.next().await {
        let message = message?;
        let event: serde_json::Value = serde_json::from_slice(&message.payload)?;
        println!("{} {} {} {} {}", event["position"], event["name"], event["collection"], event["key"], event["version"]);
        message.ack().await?;
    }
    Ok(())
}

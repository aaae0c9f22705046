//! Prints every item event; started again, it goes on where it stopped.
//! NATS_URL=nats://host:4222 NATS_USER=... NATS_PASSWORD=...
#![expect(clippy::disallowed_methods, reason = "a program of its own, outside the house")]

use std::env::var;

use async_nats::ConnectOptions;
use async_nats::jetstream::{self, consumer::pull};
use futures_util::StreamExt as _;

#[derive(serde::Deserialize)]
struct Event {
    position: i64,
    name: String,
    collection: String,
    key: String,
    version: i64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let options = ConnectOptions::with_user_and_password(var("NATS_USER")?, var("NATS_PASSWORD")?);
    let bus = jetstream::new(options.connect(var("NATS_URL")?).await?);
    let name = "printer-rs".to_owned();
    let settings = pull::Config {
        durable_name: Some(name.clone()),
        filter_subject: "items.>".to_owned(),
        ..Default::default()
    };
    let consumer = bus.get_stream("EVENTS").await?.get_or_create_consumer(&name, settings).await?;
    let mut messages = consumer.messages().await?;
    while let Some(message) = messages.next().await {
        let message = message?;
        let Event { position, name, collection, key, version } = serde_json::from_slice(&message.payload)?;
        println!("{position} {name} {collection} {key} {version}");
        message.ack().await?;
    }
    Ok(())
}

//! Creates an item and reads it back. EVENTUS_GRPC=http://127.0.0.1:9090, EVENTUS_TOKEN=a token
#![expect(clippy::disallowed_methods, reason = "a program of its own, outside the house")]

use std::time::Duration;

use proto::items::v1::items_service_client::ItemsServiceClient;
use proto::items::v1::{CreateItemsRequest, ReadItemRequest};
use serde_json::{Value, json};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Endpoint;
use tonic::{Request, Status};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let channel = Endpoint::from_shared(std::env::var("EVENTUS_GRPC")?)?
        .timeout(Duration::from_secs(5))
        .connect()
        .await?;
    let bearer: AsciiMetadataValue = format!("Bearer {}", std::env::var("EVENTUS_TOKEN")?).parse()?;
    let authorized = move |mut request: Request<()>| {
        request.metadata_mut().insert("authorization", bearer.clone());
        Ok(request)
    };
    let mut items = ItemsServiceClient::with_interceptor(channel, authorized);

    let payload = json!({"title": "Over gRPC"}).to_string().into();
    let create = CreateItemsRequest { collection: "articles".to_owned(), payload, ..Default::default() };
    let made = items.create_items(create).await?.into_inner();

    let key = made.keys.into_iter().next().ok_or("no key")?;
    let query = json!({"fields": ["id", "title"]}).to_string().into();
    let wanted = ReadItemRequest { collection: "articles".to_owned(), key, query, ..Default::default() };
    let read = items.read_item(wanted).await?;
    println!("{}", serde_json::from_slice::<Value>(&read.into_inner().item)?);

    let payload = json!({"title": null}).to_string().into();
    let create = CreateItemsRequest { collection: "articles".to_owned(), payload, ..Default::default() };
    if let Err(status) = items.create_items(create).await {
        println!("{:?} {}", status.code(), errors(&status)?[0]["code"]);
    }
    Ok(())
}

/// What Eventus says of a refusal: a list of `{code, message, extensions}`.
fn errors(status: &Status) -> Result<Value, Failure> {
    let errors = status.metadata().get_bin("eventus-errors-bin").ok_or("not refused by Eventus")?;
    Ok(serde_json::from_slice(&errors.to_bytes()?)?)
}

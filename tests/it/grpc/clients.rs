//! The documented clients, and what anybody may ask: health, and in development reflection.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::Value;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::{channel, channel_to};
use crate::example;
use crate::world::{TOKEN, World};

/// Both programs of docs/GRPC.md do what they say: create, read, be refused.
pub async fn documented(world: &World) {
    let mut rust = example::rust("items");
    rust.env("EVENTUS_GRPC", format!("http://{}", world.grpc));
    let mut python = python_with_stubs().await;
    python.0.env("EVENTUS_GRPC", world.grpc.to_string());
    for (mut command, refusal) in [(rust, "InvalidArgument"), (python.0, "INVALID_ARGUMENT")] {
        command.env("EVENTUS_TOKEN", TOKEN);
        let said = example::run(command).await;
        let lines: Vec<&str> = said.lines().collect();
        let item: Value = serde_json::from_str(&lines[0].replace('\'', "\"")).unwrap();
        assert_eq!(item["title"], "Over gRPC");
        let stored = world.api.get(&format!("/items/articles/{}", item["id"])).await.expect(200).data();
        assert_eq!(stored["title"], "Over gRPC");
        assert_eq!(lines[1].replace('"', ""), format!("{refusal} FAILED_VALIDATION"));
    }
}

/// The Python client, with stubs made by the command that the document tells.
async fn python_with_stubs() -> (tokio::process::Command, tempfile::TempDir) {
    let told = example::read("docs/GRPC.md");
    let told =
        told.lines().find_map(|line| line.strip_prefix("python -m grpc_tools.protoc ")).expect("the command");
    let stubs = tempfile::tempdir().unwrap();
    let mut make = example::python(&[]);
    make.current_dir(example::root()).args(["-m", "grpc_tools.protoc"]);
    make.args(told.split(' ').map(|part| part.replace("=stubs", &format!("={}", stubs.path().display()))));
    example::run(make).await;
    let mut python = example::python(&[stubs.path()]);
    python.arg(example::root().join("docs/examples/items.py"));
    (python, stubs)
}

async fn list_services(address: SocketAddr) -> Result<BTreeSet<String>, tonic::Status> {
    let mut client = ServerReflectionClient::new(channel_to(address).await);
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = client.server_reflection_info(futures_util::stream::iter([ask])).await?.into_inner();
    let answer = answers.message().await?.unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    Ok(list.service.into_iter().map(|service| service.name).collect())
}

/// Reflection names the services of these domains, and no others.
pub async fn reflected(address: SocketAddr, domains: &[&str]) {
    let capital = |word: &str| format!("{}{}", word[..1].to_uppercase(), &word[1..]);
    let names = domains.iter().map(|domain| format!("eventus.{domain}.v1.{}Service", capital(domain)));
    let of_keys = domains.contains(&"auth").then(|| "eventus.auth.v1.ApiKeyService".to_owned());
    let expected: BTreeSet<String> = names.chain(of_keys).collect();
    let found = list_services(address).await.unwrap();
    let ours: BTreeSet<String> = found.into_iter().filter(|name| name.starts_with("eventus.")).collect();
    assert_eq!(ours, expected);
}

/// Reflection is not there.
pub async fn not_reflected(world: &World) {
    assert_eq!(list_services(world.grpc).await.unwrap_err().code(), Code::Unimplemented);
}

async fn health(world: &World, service: &str) -> Result<ServingStatus, tonic::Status> {
    let mut client = HealthClient::new(channel(world).await);
    let answer = client.check(HealthCheckRequest { service: service.to_owned() }).await?;
    Ok(answer.into_inner().status())
}

/// Health v1 says that the service serves, to anybody.
pub async fn healthy(world: &World, service: &str) {
    assert_eq!(health(world, service).await.unwrap(), ServingStatus::Serving);
}

/// Health v1 does not know the service here.
pub async fn unknown_to_health(world: &World, service: &str) {
    assert_eq!(health(world, service).await.unwrap_err().code(), Code::NotFound);
}

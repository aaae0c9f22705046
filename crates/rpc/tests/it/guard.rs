//! Who gets in as whom.

use futures_util::StreamExt as _;
use model::{Accountability, ErrorCode, Errors, SystemClock};
use proto::events::v1::events_service_client::EventsServiceClient;
use proto::events::v1::{GetEventRequest, SubscribeRequest};
use rpc::{Caller, Signer};
use serde_json::{Value, json};
use time::Duration;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

use crate::stage::{PANIC, REFUSE, Stage, TOKEN, refusal, signer, told};

fn get(position: i64) -> Request<GetEventRequest> {
    Request::new(GetEventRequest { position, ..Default::default() })
}

fn with(pairs: &[(&'static str, &str)]) -> Request<GetEventRequest> {
    let mut request = get(1);
    for (name, value) in pairs {
        request.metadata_mut().append(*name, value.parse().unwrap());
    }
    request
}

fn user() -> Caller {
    let accountability = Accountability { user: Some(uuid::Uuid::from_u128(1)), ..Default::default() };
    Caller { request_id: Some("request-1".to_owned()), accountability, silent: false }
}

#[tokio::test]
async fn a_signed_caller_is_believed() {
    let stage = Stage::new().await;
    for channel in stage.channels() {
        let message = GetEventRequest { position: 1, ..Default::default() };
        let request = rpc::outgoing(&signer(), &SystemClock, &user(), message);
        let told = told(EventsServiceClient::new(channel).get_event(request).await.unwrap());
        assert_eq!(told["request_id"], "request-1");
        assert_eq!(told["accountability"], serde_json::to_value(user().accountability).unwrap());
    }
}

#[tokio::test]
async fn who_shows_nothing_is_the_public() {
    let stage = Stage::new().await;
    for channel in stage.channels() {
        let told = told(EventsServiceClient::new(channel).get_event(get(1)).await.unwrap());
        assert_eq!(told["accountability"]["user"], Value::Null);
        assert_eq!(told["accountability"]["admin"], false);
    }
    let told = told(EventsServiceClient::new(stage.remote()).get_event(get(1)).await.unwrap());
    assert_eq!(told["accountability"]["ip"], "127.0.0.1");
}

#[tokio::test]
async fn what_does_not_verify_is_refused_and_never_the_public() {
    let stage = Stage::new().await;
    let admin = Accountability { admin: true, ..Default::default() };
    let now = model::Clock::now(&SystemClock);
    let foreign = Signer::new("another secret").sign(&admin, now);
    let old = signer().sign(&admin, now - Duration::seconds(61));
    let good = signer().sign(&admin, now);
    let (head, tag) = good.rsplit_once('.').unwrap();
    let tampered = format!("{head}x.{tag}");
    let unsigned = format!("{head}.");
    let bearer = format!("Bearer {TOKEN}");
    let cases: Vec<Vec<(&str, &str)>> = vec![
        vec![("eventus-accountability", &foreign)],
        vec![("eventus-accountability", &old)],
        vec![("eventus-accountability", &tampered)],
        vec![("eventus-accountability", &unsigned)],
        vec![("eventus-accountability", "{\"admin\":true}")],
        vec![("eventus-accountability", "")],
        vec![("eventus-accountability", &foreign), ("authorization", &bearer)],
        vec![("eventus-accountability", &good), ("eventus-accountability", &good)],
        vec![("authorization", "Bearer wrong")],
        vec![("authorization", "Bearer ")],
        vec![("authorization", "Basic a25vd24tdG9rZW4=")],
        vec![("authorization", &bearer), ("authorization", &bearer)],
    ];
    for channel in stage.channels() {
        for case in &cases {
            let status = EventsServiceClient::new(channel.clone()).get_event(with(case)).await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated, "{case:?}");
            let Errors(errors) = rpc::errors(status);
            assert!(matches!(errors[0].code, ErrorCode::InvalidToken | ErrorCode::InvalidCredentials));
        }
    }
}

#[tokio::test]
async fn a_bearer_token_is_asked_about_and_never_makes_a_process() {
    let stage = Stage::new().await;
    let bearer = format!("bearer {TOKEN}");
    for channel in stage.channels() {
        let request = with(&[("authorization", &bearer), ("user-agent", "test/1")]);
        let told = told(EventsServiceClient::new(channel).get_event(request).await.unwrap());
        assert_eq!(told["accountability"]["user"], json!(uuid::Uuid::from_u128(7)));
        assert_eq!(told["accountability"]["process"], Value::Null);
    }
    // Both there: the signature counts.
    let signed = signer().sign(&user().accountability, model::Clock::now(&SystemClock));
    let request = with(&[("authorization", "Bearer wrong"), ("eventus-accountability", &signed)]);
    let told = told(EventsServiceClient::new(stage.remote()).get_event(request).await.unwrap());
    assert_eq!(told["accountability"]["user"], json!(uuid::Uuid::from_u128(1)));
}

#[tokio::test]
async fn errors_cross_the_wire_unchanged() {
    let stage = Stage::new().await;
    for channel in stage.channels() {
        let mut client = EventsServiceClient::new(channel);
        let status = client.get_event(get(REFUSE)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(rpc::errors(status), Errors::from(refusal()));
        // The same at the end of a stream.
        let request = SubscribeRequest { after: Some(REFUSE), ..Default::default() };
        let mut stream = client.subscribe(request).await.unwrap().into_inner();
        for _ in 0..3 {
            stream.next().await.unwrap().unwrap();
        }
        let status = stream.next().await.unwrap().unwrap_err();
        assert_eq!(rpc::errors(status), Errors::from(refusal()));
    }
}

#[tokio::test]
async fn a_panic_is_a_counted_internal_error_and_the_server_lives() {
    let stage = Stage::new().await;
    for channel in stage.channels() {
        let mut client = EventsServiceClient::new(channel);
        let status = client.get_event(get(PANIC)).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(rpc::errors(status), Errors::from(model::Error::internal()));
        let request = SubscribeRequest { after: Some(PANIC), ..Default::default() };
        let mut stream = client.subscribe(request).await.unwrap().into_inner();
        // Messages that were ready but not sent when it panicked may be lost; that it broke is not.
        let status = loop {
            match stream.next().await.expect("an error, not an end") {
                Ok(_) => {}
                Err(status) => break status,
            }
        };
        assert_eq!(rpc::errors(status), Errors::from(model::Error::internal()));
        assert!(client.get_event(get(1)).await.is_ok());
    }
    let metrics = chassis::metrics::render();
    let get = "eventus_rpc_requests_total{code=\"INTERNAL\",method=\"GetEvent\",service=\"eventus.events.v1.EventsService\"}";
    assert!(metrics.contains(get), "{metrics}");
    assert!(metrics.contains(&get.replace("GetEvent", "Subscribe")), "{metrics}");
    assert!(metrics.contains("eventus_panics_total"), "{metrics}");
    assert!(metrics.contains("eventus_rpc_seconds_count{method=\"GetEvent\""), "{metrics}");
}

#[tokio::test]
async fn health_and_reflection_need_nobody() {
    let stage = Stage::new().await;
    let component = stage.runtime.health.component("db");
    let channel = stage.remote();
    let mut health = HealthClient::new(channel.clone());
    let ask = |service: &str| {
        // Even a broken signature does not matter here: probes show none or anything.
        let mut request = Request::new(HealthCheckRequest { service: service.to_owned() });
        request.metadata_mut().insert("eventus-accountability", "nonsense".parse().unwrap());
        request
    };
    let mut watch = health.watch(ask("")).await.unwrap().into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().status, 2, "not serving");
    component.up();
    assert_eq!(watch.next().await.unwrap().unwrap().status, 1, "serving");
    let check = health.check(ask("eventus.events.v1.EventsService")).await.unwrap();
    assert_eq!(check.into_inner().status, 1);
    assert_eq!(health.check(ask("no.such")).await.unwrap_err().code(), Code::NotFound);
    component.down("away");
    assert_eq!(watch.next().await.unwrap().unwrap().status, 2, "not serving");

    let list = v1::ServerReflectionRequest {
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let mut answers = client.server_reflection_info(tokio_stream::iter([list])).await.unwrap().into_inner();
    let answer = format!("{:?}", answers.next().await.unwrap().unwrap());
    assert!(answer.contains("eventus.events.v1.EventsService"), "{answer}");
    assert!(!answer.contains("AuthService"), "only what is served here: {answer}");

    let file = v1alpha::ServerReflectionRequest {
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
            "eventus.events.v1.EventsService".to_owned(),
        )),
        ..Default::default()
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let mut answers = client.server_reflection_info(tokio_stream::iter([file])).await.unwrap().into_inner();
    let answer = format!("{:?}", answers.next().await.unwrap().unwrap());
    assert!(answer.contains("FileDescriptorResponse"), "{answer}");
}

#[tokio::test]
async fn what_no_contract_names_is_unimplemented_and_makes_no_metric() {
    let stage = Stage::new().await;
    let path = "/made.up.Service/Method";
    for mut channel in stage.channels() {
        let uri: http::Uri = format!("http://localhost{path}").parse().unwrap();
        let request = http::Request::post(uri).header("content-type", "application/grpc");
        std::future::poll_fn(|context| tower_service::Service::poll_ready(&mut channel, context))
            .await
            .unwrap();
        let request = request.body(tonic::body::Body::empty()).unwrap();
        let response = tower_service::Service::call(&mut channel, request).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], "12");
    }
    assert!(!chassis::metrics::render().contains("made.up"));
}

//! The gRPC face.

use model::{Accountability, ErrorCode};
use proto::webhooks::v1::{
    CreateEndpointRequest, EndpointRequest, ListDeliveriesRequest, ListEndpointsRequest,
    UpdateEndpointRequest,
};
use tonic::Status;

use crate::world::{World, config};

fn code(status: Status) -> ErrorCode {
    rpc::errors(status).0[0].code
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_made_read_changed_and_deleted() {
    let world = World::start().await;
    let worker = world.worker(config()).await;
    let mut client = worker.client.clone();
    let made = worker.endpoint("https://example.com/hook", &["items.*", "auth.login"]).await;
    assert!(made.enabled && made.secret.starts_with("whsec_"));
    assert_eq!(outbound::sign::Secret::parse(&made.secret).unwrap().expose(), made.secret);
    let id = EndpointRequest { id: made.id.clone() };
    let read = client.get_endpoint(worker.call(id.clone())).await.unwrap().into_inner();
    assert_eq!(read.secret, "");
    assert_eq!((&read.url, &read.events, &read.created), (&made.url, &made.events, &made.created));
    let change = UpdateEndpointRequest {
        id: made.id.clone(),
        url: Some("https://example.com/other".to_owned()),
        events: vec!["*".to_owned()],
        enabled: Some(false),
        name: Some("Shop".to_owned()),
    };
    let changed = client.update_endpoint(worker.call(change)).await.unwrap().into_inner();
    assert_eq!((changed.url.as_str(), changed.name.as_str()), ("https://example.com/other", "Shop"));
    assert_eq!((changed.events.as_slice(), changed.enabled), (["*".to_owned()].as_slice(), false));
    assert_eq!(changed.secret, "");
    // What is not given stays.
    let nothing = UpdateEndpointRequest { id: made.id.clone(), ..Default::default() };
    assert_eq!(client.update_endpoint(worker.call(nothing)).await.unwrap().into_inner(), changed);
    let listed = client.list_endpoints(worker.call(ListEndpointsRequest {})).await.unwrap().into_inner();
    assert_eq!(listed.endpoints, [changed]);
    client.delete_endpoint(worker.call(id.clone())).await.unwrap();
    for id in [id.id.as_str(), "01890a5d-ac96-774b-bcce-b302099a8057", "no id", ""] {
        let id = EndpointRequest { id: id.to_owned() };
        assert_eq!(
            code(client.get_endpoint(worker.call(id.clone())).await.unwrap_err()),
            ErrorCode::Forbidden
        );
        assert_eq!(code(client.delete_endpoint(worker.call(id)).await.unwrap_err()), ErrorCode::Forbidden);
    }
    assert_eq!(world.number("SELECT version FROM eventus.control WHERE topic = 'webhooks'").await, 5);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_and_not_stored() {
    let world = World::start().await;
    let worker = world.worker(config()).await;
    let mut client = worker.client.clone();
    let good = || CreateEndpointRequest {
        url: "https://example.com/".to_owned(),
        events: vec!["*".to_owned()],
        name: String::new(),
        secret: String::new(),
    };
    let mut bad = Vec::new();
    for url in [
        "",
        "example.com",
        "ftp://example.com/",
        "https://user@example.com/",
        "http://127.0.0.2/",
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://169.254.169.254/latest",
        "http://2130706433/",
        "https://example.com:22000000/",
        "http://localhost./",
        "http://8.8.8.8:22/",
    ] {
        bad.push(CreateEndpointRequest { url: url.to_owned(), ..good() });
    }
    bad.push(CreateEndpointRequest { events: Vec::new(), ..good() });
    bad.push(CreateEndpointRequest { events: vec!["*".to_owned(); 101], ..good() });
    bad.push(CreateEndpointRequest { events: vec!["*".to_owned(), "items".to_owned()], ..good() });
    bad.push(CreateEndpointRequest { name: "a\0b".to_owned(), ..good() });
    bad.push(CreateEndpointRequest { secret: "whsec_short".to_owned(), ..good() });
    for request in bad {
        let refused = client.create_endpoint(worker.call(request.clone())).await;
        assert_eq!(code(refused.unwrap_err()), ErrorCode::InvalidPayload, "{request:?}");
    }
    assert_eq!(world.number("SELECT count(*) FROM eventus.webhook_endpoints").await, 0);
    let secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".to_owned();
    let own = CreateEndpointRequest { secret: secret.clone(), ..good() };
    let made = client.create_endpoint(worker.call(own)).await.unwrap().into_inner();
    assert_eq!(made.secret, secret);
    let change =
        UpdateEndpointRequest { id: made.id, url: Some("http://10.0.0.1/".to_owned()), ..Default::default() };
    assert_eq!(
        code(client.update_endpoint(worker.call(change)).await.unwrap_err()),
        ErrorCode::InvalidPayload
    );
    let list = ListDeliveriesRequest { limit: 5_000, ..Default::default() };
    assert_eq!(code(client.list_deliveries(worker.call(list)).await.unwrap_err()), ErrorCode::InvalidQuery);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_see_or_change_endpoints() {
    let world = World::start().await;
    let worker = world.worker(config()).await;
    let made = worker.endpoint("https://example.com/", &["*"]).await;
    let mut client = worker.client.clone();
    let id = EndpointRequest { id: made.id.clone() };
    for who in [Accountability::default(), Accountability { app: true, ..Accountability::default() }] {
        macro_rules! refused {
            ($call:ident, $message:expr) => {
                let status = client.$call(worker.call_as(who.clone(), $message)).await.unwrap_err();
                assert_eq!(code(status), ErrorCode::Forbidden, stringify!($call));
            };
        }
        refused!(list_endpoints, ListEndpointsRequest {});
        refused!(get_endpoint, id.clone());
        refused!(create_endpoint, CreateEndpointRequest::default());
        refused!(update_endpoint, UpdateEndpointRequest::default());
        refused!(delete_endpoint, id.clone());
        refused!(list_deliveries, ListDeliveriesRequest::default());
    }
    assert_eq!(world.number("SELECT count(*) FROM eventus.webhook_endpoints").await, 1);
    worker.stop().await;
}

//! The in-process way: late binding, deadlines, giving up.

use std::sync::atomic::Ordering;
use std::time::Duration;

use model::{ErrorCode, Errors};
use proto::events::v1::GetEventRequest;
use proto::events::v1::events_service_client::EventsServiceClient;
use proto::events::v1::events_service_server::EventsServiceServer;
use rpc::{Channel, LocalSlot};
use tonic::service::Routes;
use tonic::{Code, Request};

use crate::stage::{Events, HANG, Stage};

#[tokio::test]
async fn a_call_before_binding_is_unavailable_and_after_it_arrives() {
    let slot = LocalSlot::new();
    let mut client = EventsServiceClient::new(Channel::local(&slot));
    let status = client.get_event(GetEventRequest { position: 1, ..Default::default() }).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let Errors(errors) = rpc::errors(status);
    assert_eq!((errors[0].code, errors[0].retry_after), (ErrorCode::ServiceUnavailable, Some(1)));
    slot.clone().bind(Routes::new(EventsServiceServer::new(Events::default())));
    assert_eq!(
        client
            .get_event(GetEventRequest { position: 5, ..Default::default() })
            .await
            .unwrap()
            .into_inner()
            .position,
        5
    );
}

#[tokio::test]
async fn a_peer_that_is_away_is_unavailable_and_comes_back() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let channel = Channel::connect_lazy(format!("http://{address}"), None).unwrap();
    let mut client = EventsServiceClient::new(channel);
    let status = client.get_event(GetEventRequest { position: 1, ..Default::default() }).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let serving = tonic::transport::Server::builder()
        .add_service(EventsServiceServer::new(Events::default()))
        .serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener));
    tokio::select! {
        _ = serving => unreachable!(),
        answer = client.get_event(GetEventRequest { position: 1, ..Default::default() }) => assert!(answer.is_ok()),
    }
    assert!(Channel::connect_lazy("not an address", None).is_err());
}

#[tokio::test]
async fn deadlines_hold_both_ways() {
    let stage = Stage::new().await;
    for channel in stage.channels() {
        let mut request = Request::new(GetEventRequest { position: HANG, ..Default::default() });
        request.set_timeout(Duration::from_millis(50));
        let status = EventsServiceClient::new(channel).get_event(request).await.unwrap_err();
        assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
        assert_eq!(rpc::errors(status).status(), 503);
    }
}

#[tokio::test]
async fn who_gives_up_drops_the_work() {
    let stage = Stage::new().await;
    for channel in stage.channels() {
        let mut client = EventsServiceClient::new(channel);
        let call = client.get_event(GetEventRequest { position: HANG, ..Default::default() });
        let begun = async {
            while stage.alive.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = call => unreachable!("it hangs"),
            () = begun => {}
        }
        let ended = async {
            while stage.alive.load(Ordering::SeqCst) != 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), ended).await.expect("the handler is dropped");
    }
}

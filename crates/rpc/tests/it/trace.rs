//! One trace through several processes.

use model::{SystemClock, TraceParent};
use proto::events::v1::GetEventRequest;
use proto::events::v1::events_service_client::EventsServiceClient;
use rpc::Caller;
use tracing::Instrument as _;

use crate::stage::{Events, Stage, signer, told};

const INCOMING: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn trace_id(value: &serde_json::Value) -> String {
    TraceParent::parse(value.as_str().expect("in a trace")).unwrap().trace_id().to_owned()
}

#[tokio::test]
async fn an_incoming_trace_goes_on_over_two_hops() {
    let last = Stage::new().await;
    for channel in last.channels() {
        let next = Some(EventsServiceClient::new(channel));
        let first = Stage::with(Events { next, ..Events::default() }).await;
        for channel in first.channels() {
            let mut client = EventsServiceClient::new(channel);
            let mut request = tonic::Request::new(GetEventRequest { position: 1, ..Default::default() });
            request.metadata_mut().insert("traceparent", INCOMING.parse().unwrap());
            let told = told(client.get_event(request).await.unwrap());
            assert_eq!(trace_id(&told["trace"]), "4bf92f3577b34da6a3ce929d0e0e4736");
            assert_eq!(trace_id(&told["next"]["trace"]), "4bf92f3577b34da6a3ce929d0e0e4736");
            assert_ne!(told["trace"], told["next"]["trace"], "each hop is a span");
        }
    }
}

#[tokio::test]
async fn a_call_carries_the_span_around_it() {
    let stage = Stage::new().await;
    for channel in stage.channels() {
        let mut client = EventsServiceClient::new(channel);
        let call = async {
            let ours = chassis::trace::current().unwrap();
            let message = GetEventRequest { position: 1, ..Default::default() };
            let request = rpc::outgoing(&signer(), &SystemClock, &Caller::process("test"), message);
            (ours, told(client.get_event(request).await.unwrap()))
        };
        let (ours, told) = call.instrument(tracing::info_span!("request")).await;
        assert_eq!(trace_id(&told["trace"]), ours.trace_id());
    }
}

#[tokio::test]
async fn a_call_without_a_trace_begins_one() {
    let stage = Stage::new().await;
    for channel in stage.channels() {
        let mut client = EventsServiceClient::new(channel);
        let ids = [1, 2].map(|position| {
            let mut client = client.clone();
            async move {
                let request = tonic::Request::new(GetEventRequest { position, ..Default::default() });
                trace_id(&told(client.get_event(request).await.unwrap())["trace"])
            }
        });
        let [one, two] = ids;
        assert_ne!(one.await, two.await);
        let mut broken = tonic::Request::new(GetEventRequest { position: 1, ..Default::default() });
        broken.metadata_mut().insert("traceparent", "00-nonsense".parse().unwrap());
        trace_id(&told(client.get_event(broken).await.unwrap())["trace"]);
    }
}

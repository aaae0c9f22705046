//! Methods that are called as they are within a process.

use std::sync::Arc;

use chassis::{Runtime, Shutdown};
use model::{Accountability, Errors, SystemClock};
use proto::events::v1::{EventMessage, GetEventRequest};
use rpc::{Caller, Channel, Guard, LocalSlot, Server};
use tonic::Code;
use tracing::Instrument as _;

use crate::stage::{PANIC, REFUSE, refusal, signer, telemetry};

const METHOD: &str = "/eventus.events.v1.EventsService/GetEvent";

/// A process that tells who called, and in which trace.
async fn process() -> (LocalSlot, Runtime) {
    let _ = telemetry();
    let (slot, runtime) = (LocalSlot::new(), Runtime::new(Shutdown::new()));
    let guard = Guard::new(signer(), Arc::new(SystemClock), None);
    let work = |caller: Caller, GetEventRequest { position, .. }| {
        let work = async move {
            match position {
                PANIC => panic!("for the test"),
                REFUSE => return Err(rpc::status(refusal().into())),
                _ => {}
            }
            let trace = chassis::trace::current().map(|trace| trace.as_str().to_owned());
            let told = serde_json::json!({"trace": trace, "accountability": caller.accountability});
            Ok(EventMessage { position, event: told.to_string().into(), ..Default::default() })
        };
        Box::pin(work) as futures_util::future::BoxFuture<'static, _>
    };
    let server = Server::new(guard).direct(METHOD, work).local(slot.clone());
    let (serving, bound) = (runtime.clone(), slot.clone());
    runtime.tasks.spawn("rpc", async move { rpc::serve(server, &serving).await });
    while !bound.is_bound() {
        tokio::task::yield_now().await;
    }
    (slot, runtime)
}

#[tokio::test]
async fn a_call_knows_its_caller_and_its_trace_and_ends_well_or_badly() {
    let (slot, _runtime) = process().await;
    let method = Channel::local(&slot).direct::<GetEventRequest, EventMessage>().expect("it is here");
    let caller = Caller::process("test");
    let call = async |position| {
        method.call(caller.clone(), GetEventRequest { position, ..Default::default() }).await
    };
    let told = async {
        let ours = chassis::trace::current().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&call(1).await.unwrap().event).unwrap();
        let trace = model::TraceParent::parse(told["trace"].as_str().unwrap()).unwrap();
        assert_eq!(trace, ours, "nobody exports spans: it belongs to the one around it");
        told
    };
    let told = told.instrument(tracing::info_span!("request")).await;
    let who: Accountability = serde_json::from_value(told["accountability"].clone()).unwrap();
    assert_eq!(who, caller.accountability);
    assert_eq!(rpc::errors(call(REFUSE).await.unwrap_err()), Errors::from(refusal()));
    let broken = call(PANIC).await.unwrap_err();
    assert_eq!(broken.code(), Code::Internal);
    assert_eq!(rpc::errors(broken), Errors::from(model::Error::internal()));
    let metrics = chassis::metrics::render();
    for code in ["OK", "INTERNAL", "INVALID_ARGUMENT"] {
        let line = format!("eventus_rpc_requests_total{{code=\"{code}\",method=\"GetEvent\"");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn elsewhere_there_is_none() {
    let (slot, _runtime) = process().await;
    let find = |channel: Channel| channel.direct::<GetEventRequest, EventMessage>().is_some();
    assert!(find(Channel::local(&slot)));
    assert!(!find(Channel::local(&LocalSlot::new())), "not started yet");
    assert!(!find(Channel::connect_lazy("http://127.0.0.1:1", None).unwrap()), "in another process");
    assert!(Channel::local(&slot).direct::<GetEventRequest, ()>().is_none(), "not that answer");
}

//! Calls that share a stream between two processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chassis::{Runtime, Shutdown};
use futures_util::future::{BoxFuture, join_all};
use model::{Accountability, Errors, SystemClock};
use proto::calls::v1::calls_service_client::CallsServiceClient;
use proto::calls::v1::{CarryRequest, CarryResponse};
use proto::events::v1::{EventMessage, GetEventRequest};
use rpc::{Caller, Channel, Guard, Server, Signer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::{Code, Status};
use tracing::Instrument as _;

use crate::stage::{HANG, PANIC, REFUSE, Stage, refusal, signer, telemetry};

const METHOD: &str = "/eventus.events.v1.EventsService/GetEvent";
/// Makes the answer long.
const LONG: i64 = -10;
const SOON: Duration = Duration::from_secs(10);

/// A process that tells who called, and in which trace.
struct Process {
    url: String,
    runtime: Runtime,
    /// Calls whose work has not ended.
    alive: Arc<AtomicUsize>,
    /// Who hangs goes on with one of these.
    go: Arc<Semaphore>,
}

struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Process {
    async fn new() -> Self {
        let _ = telemetry();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let runtime = Runtime::new(Shutdown::new());
        let (alive, go) = (Arc::<AtomicUsize>::default(), Arc::new(Semaphore::new(0)));
        let (counted, gate) = (alive.clone(), go.clone());
        let work = move |caller: Caller, GetEventRequest { position, .. }| {
            let (counted, gate) = (counted.clone(), gate.clone());
            counted.fetch_add(1, Ordering::SeqCst);
            let alive = Alive(counted);
            let work = async move {
                let _alive = alive;
                match position {
                    PANIC => panic!("for the test"),
                    REFUSE => return Err(rpc::status(refusal().into())),
                    LONG => {
                        let event = (0..5_000_000_u32).map(|at| (at % 251) as u8).collect::<Vec<u8>>().into();
                        return Ok(EventMessage { position, event, ..Default::default() });
                    }
                    HANG => gate.acquire().await.unwrap().forget(),
                    _ => {}
                }
                let trace = chassis::trace::current().map(|trace| trace.as_str().to_owned());
                let told = serde_json::json!({
                    "trace": trace, "accountability": caller.accountability, "request": caller.request_id,
                });
                Ok(EventMessage { position, event: told.to_string().into(), ..Default::default() })
            };
            Box::pin(work) as BoxFuture<'static, _>
        };
        let guard = Guard::new(signer(), Arc::new(SystemClock), None);
        let server = Server::new(guard).direct(METHOD, work).tcp(Some(listener));
        let serving = runtime.clone();
        runtime.tasks.spawn("rpc", async move { rpc::serve(server, &serving).await });
        Self { url, runtime, alive, go }
    }

    fn channel(&self) -> Channel {
        Channel::connect_lazy(self.url.clone(), None).unwrap()
    }

    async fn alive(&self, many: usize) {
        let waits = async {
            while self.alive.load(Ordering::SeqCst) != many {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(SOON, waits).await.unwrap_or_else(|_| panic!("not {many} at work"));
    }
}

fn by() -> Caller {
    let accountability = Accountability { user: Some(uuid::Uuid::from_u128(7)), ..Accountability::default() };
    Caller { request_id: Some("r-1".to_owned()), accountability, silent: false }
}

async fn call_as(channel: &Channel, signer: &Signer, position: i64) -> Option<Result<EventMessage, Status>> {
    let message = GetEventRequest { position, ..Default::default() };
    timeout(SOON, channel.carry(METHOD, signer, &SystemClock, &by(), &message)).await.expect("an answer")
}

async fn call(channel: &Channel, position: i64) -> Result<EventMessage, Status> {
    call_as(channel, &signer(), position).await.expect("carried")
}

#[tokio::test]
async fn each_call_has_its_own_answer_caller_and_trace() {
    let process = Process::new().await;
    let channel = process.channel();
    let asked = (1..=500).map(|position| {
        let channel = channel.clone();
        async move {
            let told = async {
                let ours = chassis::trace::current().unwrap();
                let answer = call(&channel, position).await.unwrap();
                (ours, answer)
            };
            let (ours, answer) = told.instrument(tracing::info_span!("request")).await;
            assert_eq!(answer.position, position);
            let told: serde_json::Value = serde_json::from_slice(&answer.event).unwrap();
            let trace = model::TraceParent::parse(told["trace"].as_str().unwrap()).unwrap();
            assert_eq!(trace.trace_id(), ours.trace_id());
            assert_ne!(trace, ours, "the call is a span of its own");
            assert_eq!(told["request"], "r-1");
            let who: Accountability = serde_json::from_value(told["accountability"].clone()).unwrap();
            assert_eq!(who, by().accountability);
        }
    });
    join_all(asked).await;
    assert_eq!(rpc::errors(call(&channel, REFUSE).await.unwrap_err()), Errors::from(refusal()));
    let broken = call(&channel, PANIC).await.unwrap_err();
    assert_eq!(rpc::errors(broken), Errors::from(model::Error::internal()));
    assert_eq!(call(&channel, 1).await.unwrap().position, 1, "the stream goes on");
}

#[tokio::test]
async fn long_answers_let_others_through_and_long_messages_go_by_themselves() {
    let process = Process::new().await;
    let channel = process.channel();
    let long = join_all((0..5).map(|_| call(&channel, LONG)));
    let short = join_all((1..=50).map(|position| call(&channel, position)));
    let (long, short) = futures_util::future::join(long, short).await;
    for answer in long {
        let event = answer.unwrap().event;
        assert_eq!(event.len(), 5_000_000);
        assert!(event.iter().zip((0..251).cycle()).all(|(byte, expected)| *byte == expected));
    }
    assert!(short.iter().zip(1..).all(|(answer, position)| answer.as_ref().unwrap().position == position));
    let message =
        proto::items::v1::CreateItemsRequest { payload: vec![b' '; 300_000].into(), ..Default::default() };
    let signer = signer();
    let carried = channel.carry::<_, EventMessage>(METHOD, &signer, &SystemClock, &by(), &message).await;
    assert!(carried.is_none());
}

#[tokio::test]
async fn who_gives_up_stops_the_work() {
    let process = Process::new().await;
    let channel = process.channel();
    let message = GetEventRequest { position: HANG, ..Default::default() };
    let (signer, caller) = (signer(), by());
    {
        let waits = channel.carry::<_, EventMessage>(METHOD, &signer, &SystemClock, &caller, &message);
        tokio::select! {
            _ = waits => panic!("it hangs"),
            () = process.alive(1) => {}
        }
    }
    process.alive(0).await;
    assert_eq!(call(&channel, 1).await.unwrap().position, 1);
}

#[tokio::test]
async fn who_stops_answers_what_it_was_asked_and_is_asked_nothing_more() {
    let process = Process::new().await;
    let channel = process.channel();
    let hang = (0..20).map(|_| call(&channel, HANG));
    let stop = async {
        process.alive(20).await;
        process.runtime.shutdown.begin();
        // New calls find nobody; those under way are not harmed by that.
        let refused = async {
            while call(&channel, 1).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(SOON, refused).await.unwrap();
        process.go.add_permits(20);
    };
    let (answers, ()) = futures_util::future::join(join_all(hang), stop).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.position == HANG)));
    timeout(SOON, process.runtime.tasks.drain()).await.expect("the stream ends with its calls");
}

#[tokio::test]
async fn a_process_that_dies_leaves_nobody_waiting_and_is_found_again() {
    let process = Process::new().await;
    let channel = process.channel();
    let died = async {
        process.alive(1).await;
        process.runtime.shutdown.begin_hard();
    };
    let (answer, ()) = futures_util::future::join(call(&channel, HANG), died).await;
    let errors = rpc::errors(answer.unwrap_err());
    assert_eq!(errors.0[0].code, model::ErrorCode::ServiceUnavailable);
    process.alive(0).await;
    let away = call(&channel, 1).await.unwrap_err();
    assert_eq!(rpc::errors(away).0[0].code, model::ErrorCode::ServiceUnavailable);
}

#[tokio::test]
async fn nobody_calls_without_a_signature_of_the_fleet() {
    let process = Process::new().await;
    // The stream itself.
    let foreign = call_as(&process.channel(), &Signer::new("another secret"), 1).await.unwrap();
    assert_eq!(foreign.unwrap_err().code(), Code::Unauthenticated);
    let public = CallsServiceClient::new(process.channel()).carry(tokio_stream::empty()).await;
    assert_eq!(public.unwrap_err().code(), Code::PermissionDenied);
    // A call on a good stream.
    let calls = [
        ("", METHOD),
        ("nonsense", METHOD),
        (
            &*Signer::new("another secret")
                .sign(&Accountability::process("x"), model::Clock::now(&SystemClock)),
            METHOD,
        ),
        (&*signer().sign(&by().accountability, model::Clock::now(&SystemClock)), METHOD),
        (
            &*signer().sign(&by().accountability, model::Clock::now(&SystemClock)),
            "/eventus.events.v1.EventsService/Emit",
        ),
    ];
    let calls: Vec<CarryRequest> = calls
        .iter()
        .zip(1..)
        .map(|((accountability, method), id)| CarryRequest {
            id,
            method: (*method).to_owned(),
            accountability: (*accountability).to_owned(),
            ..CarryRequest::default()
        })
        .collect();
    let request = rpc::outgoing(&signer(), &SystemClock, &Caller::process("test"), tokio_stream::iter(calls));
    let mut answers = CallsServiceClient::new(process.channel()).carry(request).await.unwrap().into_inner();
    let mut told: Vec<CarryResponse> = Vec::new();
    while let Some(answer) = timeout(SOON, answers.message()).await.unwrap().unwrap() {
        told.push(answer);
    }
    told.sort_by_key(|answer| answer.id);
    let codes: Vec<(Code, bool)> =
        told.iter().map(|answer| (Code::from_i32(answer.code), answer.unknown)).collect();
    let refused = (Code::Unauthenticated, false);
    assert_eq!(codes, [refused, refused, refused, (Code::Ok, false), (Code::Ok, true)]);
}

#[tokio::test]
async fn where_nothing_is_carried_callers_are_told_so() {
    let stage = Stage::new().await;
    let [remote, local] = stage.channels();
    for channel in [remote, local] {
        for _ in 0..3 {
            assert!(call_as(&channel, &signer(), 1).await.is_none());
        }
    }
}

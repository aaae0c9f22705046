//! What a call costs, in time on the processor (other work on the machine does not count). Prints the figures; a
//! release build is held to the target.

use std::time::Duration;

use model::{Accountability, SystemClock};
use proto::events::v1::GetEventRequest;
use proto::events::v1::events_service_client::EventsServiceClient;
use rpc::{Caller, Channel};
use tracing::Instrument as _;

use crate::stage::{Stage, signer};

/// Time that this thread has had on the processor.
fn worked() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

async fn per_call(channel: Channel, rounds: u32) -> f64 {
    let mut client = EventsServiceClient::new(channel);
    let policies = vec![uuid::Uuid::from_u128(3)];
    let accountability =
        Accountability { user: Some(uuid::Uuid::from_u128(1)), policies, ..Accountability::default() };
    let caller = Caller {
        request_id: Some("0190b7a0-0000-7000-8000-000000000000".to_owned()),
        accountability,
        silent: false,
    };
    let signer = signer();
    let mut best = f64::MAX;
    for _ in 0..5 {
        let started = worked();
        for _ in 0..rounds {
            let request = rpc::outgoing(
                &signer,
                &SystemClock,
                &caller,
                GetEventRequest { position: 1, ..Default::default() },
            );
            client.get_event(request).await.unwrap();
        }
        best = best.min((worked() - started).as_secs_f64() * 1e6 / f64::from(rounds));
    }
    best
}

#[test]
fn a_signature_is_cheap() {
    let signer = signer();
    let now = model::Clock::now(&SystemClock);
    let accountability = Accountability { user: Some(uuid::Uuid::from_u128(1)), ..Accountability::default() };
    let started = worked();
    let rounds = 2_000;
    let signed = (0..rounds).fold(String::new(), |_, _| signer.sign(&accountability, now));
    let signing = (worked() - started) / rounds;
    let started = worked();
    for _ in 0..rounds {
        signer.verify(&signed, now).unwrap();
    }
    println!("sign {signing:?}, verify {:?}", (worked() - started) / rounds);
}

#[tokio::test]
async fn a_call_within_the_process_is_cheap() {
    let stage = Stage::new().await;
    let rounds = if cfg!(debug_assertions) { 200 } else { 20_000 };
    let [remote, local] = stage.channels();
    let in_process = per_call(local, rounds).instrument(tracing::info_span!("request")).await;
    let remote = per_call(remote, rounds / 10).instrument(tracing::info_span!("request")).await;
    println!("in process {in_process:.1} us, over TCP (both ends) {remote:.1} us");
    if !cfg!(debug_assertions) {
        assert!(in_process < 20.0, "{in_process} us");
    }
}

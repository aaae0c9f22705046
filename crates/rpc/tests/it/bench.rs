//! What a call costs. Prints the figures; in a release build they are held to the target.

use std::time::Instant;

use model::{Accountability, SystemClock};
use proto::events::v1::GetEventRequest;
use proto::events::v1::events_service_client::EventsServiceClient;
use rpc::{Caller, Channel};
use tracing::Instrument as _;

use crate::stage::{Stage, signer};

async fn per_call(channel: Channel, rounds: u32) -> f64 {
    let mut client = EventsServiceClient::new(channel);
    let policies = vec![uuid::Uuid::from_u128(3)];
    let accountability =
        Accountability { user: Some(uuid::Uuid::from_u128(1)), policies, ..Accountability::default() };
    let caller =
        Caller { request_id: Some("0190b7a0-0000-7000-8000-000000000000".to_owned()), accountability };
    let mut best = f64::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        for _ in 0..rounds {
            let request = rpc::outgoing(&signer(), &SystemClock, &caller, GetEventRequest { position: 1 });
            client.get_event(request).await.unwrap();
        }
        best = best.min(started.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
    }
    best
}

#[tokio::test]
async fn a_call_within_the_process_is_cheap() {
    let stage = Stage::new().await;
    let rounds = if cfg!(debug_assertions) { 200 } else { 20_000 };
    let [remote, local] = stage.channels();
    let local = per_call(local, rounds).instrument(tracing::info_span!("request")).await;
    let remote = per_call(remote, rounds / 10).instrument(tracing::info_span!("request")).await;
    println!("in process {local:.1} us, over TCP {remote:.1} us");
    if !cfg!(debug_assertions) {
        assert!(local < 20.0, "{local} us");
    }
}

//! How a server goes down.

use std::sync::atomic::Ordering;
use std::time::Duration;

use proto::events::v1::GetEventRequest;
use proto::events::v1::events_service_client::EventsServiceClient;
use tokio::time::timeout;

use crate::stage::{HANG, Stage};

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn the_soft_stop_lets_calls_finish_and_the_hard_stop_does_not() {
    let stage = Stage::new().await;
    let mut client = EventsServiceClient::new(stage.remote());
    let alive = stage.alive.clone();
    let call = client.get_event(GetEventRequest { position: HANG, ..Default::default() });
    let stop = async {
        while alive.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        stage.runtime.shutdown.begin();
        assert!(timeout(Duration::from_millis(100), stage.runtime.tasks.drain()).await.is_err(), "waits");
        stage.runtime.shutdown.begin_hard();
        timeout(SOON, stage.runtime.tasks.drain()).await.unwrap();
    };
    let (answer, ()) = timeout(SOON, futures_util::future::join(call, stop)).await.unwrap();
    assert_eq!(rpc::errors(answer.unwrap_err()).0.len(), 1);
    assert!(stage.runtime.tasks.failure().is_none());
}

#[tokio::test]
async fn the_slot_serves_those_who_still_drain() {
    let stage = Stage::new().await;
    stage.runtime.shutdown.begin();
    timeout(SOON, stage.runtime.tasks.drain()).await.unwrap();
    let [_, local] = stage.channels();
    assert!(
        EventsServiceClient::new(local)
            .get_event(GetEventRequest { position: 1, ..Default::default() })
            .await
            .is_ok()
    );
}

//! Leases: one holder at a time, whatever happens to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use chassis::Shutdown;
use db::leases::{Lease, hold};
use tokio::time::{Instant, sleep};

use crate::{DEADLINE, connect, open};

const TTL: Duration = Duration::from_millis(600);

#[tokio::test]
async fn one_holder_at_a_time_and_the_fence_grows() {
    let (_database, db) = open().await;
    let first = Lease::acquire(&db, "relay", "a", TTL).await.unwrap().unwrap();
    assert!(Lease::acquire(&db, "relay", "b", TTL).await.unwrap().is_none());
    assert!(Lease::acquire(&db, "other", "b", TTL).await.unwrap().is_some());
    assert!(first.renew().await.unwrap());
    first.clone().release().await.unwrap();
    let second = Lease::acquire(&db, "relay", "b", TTL).await.unwrap().unwrap();
    assert!(second.fence() > first.fence());
    assert!(!first.renew().await.unwrap());
    // A release that comes late does not hit the new holder.
    first.release().await.unwrap();
    assert!(second.renew().await.unwrap());
}

#[tokio::test]
async fn a_lease_that_nobody_renews_runs_out() {
    let (_database, db) = open().await;
    let first = Lease::acquire(&db, "relay", "a", TTL).await.unwrap().unwrap();
    let begun = Instant::now();
    let second = testkit::eventually_some(DEADLINE, || async {
        Lease::acquire(&db, "relay", "b", TTL).await.unwrap()
    })
    .await;
    assert!(begun.elapsed() + Duration::from_millis(50) >= TTL, "{:?}", begun.elapsed());
    assert_eq!(second.fence(), first.fence() + 1);
    let mut transaction = db.begin().await.unwrap();
    assert!(!first.confirm(&mut transaction).await.unwrap());
    assert!(second.confirm(&mut transaction).await.unwrap());
}

#[tokio::test]
async fn holders_relieve_each_other_and_never_work_together() {
    let (database, db) = open().await;
    let shutdown = Shutdown::new();
    let (working, most, turns) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let holders = (0..3).map(|number| {
        let (db, shutdown) = (connect(&database), &shutdown);
        let (working, most, turns) = (&working, &most, &turns);
        async move {
            // Each holder ends its work after a while, and the next one takes over.
            while turns.load(Ordering::SeqCst) < 6 {
                let work = |_| async move {
                    let together = working.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(together, Ordering::SeqCst);
                    sleep(Duration::from_millis(30)).await;
                    working.fetch_sub(1, Ordering::SeqCst);
                    turns.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, db::Error>(())
                };
                hold(&db, "relay", &format!("holder {number}"), TTL, shutdown, work).await.unwrap();
            }
            shutdown.begin();
        }
    });
    futures_util::future::join_all(holders).await;
    assert_eq!(most.load(Ordering::SeqCst), 1);
    let fence: i64 = sqlx::query_scalar("SELECT fence FROM eventus.leases WHERE name = 'relay'")
        .fetch_one(&db)
        .await
        .unwrap();
    assert!(fence >= 6, "{fence}");
}

#[tokio::test]
async fn a_long_work_keeps_its_lease() {
    let (_database, db) = open().await;
    let shutdown = Shutdown::new();
    let mut starts = 0;
    let work = |_| {
        starts += 1;
        async {
            sleep(TTL * 3).await;
            Ok::<_, db::Error>(())
        }
    };
    hold(&db, "relay", "a", TTL, &shutdown, work).await.unwrap();
    assert_eq!(starts, 1);
}

/// The holder's whole process stands still for longer than its lease (its only thread blocks, as after SIGSTOP): another
/// takes over, and when the first one wakes its work is dropped before it goes on.
#[tokio::test]
async fn a_holder_that_was_stopped_does_not_go_on() {
    let (database, db) = open().await;
    let shutdown = Shutdown::new();
    let fence = Arc::new(AtomicI64::new(0));
    let (stopped, stop) = (database.url.clone(), shutdown.clone());
    let seen = Arc::clone(&fence);
    let first = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let db = db::connect(&db::Config::new(&stopped).unwrap(), "test");
            let went_on = AtomicUsize::new(0);
            let work = |lease: Lease| {
                let (seen, went_on) = (&seen, &went_on);
                async move {
                    if seen.swap(lease.fence(), Ordering::SeqCst) == 0 {
                        tokio::task::yield_now().await;
                        std::thread::sleep(TTL * 3);
                        tokio::task::yield_now().await;
                        went_on.fetch_add(1, Ordering::SeqCst);
                    }
                    std::future::pending::<Result<(), db::Error>>().await
                }
            };
            tokio::select! {
                held = hold(&db, "relay", "first", TTL, &stop, work) => held.unwrap(),
                () = stop.soft().cancelled() => {}
            }
            went_on.into_inner()
        })
    });
    testkit::eventually(DEADLINE, || async { fence.load(Ordering::SeqCst) > 0 }).await;
    let lost = fence.load(Ordering::SeqCst);
    let second = testkit::eventually_some(DEADLINE, || async {
        Lease::acquire(&db, "relay", "second", TTL).await.unwrap()
    })
    .await;
    assert_eq!(second.fence(), lost + 1);
    // The first one wakes, finds itself without the lease, and takes it again when the second one lets go.
    sleep(TTL * 3).await;
    second.release().await.unwrap();
    testkit::eventually(DEADLINE, || async { fence.load(Ordering::SeqCst) > lost }).await;
    shutdown.begin();
    assert_eq!(first.join().unwrap(), 0, "the work went on without its lease");
}

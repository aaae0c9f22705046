//! The control rows: bumped inside transactions, watched by everybody.

use std::sync::Arc;
use std::time::Duration;

use chassis::{Shutdown, Tasks};
use db::control;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::{DEADLINE, open};

#[tokio::test]
async fn a_bump_is_seen_when_it_commits_and_only_then() {
    let (_database, db) = open().await;
    let before = control::versions(&db).await.unwrap()["schema"];
    let mut transaction = db.begin().await.unwrap();
    assert_eq!(control::bump(&mut transaction, "schema").await.unwrap(), before + 1);
    assert_eq!(control::versions(&db).await.unwrap()["schema"], before);
    transaction.commit().await.unwrap();
    assert_eq!(control::versions(&db).await.unwrap()["schema"], before + 1);
    let mut transaction = db.begin().await.unwrap();
    assert_eq!(control::bump(&mut transaction, "a new topic").await.unwrap(), 1);
    transaction.rollback().await.unwrap();
}

#[tokio::test]
async fn a_watch_tells_changes_at_the_poll_and_at_once_when_woken() {
    let (_database, db) = open().await;
    let tasks = Tasks::new(Shutdown::new());
    let wake = Arc::new(Notify::new());
    let mut polled = control::watch(&db, &tasks, Duration::from_millis(50), Arc::default());
    let mut woken = control::watch(&db, &tasks, Duration::from_secs(3600), Arc::clone(&wake));
    for watch in [&mut polled, &mut woken] {
        timeout(DEADLINE, watch.changed()).await.unwrap().unwrap();
        assert!(watch.borrow_and_update().is_fresh(DEADLINE));
    }
    let mut connection = db.acquire().await.unwrap();
    let version = control::bump(&mut connection, "access").await.unwrap();
    wake.notify_one();
    for watch in [&mut polled, &mut woken] {
        timeout(DEADLINE, watch.changed()).await.unwrap().unwrap();
        assert_eq!(watch.borrow_and_update().of("access"), version);
    }
    // Nothing changes: nobody is told, but the proof gets younger.
    let first = polled.borrow().proven;
    testkit::eventually(DEADLINE, || async { polled.borrow().proven > first }).await;
    assert!(!polled.has_changed().unwrap());
}

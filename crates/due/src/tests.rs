//! The loops on a real PostgreSQL, with a table of their own.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chassis::{Runtime, Shutdown};
use db::Db;
use testkit::{PATIENCE, TestDatabase, eventually, process};
use tokio::sync::Notify;

use crate::{Work, forgetting, lock, next, run};

const TABLE: &str = "CREATE TABLE eventus.tasks (
    id bigint PRIMARY KEY, next_attempt timestamptz NOT NULL, finished timestamptz)";
const TAKE: &str =
    "UPDATE eventus.tasks SET finished = now() WHERE finished IS NULL AND next_attempt <= now() RETURNING id";
const NEXT: &str = "SELECT (extract(epoch FROM min(next_attempt) - now()) * 1000)::bigint FROM eventus.tasks
    WHERE finished IS NULL AND next_attempt < now() + $1::bigint * interval '1 millisecond'";

#[derive(Clone)]
struct Tasks {
    db: Db,
    done: Arc<Mutex<Vec<i64>>>,
    queued: Arc<Notify>,
    pending: Arc<AtomicI64>,
    failed: Arc<AtomicI64>,
}

impl Work for Tasks {
    const NAME: &'static str = "tasks";
    const PENDING: &'static str = "SELECT count(*) FROM eventus.tasks WHERE finished IS NULL";
    const FORGET: &'static str = "DELETE FROM eventus.tasks WHERE id IN (SELECT id FROM eventus.tasks
        WHERE finished < now() - $1::bigint * interval '1 millisecond' LIMIT $2 FOR UPDATE SKIP LOCKED)";

    fn db(&self) -> &Db {
        &self.db
    }

    async fn look(&self, _runtime: &Runtime) -> Result<Duration, sqlx::Error> {
        let taken: Result<Vec<i64>, _> = sqlx::query_scalar(TAKE).fetch_all(&self.db).await;
        let taken = taken.inspect_err(|_| _ = self.failed.fetch_add(1, Ordering::Relaxed))?;
        self.done.lock().unwrap().extend(taken);
        next(&self.db, NEXT).await
    }

    async fn woken(&self) {
        self.queued.notified().await;
    }

    fn pending(&self, count: i64) {
        self.pending.store(count, Ordering::Relaxed);
    }
}

impl Tasks {
    async fn start() -> (Self, TestDatabase) {
        let database = testkit::database(db::migrate_url).await;
        let db = db::connect(&db::Config::new(&database.url).unwrap(), "due-test");
        sqlx::query(TABLE).execute(&db).await.unwrap();
        let pending = Arc::new(AtomicI64::new(-1));
        (Self { db, done: Arc::default(), queued: Arc::default(), pending, failed: Arc::default() }, database)
    }

    /// One task, due so many milliseconds from now.
    async fn add(&self, id: i64, milliseconds: i64) {
        let add = "INSERT INTO eventus.tasks VALUES ($1, now() + $2::bigint * interval '1 millisecond')";
        sqlx::query(add).bind(id).bind(milliseconds).execute(&self.db).await.unwrap();
    }

    async fn until(&self, done: &[i64]) {
        eventually(PATIENCE, || async { *self.done.lock().unwrap() == done }).await;
    }
}

#[tokio::test]
async fn work_is_taken_when_it_is_due() {
    let (tasks, _database) = Tasks::start().await;
    tasks.add(1, 0).await;
    tasks.add(2, 600_000).await;
    let runtime = Runtime::new(Shutdown::new());
    runtime.tasks.spawn("tasks", run(tasks.clone(), runtime.clone()));
    tasks.until(&[1]).await;
    eventually(PATIENCE, || async { tasks.pending.load(Ordering::Relaxed) == 1 }).await;
    // By word of it; by its time; by another process, which says nothing.
    tasks.add(3, 0).await;
    tasks.queued.notify_one();
    tasks.until(&[1, 3]).await;
    tasks.add(4, 200).await;
    tasks.queued.notify_one();
    tasks.until(&[1, 3, 4]).await;
    tasks.add(5, 0).await;
    tasks.until(&[1, 3, 4, 5]).await;
    process::stop(&runtime).await;
}

#[tokio::test]
async fn a_database_that_fails_is_waited_for() {
    let (tasks, _database) = Tasks::start().await;
    tasks.add(1, 0).await;
    sqlx::query("ALTER TABLE eventus.tasks RENAME TO away").execute(&tasks.db).await.unwrap();
    let runtime = Runtime::new(Shutdown::new());
    runtime.tasks.spawn("tasks", run(tasks.clone(), runtime.clone()));
    eventually(PATIENCE, || async { tasks.failed.load(Ordering::Relaxed) > 0 }).await;
    sqlx::query("ALTER TABLE eventus.away RENAME TO tasks").execute(&tasks.db).await.unwrap();
    tasks.until(&[1]).await;
    process::stop(&runtime).await;
}

#[tokio::test]
async fn what_ended_long_ago_is_forgotten_in_steps() {
    let (tasks, _database) = Tasks::start().await;
    for id in 0..5 {
        tasks.add(id, 0).await;
    }
    let age = "UPDATE eventus.tasks SET finished = now() - interval '1 hour' WHERE id < 3";
    sqlx::query(age).execute(&tasks.db).await.unwrap();
    let left = async || -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM eventus.tasks").fetch_one(&tasks.db).await.unwrap()
    };
    let step = |retention| forgetting::step(&tasks, Duration::from_secs(retention), 2);
    assert!(!step(7_200).await.unwrap());
    assert_eq!(left().await, 5);
    assert!(step(60).await.unwrap(), "there may be more");
    assert!(!step(60).await.unwrap());
    assert_eq!(left().await, 2, "what has not ended stays");
}

#[tokio::test]
async fn the_next_look_comes_with_the_next_task_or_the_poll() {
    let (tasks, _database) = Tasks::start().await;
    assert_eq!(next(&tasks.db, NEXT).await.unwrap(), crate::POLL);
    tasks.add(1, 500).await;
    let soon = next(&tasks.db, NEXT).await.unwrap();
    assert!(soon > Duration::ZERO && soon <= Duration::from_millis(501), "{soon:?}");
    assert_eq!(lock(Duration::from_secs(2)), Duration::from_secs(7));
}

//! The pool: sessions as promised, and connections that die while they rest harm nobody.

use db::{Class, Error};
use futures_util::StreamExt as _;
use sqlx::Connection as _;

use crate::{DEADLINE, open};

/// Opens all connections of the pool at once and hands them back.
async fn fill(db: &db::Db) {
    let all = futures_util::future::join_all((0..8).map(|_| db.acquire())).await;
    let mut pids = std::collections::HashSet::new();
    for mut connection in all.into_iter().map(Result::unwrap) {
        let pid: i32 =
            sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *connection).await.unwrap();
        pids.insert(pid);
    }
    assert_eq!(pids.len(), 8);
    testkit::eventually(DEADLINE, || async { db.idle() == 8 }).await;
}

/// Ends all sessions of the pool and waits until they are gone.
async fn terminate_all(database: &testkit::TestDatabase) {
    let mut admin = sqlx::PgConnection::connect(&database.url).await.unwrap();
    let others = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'test'";
    let end = format!("SELECT count(pg_terminate_backend(pid)) {others}");
    let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(end)).fetch_one(&mut admin).await.unwrap();
    assert_eq!(count, 8);
    loop {
        let left = sqlx::AssertSqlSafe(format!("SELECT count(*) {others}"));
        if sqlx::query_scalar::<_, i64>(left).fetch_one(&mut admin).await.unwrap() == 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn sessions_are_as_promised() {
    let (_database, db) = open().await;
    for (setting, value) in [
        ("timezone", "UTC"),
        ("synchronous_commit", "on"),
        ("statement_timeout", "30s"),
        ("idle_in_transaction_session_timeout", "5s"),
        ("application_name", "test"),
    ] {
        let found: String =
            sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&db).await.unwrap();
        assert_eq!(found, value, "{setting}");
    }
}

#[tokio::test]
async fn sessions_that_were_ended_are_replaced_without_an_error() {
    let (database, db) = open().await;
    for _ in 0..5 {
        fill(&db).await;
        terminate_all(&database).await;
        for number in 0..16 {
            let found: i32 = sqlx::query_scalar("SELECT $1::int").bind(number).fetch_one(&db).await.unwrap();
            assert_eq!(found, number);
        }
        fill(&db).await;
        terminate_all(&database).await;
        for number in 0..16 {
            let done = sqlx::query("INSERT INTO eventus.heads VALUES ('pool', $1, 1) ON CONFLICT DO NOTHING")
                .bind(number.to_string())
                .execute(&db);
            done.await.unwrap();
        }
        fill(&db).await;
        terminate_all(&database).await;
        for _ in 0..16 {
            db.begin().await.unwrap().commit().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_statement_is_never_run_twice() {
    let (_database, db) = open().await;
    sqlx::raw_sql("CREATE TABLE once (n int)").execute(&db).await.unwrap();
    // Ends its own session after its work, but inside its transaction: it fails, and is not committed.
    let error = sqlx::query("INSERT INTO once SELECT 1 WHERE pg_terminate_backend(pg_backend_pid())")
        .execute(&db)
        .await
        .unwrap_err();
    assert_eq!(Error::classify(&error), Class::Unavailable, "{error}");
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM once").fetch_one(&db).await.unwrap();
    assert_eq!(count, 0);
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_is_used_again() {
    let mut server = testkit::Postgres::start().await;
    let database = testkit::TestDatabase::on(&server, db::migrate_url).await;
    let db = crate::connect(&database);
    fill(&db).await;
    server.kill9().await;
    let error = sqlx::query("SELECT 1").execute(&db).await.unwrap_err();
    assert_eq!(Error::classify(&error), Class::Unavailable, "{error}");
    let shown = db::public(&error);
    assert_eq!((shown.code.status(), shown.retry_after), (503, Some(1)));
    server.restart().await;
    for _ in 0..16 {
        sqlx::query("SELECT 1").execute(&db).await.unwrap();
    }
}

#[tokio::test]
async fn an_absent_server_is_an_error_at_use() {
    let config = db::Config::new("postgres:///nobody?host=/nowhere&user=nobody").unwrap();
    let db = db::connect(&config, "test");
    let error = db.begin().await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
}

#[tokio::test]
async fn a_connection_goes_from_statement_to_statement() {
    let (_database, db) = open().await;
    let mut pids = std::collections::HashSet::new();
    for _ in 0..20 {
        let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&db).await.unwrap();
        assert_eq!(db.idle(), 1, "at once, without asking the server");
        let all: Vec<i32> = sqlx::query_scalar("SELECT pg_backend_pid() FROM generate_series(1, 3)")
            .fetch_all(&db)
            .await
            .unwrap();
        assert_eq!((all, db.idle()), (vec![pid; 3], 1));
        let mut transaction = db.begin().await.unwrap();
        let inside: i32 =
            sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        testkit::eventually(DEADLINE, || async { db.idle() == 1 }).await;
        pids.extend([pid, inside]);
    }
    assert_eq!(pids.len(), 1);
}

/// More clients than connections, some of which give up in the middle: everyone is served, with his own answer.
#[tokio::test]
async fn nobody_waits_for_a_connection_that_rests() {
    let (_database, db) = open().await;
    let clients = (0..64_i64).map(|client| {
        let db = db.clone();
        async move {
            for round in 0..40 {
                let number = client * 1_000 + round;
                match number % 4 {
                    0 => {
                        let mut transaction = db.begin().await.unwrap();
                        assert_eq!(told(&mut *transaction, number).await.unwrap(), number);
                    }
                    1 => {
                        // Ends between any two steps of the protocol.
                        let patience = std::time::Duration::from_micros(u64::try_from(number % 997).unwrap());
                        let _ = tokio::time::timeout(patience, told(&db, number)).await;
                    }
                    2 => {
                        let sql = "SELECT $1 + n FROM generate_series(0, 99) n";
                        let mut rows = sqlx::query_scalar::<_, i64>(sql).bind(number).fetch(&db);
                        for n in 0..3 {
                            assert_eq!(rows.next().await.unwrap().unwrap(), number + n);
                        }
                    }
                    _ => assert_eq!(told(&db, number).await.unwrap(), number),
                }
            }
        }
    });
    tokio::time::timeout(DEADLINE, futures_util::future::join_all(clients)).await.unwrap();
    let failed = sqlx::query("SELECT 1 / 0").execute(&db).await.unwrap_err();
    assert!(failed.as_database_error().is_some(), "{failed}");
    assert_eq!(told(&db, 1).await.unwrap(), 1);
}

/// Every statement runs under its own limit, whatever the connection was used for before.
#[tokio::test]
async fn each_has_his_own_time() {
    let (_database, db) = open().await;
    let milliseconds = std::time::Duration::from_millis;
    let limits = [db.clone(), db.limited(milliseconds(10_000)), db.limited(milliseconds(5_000))];
    assert_eq!(limits.each_ref().map(|db| db.limit().as_secs()), [30, 10, 5]);
    assert_eq!(db.limited(milliseconds(60_000)).limit().as_secs(), 30, "never more than the process allows");
    assert_eq!(db.limited(milliseconds(0)).limit().as_secs(), 30);
    let clients = (0..48_usize).map(|client| {
        let (db, own) = (&limits[client % 3], ["30s", "10s", "5s"][client % 3]);
        async move {
            for round in 0..30 {
                let sql = "SELECT current_setting('statement_timeout')";
                let found: String = match (client + round) % 7 {
                    0 => {
                        let mut transaction = db.begin().await.unwrap();
                        sqlx::query_scalar(sql).fetch_one(&mut *transaction).await.unwrap()
                    }
                    1 => {
                        // Not to the end: the connection goes back to the pool with what it was set to.
                        sqlx::query("SELECT 1 / 0").execute(db).await.unwrap_err();
                        continue;
                    }
                    2 => sqlx::query_scalar(sql).fetch_one(&mut *db.acquire().await.unwrap()).await.unwrap(),
                    _ => sqlx::query_scalar(sql).fetch_one(db).await.unwrap(),
                };
                assert_eq!(found, own);
            }
        }
    });
    tokio::time::timeout(DEADLINE, futures_util::future::join_all(clients)).await.unwrap();
    let hasty = db.limited(milliseconds(50));
    let sleep =
        async |db: &db::Db, seconds: f64| sqlx::query("SELECT pg_sleep($1)").bind(seconds).execute(db).await;
    let error = sleep(&hasty, 10.0).await.unwrap_err();
    assert_eq!(Error::classify(&error), Class::Cancelled, "{error}");
    assert_eq!(db::public(&error).code.status(), 408);
    let mut transaction = hasty.begin().await.unwrap();
    let error = sqlx::query("SELECT pg_sleep(10)").execute(&mut *transaction).await.unwrap_err();
    assert_eq!(Error::classify(&error), Class::Cancelled, "{error}");
    drop(transaction);
    sleep(&db, 0.2).await.unwrap();
}

async fn told<'e>(db: impl sqlx::PgExecutor<'e>, number: i64) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT $1").bind(number).fetch_one(db).await
}

#[tokio::test]
async fn closing_waits_for_what_is_under_way() {
    let (_database, db) = open().await;
    assert_eq!(told(&db, 1).await.unwrap(), 1);
    let slow = sqlx::query("SELECT pg_sleep(0.2)").execute(&db);
    let (done, ()) = tokio::join!(slow, async {
        tokio::task::yield_now().await;
        tokio::time::timeout(DEADLINE, db.close()).await.unwrap();
    });
    done.unwrap();
    assert_eq!(db.idle(), 0);
    assert!(matches!(told(&db, 2).await, Err(sqlx::Error::PoolClosed)));
}

/// A client goes away while a transaction begins; the next one gets the same connection, and what it stores is stored.
#[tokio::test]
async fn a_beginning_that_is_given_up_holds_nobody_up() {
    let database = testkit::database(db::migrate_url).await;
    let mut config = db::Config::new(&database.url).unwrap();
    config.max_connections = 1;
    let db = db::connect(&config, "given-up");
    let other = db::connect(&db::Config::new(&database.url).unwrap(), "other");
    sqlx::query("CREATE TABLE notes (n integer)").execute(&db).await.unwrap();
    for n in 0..20 {
        tokio::select! {
            biased;
            begun = db.begin() => drop(begun.unwrap()),
            // The first look at it has sent the beginning; its answer is on its way.
            () = tokio::task::yield_now() => {}
        }
        sqlx::query("INSERT INTO notes VALUES ($1)").bind(n).execute(&db).await.unwrap();
        let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(&other).await.unwrap();
        assert_eq!(stored, i64::from(n) + 1, "what was told as stored is there");
    }
}

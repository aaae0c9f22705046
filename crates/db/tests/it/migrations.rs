//! Migrations: once, in order, whole, never edited.

use chassis::Shutdown;

use crate::connect;

async fn exists(db: &db::Db, table: &str) -> bool {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table).fetch_one(db).await.unwrap()
}

#[tokio::test]
async fn an_empty_database_becomes_migrated_once() {
    let database = testkit::empty_database().await;
    let db = connect(&database);
    assert!(!db::migrated(&db).await.unwrap());
    let all = db::MIGRATIONS.iter().map(|step| step.name).collect::<Vec<_>>();
    assert_eq!(db::migrate(&db).await.unwrap(), db::Applied { now: all.clone(), before: 0 });
    assert!(db::migrated(&db).await.unwrap());
    assert_eq!(db::migrate(&db).await.unwrap(), db::Applied { now: Vec::new(), before: all.len() });
}

#[tokio::test]
async fn processes_that_start_together_apply_each_step_once() {
    let database = testkit::empty_database().await;
    let processes: Vec<db::Db> = (0..6).map(|_| connect(&database)).collect();
    let shutdown = Shutdown::new();
    let waiting = db::wait_migrated(&processes[5], &shutdown);
    let migrating = futures_util::future::join_all(processes[..5].iter().map(db::migrate));
    let (results, waited) = tokio::join!(migrating, waiting);
    let applied: usize = results.into_iter().map(|result| result.unwrap().now.len()).sum();
    assert_eq!(applied, db::MIGRATIONS.len());
    waited.unwrap();
}

#[tokio::test]
async fn a_step_that_fails_leaves_nothing_of_it() {
    let database = testkit::empty_database().await;
    let db = connect(&database);
    sqlx::raw_sql("CREATE SCHEMA eventus; CREATE TABLE eventus.webhook_endpoints (x int)")
        .execute(&db)
        .await
        .unwrap();
    let error = db::migrate(&db).await.unwrap_err();
    assert!(matches!(error, db::Error::Migration { version: 2, .. }), "{error}");
    assert!(!exists(&db, "eventus.events").await);
    assert!(exists(&db, "directus_users").await);
    assert!(!db::migrated(&db).await.unwrap());
    sqlx::raw_sql("DROP TABLE eventus.webhook_endpoints").execute(&db).await.unwrap();
    assert_eq!(db::migrate(&db).await.unwrap().before, 1);
}

#[tokio::test]
async fn an_edited_step_is_refused_and_a_newer_one_is_left_alone() {
    let (_database, db) = crate::open().await;
    sqlx::raw_sql("INSERT INTO eventus.migrations VALUES (999, 'from a newer program', 'x')")
        .execute(&db)
        .await
        .unwrap();
    assert_eq!(db::migrate(&db).await.unwrap().now.len(), 0);
    sqlx::raw_sql("UPDATE eventus.migrations SET checksum = 'x' WHERE version = 2")
        .execute(&db)
        .await
        .unwrap();
    let error = db::migrate(&db).await.unwrap_err();
    assert!(matches!(error, db::Error::MigrationChanged { version: 2, .. }), "{error}");
}

#[tokio::test]
async fn waiting_for_migrations_ends_with_the_soft_stop() {
    let database = testkit::empty_database().await;
    let db = connect(&database);
    let shutdown = Shutdown::new();
    shutdown.begin();
    assert!(matches!(db::wait_migrated(&db, &shutdown).await, Err(db::Error::Stopped)));
}

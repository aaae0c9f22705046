//! The migrated template: made once per server and per state of the migrations, copied for each test.

use std::fmt::Write as _;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::{Outcome, Postgres, settings};

const LOCK: i64 = 7_306_085_838;

/// The template's name; made by `migrate` when it is missing.
pub(crate) async fn ensure<M, F>(server: &Postgres, migrate: M) -> String
where
    M: FnOnce(String) -> F,
    F: Future<Output: Outcome>,
{
    let name = format!("eventus_template_{}", fingerprint());
    let mut admin = server.admin().await;
    if exists(&mut admin, &name).await {
        return name;
    }
    // Of the session: it is free when the connection closes, however this ends.
    sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK).execute(&mut admin).await.expect("a lock");
    if !exists(&mut admin, &name).await {
        let draft = format!("{name}_draft");
        run(&mut admin, format!("DROP DATABASE IF EXISTS {draft} WITH (FORCE)")).await;
        run(&mut admin, format!("CREATE DATABASE {draft} TEMPLATE template0 ENCODING 'UTF8'")).await;
        migrate(server.url_of(&draft)).await.check();
        // Under its final name it is complete.
        run(&mut admin, format!("ALTER DATABASE {draft} RENAME TO {name}")).await;
    }
    admin.close().await.expect("the connection closes");
    name
}

async fn exists(admin: &mut PgConnection, name: &str) -> bool {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(name)
        .fetch_one(admin)
        .await
        .expect("the server answers")
}

/// Runs a statement made of names that only this crate makes.
pub(crate) async fn run(admin: &mut PgConnection, statement: String) {
    sqlx::raw_sql(AssertSqlSafe(statement.as_str())).execute(admin).await.unwrap_or_else(|error| {
        panic!("{statement}: {error}");
    });
}

/// A name for the state of the migrations that this program was built with.
fn fingerprint() -> String {
    let folder = settings::migrations();
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let built = settings::built();
    for file in files {
        context.update(&std::fs::read(&file).expect("a migration is a file"));
        // Edited since this program was built: it holds another text, and gets a template of its own.
        let edited = std::fs::metadata(&file).and_then(|meta| meta.modified()).expect("a file has a time");
        if edited > built {
            context.update(format!("{built:?}").as_bytes());
        }
    }
    let digest = context.finish();
    digest.as_ref()[..8].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

//! Reads a plain dump of pg_dump into a database, without psql.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// The fixture of the schema.
pub const SCHEMA: &str = "directus-11.17.4";

/// A file of a fixture.
pub fn file(fixture: &str, name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(fixture).join(name)
}

/// The text of a packed file of a fixture.
pub fn unzipped(fixture: &str, name: &str) -> String {
    let done = Command::new("gzip").arg("-dc").arg(file(fixture, name)).output().unwrap();
    assert!(done.status.success());
    String::from_utf8(done.stdout).unwrap()
}

/// What the original answered.
pub fn answers() -> Value {
    serde_json::from_str(&unzipped(SCHEMA, "answers.json.gz")).unwrap()
}

/// Not every PostgreSQL was built with XML.
pub async fn has_xml(connection: &mut PgConnection) -> bool {
    sqlx::query("SELECT '<a/>'::text::xml::text").execute(connection).await.is_ok()
}

/// Restores a fixture's database; where there is no XML, such columns are texts.
pub async fn into(url: &str, fixture: &str) {
    let mut dump = unzipped(fixture, "database.sql.gz");
    let mut connection = PgConnection::connect(url).await.unwrap();
    if !has_xml(&mut connection).await {
        dump = dump.replace(" xml,\n", " text,\n");
    }
    let mut statements = String::new();
    let mut lines = dump.lines();
    while let Some(line) = lines.next() {
        // psql's own commands.
        if line.starts_with('\\') {
            continue;
        }
        if !(line.starts_with("COPY ") && line.ends_with("FROM stdin;")) {
            statements.push_str(line);
            statements.push('\n');
            continue;
        }
        let before = std::mem::take(&mut statements);
        sqlx::raw_sql(AssertSqlSafe(before)).execute(&mut connection).await.unwrap();
        let rows: Vec<&str> = lines.by_ref().take_while(|row| *row != "\\.").collect();
        let mut copy = connection.copy_in_raw(line.trim_end_matches(';')).await.unwrap();
        copy.send(rows.iter().map(|row| format!("{row}\n")).collect::<String>().into_bytes()).await.unwrap();
        copy.finish().await.unwrap();
    }
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

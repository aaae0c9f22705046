//! docs/OPERATIONS.md names every setting that the program reads and every metric that it gives, and no others.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::process::Command;

use crate::api::Api;
use crate::example::{read, root};
use crate::world::{World, binary};

const DOCUMENT: &str = "docs/OPERATIONS.md";
const SOON: Duration = Duration::from_secs(20);
const HOMES: [&str; 7] =
    ["src", "gateway", "auth-service", "hooks-worker", "analytics-worker", "services", "crates"];
/// Settings whose names are put together of these two: `SESSION_COOKIE_NAME`.
const COOKIES: [&str; 2] = ["REFRESH_TOKEN_COOKIE", "SESSION_COOKIE"];
const PARTS: [&str; 4] = ["NAME", "DOMAIN", "SECURE", "SAME_SITE"];
/// What the program reads from or hands to the system, and no setting of its own.
const FOREIGN: [&str; 3] = ["PATH", "LANG", "EVENTUS_TEST_"];

/// The program's sources, without tests.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["tests", "target", "testkit"].contains(&name.as_str()) {
            sources(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push(text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned());
        }
    }
}

/// String literals of the sources, each with what stands before it on its line.
fn literals() -> Vec<(String, String)> {
    let mut texts = Vec::new();
    HOMES.iter().for_each(|home| sources(&root().join(home), &mut texts));
    let mut found = Vec::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        let parts: Vec<&str> = line.split('"').collect();
        for (index, part) in parts.iter().enumerate().skip(1).step_by(2) {
            found.push((parts[index - 1].to_owned(), (*part).to_owned()));
        }
    }
    found
}

/// Settings of a provider of single sign-on, whose name is a part of theirs.
fn of_providers() -> Vec<String> {
    let source = std::fs::read_to_string(root().join("auth-service/src/sso/settings.rs")).unwrap();
    let listed = source.split("parts! {").nth(1).unwrap().split("\n}").next().unwrap();
    let names = listed.split('"').skip(1).step_by(2).map(|name| format!("AUTH_<PROVIDER>_{name}"));
    names.collect()
}

fn is_key(text: &str) -> bool {
    text.len() > 3 && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Names between backticks.
fn named(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_setting_is_documented() {
    let text = read(DOCUMENT);
    let documented = named(&text);
    let literals = literals();
    let chained = |before: &str| before.starts_with('.') && !before.starts_with(".route(");
    let asked = |before: &str| before.contains("env.") || chained(before.trim_start());
    let ours = |key: &str| key.starts_with("EVENTUS_") && !key.starts_with("EVENTUS_TEST_");
    let keys = literals.iter().filter(|(before, key)| is_key(key) && (ours(key) || asked(before)));
    let mut keys: BTreeSet<String> = keys.map(|(_, key)| key.clone()).collect();
    keys.retain(|key| !PARTS.contains(&key.as_str()) && !FOREIGN.contains(&key.as_str()));
    keys.extend(of_providers());
    keys.extend(PARTS.iter().flat_map(|part| COOKIES.map(|cookie| format!("{cookie}_{part}"))));
    let missing: Vec<&String> = keys.iter().filter(|key| !documented.contains(key.as_str())).collect();
    assert!(keys.len() > 60 && missing.is_empty(), "{DOCUMENT} does not name {missing:?}");
    let unknown = documented.iter().filter(|name| is_key(name) && ours(name) && !keys.contains(**name));
    assert_eq!(unknown.collect::<Vec<_>>(), Vec::<&&str>::new(), "nobody reads these");
}

#[test]
fn every_metric_is_documented() {
    let text = read(DOCUMENT);
    let documented: BTreeSet<String> =
        named(&text).into_iter().filter(|name| name.starts_with("eventus_")).map(str::to_owned).collect();
    // An option of fields, and how names of indexes begin.
    let others = ["eventus_search", "eventus_search_"];
    let metric = |text: &&(String, String)| {
        !others.contains(&text.1.as_str())
            && text.1.starts_with("eventus_")
            && text.1.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    let given: BTreeSet<String> = literals().iter().filter(metric).map(|(_, name)| name.clone()).collect();
    assert!(given.len() > 15);
    assert_eq!(documented, given);
}

/// What `/metrics` really gives is documented too; `doctor` and `config check` say what they are said to say.
#[tokio::test]
async fn the_commands_do_what_is_told() {
    let world = World::start(shape!()).await;
    world.collection("articles", json!([{"field": "title", "type": "string"}])).await;
    world.api.post("/items/articles", json!({"title": "a"})).await.expect(200);
    world.quiet(SOON).await;
    let text = read(DOCUMENT);
    let mut metrics = String::new();
    for process in &world.processes {
        let admin = Api::new(format!("http://{}", process.admin), None);
        metrics += &admin.get("/metrics").await.expect(200).text;
    }
    for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(text.contains(&format!("`{name}`")), "{name}");
    }
    for line in ["eventus_relay_holder 1", r#"eventus_sql_seconds_count{statement="items.create"} 1"#] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
    let secret = "x".repeat(32);
    let settings =
        [("DATABASE_URL", world.database.url.as_str()), ("NATS_URL", &world.nats.url()), ("SECRET", &secret)];
    let (well, said) = command(&["doctor"], &settings).await;
    assert!(well && said.lines().all(|line| line.starts_with("ok ")), "{said}");
    let pool = world.pool().await;
    let bury = "INSERT INTO eventus.dead_letters (consumer, event_id, position, reason, attempts) \
                SELECT 'test', id, position, 'for the test', 10 FROM eventus.events LIMIT 1";
    sqlx::query(bury).execute(&pool).await.unwrap();
    let (well, said) = command(&["doctor"], &settings).await;
    assert!(!well && said.contains("WRONG dead letters"), "{said}");
    for sql in text.split("```sql\n").skip(1) {
        for statement in sql.split("```").next().unwrap().split_terminator(";\n") {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
                .execute(&pool)
                .await
                .unwrap_or_else(|e| panic!("{statement}: {e}"));
        }
    }
    let (well, said) = command(&["config", "check"], &settings).await;
    assert!(well && said.contains("complete"), "{said}");
    let mistyped = [settings.as_slice(), &[("EVENTUS_RELAY_LEESE", "1s")]].concat();
    let (well, said) = command(&["config", "check"], &mistyped).await;
    assert!(!well && said.contains("EVENTUS_RELAY_LEESE"), "{said}");
}

/// Runs a command of the program; whether it ended well, and what it said.
async fn command(arguments: &[&str], settings: &[(&str, &str)]) -> (bool, String) {
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .env_clear()
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(SOON, command.output()).await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

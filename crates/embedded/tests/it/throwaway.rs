//! The program that runs a command beside a throw-away PostgreSQL.
use std::process::{Command, Output};

fn beside_postgres(script: &str) -> Output {
    let search = crate::place::search();
    Command::new(env!("CARGO_BIN_EXE_eventus-keep"))
        .args(["with-postgres", "--", "/bin/sh", "-c", script])
        .env("EVENTUS_BIN", search.bin_dir)
        .env("PSQL", crate::place::tools().postgres.preferred().bin.join("psql"))
        .output()
        .unwrap()
}

#[test]
fn the_command_sees_the_server_and_its_exit_code_is_ours() {
    let output = beside_postgres(
        r#""$PSQL" -XAt -c 'select 40 + 2' "$EVENTUS_TEST_DATABASE_URL" && echo "$EVENTUS_TEST_DATABASE_URL" && exit 7"#,
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("42\n"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(7));
    let (_, rest) = text.split_once("eventus%2Dtest%2D").unwrap();
    let dir = std::env::temp_dir().join(format!("eventus-test-{}", &rest[..12]));
    assert!(!dir.exists(), "{}", dir.display());
}

#[test]
fn a_command_ended_by_a_signal_is_told() {
    assert_eq!(beside_postgres("kill -TERM $$").status.code(), Some(128 + 15));
    assert_eq!(
        Command::new(env!("CARGO_BIN_EXE_eventus-keep")).arg("with-postgres").status().unwrap().code(),
        Some(2)
    );
}

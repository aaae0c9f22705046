//! What the tests share: the programs, the start helper, waiting with a deadline.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use embedded::{Launcher, Search, Tools, nats, postgres};

#[expect(clippy::disallowed_methods, reason = "tests find the programs where script/test put them")]
pub fn search() -> Search {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.eventus/bin");
    Search::new(std::env::var_os("EVENTUS_BIN").map_or_else(beside, PathBuf::from), std::env::var_os("PATH"))
}

pub fn tools() -> Tools {
    Tools::find(&search()).unwrap()
}

pub fn launcher() -> Launcher {
    Launcher::new(env!("CARGO_BIN_EXE_eventus-keep"), [])
}

pub fn throwaway() -> postgres::Options {
    postgres::Options::throwaway(launcher())
}

pub fn nats_options() -> nats::Options {
    nats::Options::new(launcher())
}

/// Runs one statement with psql and gives its answer: the address must be good for libpq too.
pub fn sql(tools: &Tools, url: &str, statement: &str) -> String {
    let psql = tools.postgres.preferred().bin.join("psql");
    let output = Command::new(psql).args(["-XAtq", "-c", statement, url]).output().unwrap();
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Looks until `condition` holds; the test fails after 20 s.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process is there (its exit status alone does not count).
pub fn alive(pid: i32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|command| !command.is_empty())
}

/// All processes whose command line contains `text`.
pub fn processes_with(text: &Path) -> Vec<i32> {
    let text = text.to_str().unwrap();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&command).contains(text)
        })
        .collect()
}

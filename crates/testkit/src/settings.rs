//! What tests read from the environment, and how they find the programs. The only place here that does.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

use embedded::{Launcher, Search};

#[expect(clippy::disallowed_methods, reason = "tests have no chassis; this is their one place to read it")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Address of a server that the tests may use as administrator, when one is given.
pub(crate) fn server_url() -> Option<String> {
    variable("EVENTUS_TEST_DATABASE_URL").and_then(|value| value.into_string().ok())
}

/// The folder of the workspace.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Where the migrations stand.
pub(crate) fn migrations() -> PathBuf {
    root().join("crates/db/migrations")
}

/// When this program was built.
pub(crate) fn built() -> SystemTime {
    let exe = std::env::current_exe().and_then(std::fs::metadata);
    exe.and_then(|exe| exe.modified()).expect("a process has a program, and that has a time")
}

/// Where the servers' programs are: `EVENTUS_BIN`, else `.eventus/bin` of the workspace, then PATH.
pub(crate) fn search() -> Search {
    let bin = variable("EVENTUS_BIN").map_or_else(|| root().join(".eventus/bin"), PathBuf::from);
    Search::new(bin, variable("PATH"))
}

/// The program that starts servers so that they die with us. Cargo does not build it for the tests of other
/// packages: then it is built here, once.
pub(crate) fn launcher() -> Launcher {
    static LAUNCHER: OnceLock<Launcher> = OnceLock::new();
    LAUNCHER
        .get_or_init(|| {
            let exe = std::env::current_exe().expect("a process has a program");
            Launcher::beside(&exe).unwrap_or_else(|_| {
                build_launcher(&exe);
                Launcher::beside(&exe).expect("eventus-keep was just built beside the tests")
            })
        })
        .clone()
}

fn build_launcher(exe: &Path) {
    // .../target/debug/deps/it-1234
    let target = exe.ancestors().nth(3).expect("cargo puts tests three folders deep");
    let cargo = variable("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--offline", "-p", "embedded", "--bin", "eventus-keep", "--target-dir"])
        .arg(target)
        .current_dir(root())
        .status();
    assert!(
        matches!(&status, Ok(status) if status.success()),
        "eventus-keep is missing and cannot be built: run `cargo build -p embedded --bin eventus-keep` ({status:?})"
    );
}

//! What happens to the servers when the process that holds them is killed.
use std::path::Path;
use std::process::{Child, Command, Stdio};

use embedded::{Nats, Postgres};

use crate::place::{alive, launcher, nats_options, processes_with, sql, tools, wait_for};

/// Not a test of its own: holds both servers in the current folder until it is killed.
#[tokio::test]
#[ignore = "started by the other tests of this file"]
async fn holds_servers() {
    let (tools, here) = (tools(), std::env::current_dir().unwrap());
    let mut options = embedded::postgres::Options::new(launcher());
    options.namespace = !here.join("without-namespace").exists();
    let database = Postgres::start(&tools.postgres, &here.join("postgres"), &options).await.unwrap();
    let bus = Nats::start(&tools.nats, &here.join("nats"), &nats_options()).await.unwrap();
    std::fs::write("draft", format!("{} {} {}", database.pid(), bus.pid(), database.url())).unwrap();
    std::fs::rename("draft", "ready").unwrap();
    database.exited().await;
}

struct Held {
    holder: Child,
    servers: [i32; 2],
    url: String,
}

fn hold(dir: &Path) -> Held {
    let _ = std::fs::remove_file(dir.join("ready"));
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "holder::holds_servers"])
        .current_dir(dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the holder has its servers", || {
        assert!(holder.try_wait().unwrap().is_none(), "the holder ended");
        dir.join("ready").is_file()
    });
    let ready = std::fs::read_to_string(dir.join("ready")).unwrap();
    let mut words = ready.split(' ');
    let mut next = || words.next().unwrap();
    let servers = [next().parse().unwrap(), next().parse().unwrap()];
    Held { holder, servers, url: next().to_owned() }
}

impl Held {
    fn kill(mut self) -> [i32; 2] {
        self.holder.kill().unwrap();
        self.holder.wait().unwrap();
        self.servers
    }
}

#[test]
fn a_killed_holder_leaves_no_server() {
    let dir = tempfile::tempdir().unwrap();
    leaves_no_server(&dir);
}

/// The way into another account (and its capability) must not cost the death signal.
#[test]
fn a_killed_holder_leaves_no_server_of_another_account() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("without-namespace"), "").unwrap();
    leaves_no_server(&dir);
}

fn leaves_no_server(dir: &tempfile::TempDir) {
    let servers = hold(dir.path()).kill();
    wait_for("both servers are gone", || !servers.iter().any(|pid| alive(*pid)));
    wait_for("nothing of them is left", || processes_with(dir.path()).is_empty());
    assert!(!dir.path().join("postgres/data/postmaster.pid").exists(), "PostgreSQL was not shut down");
}

/// The next start comes at once, while the servers of the run before are still leaving.
#[test]
fn a_killed_holder_does_not_block_the_next() {
    let (tools, dir) = (tools(), tempfile::tempdir().unwrap());
    for round in 0..4 {
        let held = hold(dir.path());
        let table = "create table if not exists rounds (round int)";
        sql(&tools, &held.url, table);
        assert_eq!(sql(&tools, &held.url, "select count(*) from rounds"), round.to_string());
        sql(&tools, &held.url, "insert into rounds values (1)");
        held.kill();
    }
    wait_for("nothing of them is left", || processes_with(dir.path()).is_empty());
}

/// Servers that heard no death signal (started here without one) are seen off by the next start.
#[test]
fn servers_that_stay_are_sent_away() {
    let (tools, dir) = (tools(), tempfile::tempdir().unwrap());
    let config = std::fs::canonicalize(dir.path()).unwrap().join("nats/nats.conf");
    hold(dir.path()).kill();
    wait_for("nothing of them is left", || processes_with(dir.path()).is_empty());
    let mut stray =
        Command::new(&tools.nats.program).arg("-c").arg(&config).stderr(Stdio::null()).spawn().unwrap();
    let pid = stray.id().to_string();
    wait_for("the stray server has its pid file", || {
        std::fs::read_to_string(dir.path().join("nats/nats.pid")).is_ok_and(|text| text.trim() == pid)
    });
    let next = hold(dir.path());
    assert!(stray.try_wait().unwrap().is_some(), "two servers on one store");
    next.kill();
    wait_for("nothing of them is left", || processes_with(dir.path()).is_empty());
}

#[test]
fn an_orphan_does_not_start() {
    let mark = tempfile::tempdir().unwrap().path().join("mark");
    let output = Command::new(env!("CARGO_BIN_EXE_eventus-keep"))
        .args(["--parent", "1", "--death-signal", "SIGTERM", "--", "/bin/touch"])
        .arg(&mark)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(i32::from(embedded::keep::ORPHANED)));
    assert!(!mark.exists());
}

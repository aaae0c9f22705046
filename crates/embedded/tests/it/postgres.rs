//! The private PostgreSQL on its own.
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use embedded::{Error, Postgres};

use crate::place::{alive, sql, throwaway, tools, wait_for};

#[tokio::test]
async fn data_survive_a_restart() {
    let (tools, dir) = (tools(), tempfile::tempdir().unwrap());
    let home = dir.path().join("postgres");
    let options = embedded::postgres::Options::new(crate::place::launcher());
    let server = Postgres::start(&tools.postgres, &home, &options).await.unwrap();
    let mode = std::fs::metadata(server.socket_dir()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let url = server.url();
    assert_eq!(sql(&tools, &url, "show listen_addresses"), "");
    assert_eq!(sql(&tools, &url, "show synchronous_commit"), "on");
    assert_eq!(sql(&tools, &url, "show fsync"), "on");
    assert_eq!(sql(&tools, &url, "select current_user || '/' || current_database()"), "eventus/eventus");
    assert_eq!(sql(&tools, &url, "select upper('äé') || (select 'Z' < 'a')"), "ÄÉtrue");
    sql(&tools, &url, "create table kept as select 42 as answer");
    assert!(server.stop().await.success());
    let server = Postgres::start(&tools.postgres, &home, &options).await.unwrap();
    assert_eq!(sql(&tools, &server.url(), "select answer from kept"), "42");
    server.stop().await;
}

#[tokio::test]
async fn a_killed_server_is_noticed_and_starts_again() {
    let (tools, dir) = (tools(), tempfile::tempdir().unwrap());
    let options = embedded::postgres::Options::new(crate::place::launcher());
    let server = Postgres::start(&tools.postgres, dir.path(), &options).await.unwrap();
    sql(&tools, &server.url(), "create table kept as select 42 as answer");
    server.kill();
    let status = tokio::time::timeout(Duration::from_secs(10), server.exited()).await.unwrap();
    assert_eq!(status.to_string(), "signal: 9 (SIGKILL)");
    drop(server);
    let server = Postgres::start(&tools.postgres, dir.path(), &options).await.unwrap();
    assert_eq!(sql(&tools, &server.url(), "select answer from kept"), "42");
    server.stop().await;
}

#[tokio::test]
async fn dropping_it_stops_it() {
    let (tools, dir) = (tools(), tempfile::tempdir().unwrap());
    let server = Postgres::start(&tools.postgres, dir.path(), &throwaway()).await.unwrap();
    let pid = server.pid();
    assert!(alive(pid));
    drop(server);
    assert!(!alive(pid));
}

#[tokio::test]
async fn a_folder_has_one_server() {
    let (tools, dir) = (tools(), tempfile::tempdir().unwrap());
    let first = Postgres::start(&tools.postgres, dir.path(), &throwaway()).await.unwrap();
    let error = Postgres::start(&tools.postgres, dir.path(), &throwaway()).await.unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    first.stop().await;
}

#[tokio::test]
async fn a_long_path_is_no_obstacle() {
    let (tools, dir) = (tools(), tempfile::tempdir().unwrap());
    let home = dir.path().join("a folder, with \"strange\" name ".repeat(4));
    let server = Postgres::start(&tools.postgres, &home, &throwaway()).await.unwrap();
    assert!(!server.socket_dir().starts_with(dir.path()));
    assert_eq!(sql(&tools, &server.url(), "select 1"), "1");
    let socket_dir = server.socket_dir().to_owned();
    server.stop().await;
    assert!(!socket_dir.exists());
}

#[tokio::test]
async fn a_strange_name_is_no_obstacle() {
    let (tools, dir) = (tools(), tempfile::tempdir().unwrap());
    let home = dir.path().join("a \"b\" %41&c");
    let server = Postgres::start(&tools.postgres, &home, &throwaway()).await.unwrap();
    assert!(server.socket_dir().starts_with(&home));
    assert_eq!(sql(&tools, &server.url(), "select 1"), "1");
    server.stop().await;
}

/// As root without user namespaces (in a container, in a chroot) the server runs as another user, who owns the folder, and who
/// gets in even where only root may pass; as anybody else, as oneself.
#[tokio::test]
async fn without_a_namespace_an_account_is_used_and_kept() {
    let root = nix::unistd::geteuid().is_root();
    for (mode, expected) in [(0o755, "account"), (0o700, "account-anywhere ")] {
        let (tools, dir) = (tools(), tempfile::tempdir().unwrap());
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        let home = dir.path().join("postgres");
        let mut options = throwaway();
        options.namespace = false;
        for _ in 0..2 {
            let server = Postgres::start(&tools.postgres, &home, &options).await.unwrap();
            assert_eq!(sql(&tools, &server.url(), "select 1"), "1");
            let runs_as = std::fs::metadata(format!("/proc/{}", server.pid())).unwrap().uid();
            assert_ne!(runs_as, 0);
            assert_eq!(std::fs::metadata(home.join("data")).unwrap().uid(), runs_as);
            let record = std::fs::read_to_string(home.join("identity")).unwrap();
            assert!(record.starts_with(if root { expected } else { "direct" }), "{record}");
            server.stop().await;
            // The second time the record decides, although namespaces are allowed again.
            options.namespace = true;
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_ours_is_left_alone() {
    let (tools, dir) = (tools(), tempfile::tempdir().unwrap());
    Postgres::start(&tools.postgres, dir.path(), &throwaway()).await.unwrap().stop().await;
    let data = std::fs::canonicalize(dir.path()).unwrap().join("data");
    // Anything that works in the data folder and is named in the pid file.
    let mut foreign = std::process::Command::new("/bin/sleep").arg("60").current_dir(&data).spawn().unwrap();
    std::fs::write(data.join("postmaster.pid"), format!("{}\n", foreign.id())).unwrap();
    wait_for("sleep runs", || {
        std::fs::read_to_string(format!("/proc/{}/comm", foreign.id()))
            .is_ok_and(|name| name.trim() == "sleep")
    });
    let error = Postgres::start(&tools.postgres, dir.path(), &throwaway()).await.unwrap_err();
    assert!(matches!(error, Error::ForeignOwner { .. }), "{error}");
    assert!(foreign.try_wait().unwrap().is_none());
    foreign.kill().unwrap();
    foreign.wait().unwrap();
    // Its number in the file is nobody now.
    Postgres::start(&tools.postgres, dir.path(), &throwaway()).await.unwrap().stop().await;
}

#[tokio::test]
async fn a_wrong_setting_is_told_with_the_last_words() {
    let (tools, dir) = (tools(), tempfile::tempdir().unwrap());
    let mut options = throwaway();
    options.settings.push(("no_such_setting".to_owned(), "1".to_owned()));
    let error = Postgres::start(&tools.postgres, dir.path(), &options).await.unwrap_err();
    assert!(
        matches!(&error, Error::Died { last_words, .. } if last_words.contains("no_such_setting")),
        "{error}"
    );
}

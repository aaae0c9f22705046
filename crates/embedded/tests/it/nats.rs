//! The private nats-server on its own, spoken to by hand.
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use embedded::nats::SyncInterval;
use embedded::{Error, Nats};

use crate::place::{alive, nats_options, tools};

/// Sends one request as the user of `url`, and gives the answer or the server's error line.
fn request(url: &str, subject: &str, body: &str) -> String {
    let (user, address) = url.strip_prefix("nats://").unwrap().split_once('@').unwrap();
    let (user, password) = user.split_once(':').unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    write!(writer, "CONNECT {{\"user\":\"{user}\",\"pass\":\"{password}\",\"verbose\":false}}\r\nPING\r\n")
        .unwrap();
    line.clear();
    reader.read_line(&mut line).unwrap();
    if line.trim_end() != "PONG" {
        return line;
    }
    let length = body.len();
    write!(writer, "SUB answer 1\r\nPUB {subject} answer {length}\r\n{body}\r\n").unwrap();
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if let Some(message) = line.strip_prefix("MSG ") {
            let mut answer = vec![0; message.split_whitespace().last().unwrap().parse().unwrap()];
            reader.read_exact(&mut answer).unwrap();
            return String::from_utf8(answer).unwrap();
        }
        if line.starts_with("-ERR") || line.is_empty() {
            return line;
        }
    }
}

#[tokio::test]
async fn a_killed_server_comes_back_on_its_port_with_its_streams() {
    let (tools, dir) = (tools(), tempfile::tempdir().unwrap());
    let mut options = nats_options();
    options.sync_interval = SyncInterval::Always;
    let server = Nats::start(&tools.nats, dir.path(), &options).await.unwrap();
    let url = server.url();
    let made = request(&url, "$JS.API.STREAM.CREATE.KEPT", r#"{"name":"KEPT","subjects":["kept.*"]}"#);
    assert!(made.contains("\"did_create\":true"), "{made}");
    assert!(request(&url, "kept.one", "hello").contains("\"seq\":1"));
    options.port = Some(server.port());
    server.kill();
    let status = tokio::time::timeout(Duration::from_secs(10), server.exited()).await.unwrap();
    assert_eq!(status.to_string(), "signal: 9 (SIGKILL)");
    drop(server);
    let server = Nats::start(&tools.nats, dir.path(), &options).await.unwrap();
    assert_eq!(server.url(), url);
    let kept = request(&url, "$JS.API.STREAM.INFO.KEPT", "");
    assert!(kept.contains("\"messages\":1"), "{kept}");
    server.stop().await;
}

#[tokio::test]
async fn strangers_stay_outside() {
    let (tools, dir) = (tools(), tempfile::tempdir().unwrap());
    let home = dir.path().join("a \"strange\" name");
    let server = Nats::start(&tools.nats, &home, &nats_options()).await.unwrap();
    for name in ["nats.conf", "password"] {
        assert_eq!(std::fs::metadata(home.join(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    let wrong = format!("nats://eventus:wrong@127.0.0.1:{}", server.port());
    let refused = request(&wrong, "$JS.API.INFO", "");
    assert!(refused.starts_with("-ERR 'Authorization Violation'"), "{refused}");
    let pid = server.pid();
    drop(server);
    assert!(!alive(pid));
}

#[tokio::test]
async fn a_taken_port_and_a_taken_folder_are_told() {
    let (tools, dir, other) = (tools(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Nats::start(&tools.nats, dir.path(), &nats_options()).await.unwrap();
    let error = Nats::start(&tools.nats, dir.path(), &nats_options()).await.unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    let mut options = nats_options();
    options.port = Some(server.port());
    let error = Nats::start(&tools.nats, other.path(), &options).await.unwrap_err();
    let told = |last_words: &str| last_words.contains("address already in use");
    assert!(matches!(&error, Error::Died { last_words, .. } if told(last_words)), "{error}");
    server.stop().await;
}

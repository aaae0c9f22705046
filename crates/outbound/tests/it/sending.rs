//! What is sent, and what becomes of answers that are slow, long, broken or missing.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method};
use outbound::{Class, Client, Config, Error, Request, Response, Url};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::canary::Canary;

fn client() -> Client {
    Client::new(Config { allow: vec!["127.0.0.1/32".parse().unwrap()], ..Config::default() })
}

async fn post(url: &str, headers: HeaderMap, deadline: Duration) -> Result<Response, Error> {
    let (url, body) = (Url::parse(url)?, Bytes::from_static(b"{\"a\":1}"));
    client().send(Request { method: Method::POST, url, headers, body, deadline: Some(deadline) }).await
}

async fn ask(canary: &Canary) -> Result<Response, Error> {
    post(&format!("http://127.0.0.1:{}/x", canary.port()), HeaderMap::new(), Duration::from_millis(600)).await
}

#[tokio::test]
async fn a_request_arrives_as_it_was_meant() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let receive = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        while !read.ends_with(b"{\"a\":1}") {
            stream.read_buf(&mut read).await.unwrap();
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\nx-answer: yes\r\n\r\n").await.unwrap();
        String::from_utf8(read).unwrap().to_ascii_lowercase()
    };
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-mine", "1"),
        ("host", "evil"),
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
        ("connection", "upgrade"),
        ("user-agent", "evil"),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    let url = format!("http://{address}/hook?x=%2F");
    let (answer, received) = tokio::join!(post(&url, headers, Duration::from_secs(5)), receive);
    let answer = answer.unwrap();
    assert_eq!((answer.status.as_u16(), answer.truncated), (204, false));
    assert_eq!(answer.headers["x-answer"], "yes");
    assert!(received.starts_with("post /hook?x=%2f http/1.1\r\n"), "{received}");
    for line in ["x-mine: 1", &format!("host: {address}"), "content-length: 7", "user-agent: eventus"] {
        assert_eq!(received.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line} in {received}");
    }
    assert!(!received.contains("evil") && !received.contains("chunked"), "{received}");
}

#[tokio::test]
async fn a_long_body_is_cut() {
    let body = "x".repeat(200_000);
    let canary = Canary::start(format!("HTTP/1.1 500 Oops\r\ncontent-length: 200000\r\n\r\n{body}")).await;
    let answer = ask(&canary).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.len(), answer.truncated), (500, 64 * 1024, true));
    // Exactly at the cap nothing is missing.
    let body = "x".repeat(64 * 1024);
    let canary = Canary::start(format!("HTTP/1.1 200 OK\r\ncontent-length: 65536\r\n\r\n{body}")).await;
    let answer = ask(&canary).await.unwrap();
    assert_eq!((answer.body.len(), answer.truncated), (64 * 1024, false));
}

#[tokio::test]
async fn an_endless_head_is_refused() {
    let head = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(300_000));
    assert_eq!(ask(&Canary::start(head).await).await.unwrap_err().class, Class::TooLarge);
}

#[tokio::test]
async fn an_answer_that_does_not_come_ends_at_the_deadline() {
    for answer in ["", "HTTP/1.1 200"] {
        let begun = Instant::now();
        let canary = Canary::start(answer).await;
        assert_eq!(ask(&canary).await.unwrap_err().class, Class::Timeout);
        assert!((500..2_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    }
    // The status has come: it counts, although the body does not end.
    let canary = Canary::start("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    let answer = ask(&canary).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..], answer.truncated), (200, &b"half"[..], true));
}

#[tokio::test]
async fn what_is_no_answer_is_named_by_its_class() {
    let canary = Canary::start("SSH-2.0-OpenSSH_9.2p1 Debian\r\n\r\n").await;
    assert_eq!(ask(&canary).await.unwrap_err().class, Class::Protocol);
    // A server without TLS.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let plain = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    };
    let (answer, _stream) = tokio::join!(post(&url, HeaderMap::new(), Duration::from_secs(5)), plain);
    let error = answer.unwrap_err();
    assert_eq!(error.class, Class::Tls);
    assert_eq!(error.to_string(), "tls");
    // Nobody listens.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = post(&format!("http://{free}/"), HeaderMap::new(), Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(error.class, Class::Refused);
    // Hangs up.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let hang_up = async { drop(listener.accept().await.unwrap()) };
    let (answer, ()) = tokio::join!(post(&url, HeaderMap::new(), Duration::from_secs(5)), hang_up);
    assert_eq!(answer.unwrap_err().class, Class::Closed);
    let error =
        post("http://no-such-host.invalid/", HeaderMap::new(), Duration::from_secs(5)).await.unwrap_err();
    assert!(matches!(error.class, Class::Dns | Class::Timeout), "{error}");
}

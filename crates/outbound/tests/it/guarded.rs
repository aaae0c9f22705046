//! The attack vectors: none of them makes a single connection.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method};
use outbound::{Class, Client, Config, Request, Resolve, Url};

use crate::canary::Canary;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn config(allow: &[&str]) -> Config {
    let allow: Vec<String> = allow.iter().map(|part| (*part).to_owned()).collect();
    // Every port: only the address is to decide.
    Config { allow: Config::parse_allow(&allow).unwrap(), ports: Vec::new(), ..Config::default() }
}

fn get(url: &str) -> Result<Request, outbound::Error> {
    let (method, headers) = (Method::GET, HeaderMap::new());
    Ok(Request { method, url: Url::parse(url)?, headers, body: Bytes::new(), deadline: None })
}

async fn class(client: &Client, url: &str) -> Option<Class> {
    let request = match get(url) {
        Ok(request) => request,
        Err(error) => return Some(error.class),
    };
    client.send(request).await.err().map(|error| error.class)
}

/// Every way we know to write an address that is none of a sender's business.
const HOSTS: &[&str] = &[
    // Literal addresses of this machine, in every form.
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "0.0.0.0",
    "0.0.0.1",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:0:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::80ff:fffe]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fe80::1%lo]",
    "[fc00::1]",
    "[ff02::1]",
    // Numbers in disguise.
    "127.1",
    "127.0.1",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "0177.0.0.01",
    "127.0.0.01",
    "00127.0.0.1",
    "0",
    "0x7f.1",
    "127.0.0.1.",
    "1.",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "127%2e0%2e0%2e1",
    // Names.
    "localhost",
    "LOCALHOST",
    "localhost.",
    "localhost.localdomain.",
    "loc%61lhost",
    "ⓛocalhost",
    "example.com@127.0.0.1",
    "user:pass@localhost",
    "127.0.0.1\\@example.com",
    "127.0.0.1#.example.com",
    "127.0.0.1%00.example.com",
    " 127.0.0.1",
    "127.0.0.1\t",
    // Private neighbours and the metadata service.
    "169.254.169.254",
    "10.0.0.1",
    "192.168.0.1",
    "172.16.0.1",
    "100.64.0.1",
    "[fd00:ec2::254]",
];

#[tokio::test]
async fn no_vector_reaches_the_canary() {
    let canary = Canary::start(OK).await;
    let port = canary.port();
    let client = Client::new(config(&[]));
    for host in HOSTS {
        let url = format!("http://{host}:{port}/");
        let refused = class(&client, &url).await.unwrap_or_else(|| panic!("{host} was reached"));
        assert!(matches!(refused, Class::Blocked | Class::Invalid | Class::Dns), "{host}: {refused:?}");
        if refused == Class::Blocked && !host.contains("localhost") && !host.contains("LOCAL") {
            assert_eq!(client.check(&url).unwrap_err().class, Class::Blocked, "{host}");
        }
    }
    for scheme in ["ftp", "file", "gopher", "ws", "unix", "javascript"] {
        assert_eq!(class(&client, &format!("{scheme}://127.0.0.1:{port}/")).await, Some(Class::Invalid));
    }
    assert_eq!(canary.came().await, 0);
}

#[tokio::test]
async fn the_addresses_of_this_machine_are_closed_even_if_they_look_public() {
    let canary = Canary::start(OK).await;
    let client = Client::new(config(&[]));
    for own in own_addresses() {
        let host = if own.is_ipv6() { format!("[{own}]") } else { own.to_string() };
        assert_eq!(
            class(&client, &format!("http://{host}:{}/", canary.port())).await,
            Some(Class::Blocked),
            "{own}"
        );
    }
    assert_eq!(canary.came().await, 0);
}

/// From which addresses the kernel would send to the world, and to itself.
fn own_addresses() -> Vec<IpAddr> {
    let towards =
        [("0.0.0.0:0", "1.1.1.1:9"), ("[::]:0", "[2606:4700:4700::1111]:9"), ("0.0.0.0:0", "127.0.0.1:9")];
    let from = |(any, to): (&str, &str)| {
        let socket = std::net::UdpSocket::bind(any).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    towards.into_iter().filter_map(from).collect()
}

#[tokio::test]
async fn what_the_operator_allows_is_reached() {
    let canary = Canary::start(OK).await;
    let port = canary.port();
    let client = Client::new(config(&["127.0.0.1", "::1"]));
    for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"] {
        assert_eq!(class(&client, &format!("http://{host}:{port}/")).await, None, "{host}");
    }
    assert_eq!(canary.came().await, 4);
    assert_eq!(class(&client, &format!("http://127.0.0.2:{port}/")).await, Some(Class::Blocked));
    assert_eq!(canary.came().await, 4);
}

/// Gives these answers one after the other.
#[derive(Debug)]
struct Script(Mutex<VecDeque<Vec<IpAddr>>>);

impl Script {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parsed = answers.iter().map(|ips| ips.iter().map(|ip| ip.parse().unwrap()).collect());
        Arc::new(Self(Mutex::new(parsed.collect())))
    }

    fn left(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Resolve for Script {
    fn resolve<'a>(
        &'a self,
        _host: &'a str,
    ) -> std::pin::Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send + 'a>> {
        let next = self.0.lock().unwrap().pop_front();
        Box::pin(async move { next.ok_or_else(|| std::io::Error::other("asked too often")) })
    }
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_what_was_checked_is_connected() {
    let canary = Canary::start(OK).await;
    // 127.0.0.1 plays the public address, 127.0.0.2 the private one. A second look-up would be a rebinding.
    let script = Script::new(&[&["127.0.0.1"], &["127.0.0.2"], &["127.0.0.2"], &["127.0.0.2", "127.0.0.1"]]);
    let url = format!("http://rebinding.example:{}/", canary.port());
    let client = Client::with_resolver(config(&["127.0.0.1"]), script.clone());
    assert_eq!(class(&client, &url).await, None);
    assert_eq!(script.left(), 3, "one look-up for one connection");
    assert_eq!(canary.came().await, 1);
    // The pool keeps the checked connection: no further look-up for the same name.
    assert_eq!(class(&client, &url).await, None);
    assert_eq!((script.left(), canary.came().await), (3, 1));
    // Without a connection at rest the new answer counts, and it is private.
    let client = Client::with_resolver(config(&["127.0.0.1"]), script.clone());
    assert_eq!(class(&client, &url).await, Some(Class::Blocked));
    assert_eq!(class(&client, &url).await, Some(Class::Blocked));
    assert_eq!(canary.came().await, 1);
    // Of several addresses only those that may be reached are tried.
    assert_eq!(class(&client, &url).await, None);
    assert_eq!((script.left(), canary.came().await), (0, 2));
    assert_eq!(class(&client, "http://elsewhere.example/").await, Some(Class::Dns));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let target = Canary::start(OK).await;
    let moved = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{}/\r\ncontent-length: 0\r\n\r\n",
        target.port()
    );
    let canary = Canary::start(moved).await;
    let client = Client::new(config(&["127.0.0.1"]));
    let response = client.send(get(&format!("http://127.0.0.1:{}/", canary.port())).unwrap()).await.unwrap();
    assert_eq!(response.status, 302);
    assert_eq!(target.came().await, 0);
}

#[tokio::test]
async fn ports_beside_those_of_the_web_are_closed() {
    let script = Script::new(&[&["192.0.2.1"]]);
    let client = Client::with_resolver(Config::default(), script);
    assert_eq!(client.check("http://1.1.1.1:22/").unwrap_err().class, Class::Blocked);
    assert!(client.check("https://1.1.1.1/").is_ok() && client.check("http://1.1.1.1:8080/").is_ok());
}

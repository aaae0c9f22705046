//! A real SMTP server on loopback that keeps what it is handed, and refuses what it is told to refuse.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// One mail, as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// `MAIL FROM`.
    pub from: String,
    /// `RCPT TO`, each.
    pub to: Vec<String>,
    /// Headers and body.
    pub source: String,
}

impl Received {
    /// A header's line, without its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let head = self.source.split("\n\n").next().unwrap_or_default();
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The text with its quoted lines joined again (quoted-printable).
    pub fn text(&self) -> String {
        self.source.replace("=\n", "").replace("=3D", "=")
    }

    /// What stands behind `token=` in it, up to the first letter that no token has.
    pub fn token(&self) -> String {
        let text = self.text();
        let (_, rest) = text.split_once("token=").expect("a link");
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')).collect()
    }
}

#[derive(Default)]
struct Book {
    mails: Mutex<Vec<Received>>,
    /// Answers to the next `RCPT TO`, one each; then all is well again.
    refusals: Mutex<Vec<String>>,
    arrived: Notify,
}

/// A running server. It stops with the value.
pub struct Smtp {
    book: Arc<Book>,
    address: SocketAddr,
    running: JoinHandle<()>,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Smtp").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.running.abort();
    }
}

#[expect(clippy::disallowed_methods, reason = "lives as long as the server")]
impl Smtp {
    /// Starts one that takes everything.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let book = Arc::new(Book::default());
        let shared = Arc::clone(&book);
        let running = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { book, address, running }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The next recipient is refused with this line (`550 no such mailbox`); several calls, several refusals.
    pub fn refuse(&self, line: &str) {
        self.book.refusals.lock().unwrap_or_else(PoisonError::into_inner).insert(0, line.to_owned());
    }

    /// Everything that was handed over so far.
    pub fn mails(&self) -> Vec<Received> {
        self.book.mails.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for so many mails in all.
    ///
    /// # Panics
    /// They don't come within ten seconds.
    pub async fn wait(&self, count: usize) -> Vec<Received> {
        let all = async {
            loop {
                let arrived = self.book.arrived.notified();
                let mails = self.mails();
                if mails.len() >= count {
                    return mails;
                }
                arrived.await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), all).await;
        waited.unwrap_or_else(|_| panic!("{} mails and not {count}: {:?}", self.mails().len(), self.mails()))
    }
}

async fn serve(stream: TcpStream, book: Arc<Book>) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut mail = Received { from: String::new(), to: Vec::new(), source: String::new() };
    let mut answer = "220 sink".to_owned();
    loop {
        if writer.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return;
        }
        let Ok(Some(line)) = lines.next_line().await else { return };
        let upper = line.to_ascii_uppercase();
        let address = || line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        answer = "250 ok".to_owned();
        if upper.starts_with("MAIL FROM") {
            mail = Received { from: address(), to: Vec::new(), source: String::new() };
        } else if upper.starts_with("RCPT TO") {
            match book.refusals.lock().unwrap_or_else(PoisonError::into_inner).pop() {
                Some(refusal) => answer = refusal,
                None => mail.to.push(address()),
            }
        } else if upper.starts_with("DATA") {
            if writer.write_all(b"354 go on\r\n").await.is_err() {
                return;
            }
            while let Ok(Some(line)) = lines.next_line().await {
                if line == "." {
                    break;
                }
                mail.source.push_str(line.strip_prefix('.').unwrap_or(&line));
                mail.source.push('\n');
            }
            book.mails.lock().unwrap_or_else(PoisonError::into_inner).push(mail.clone());
            book.arrived.notify_waiters();
        } else if upper.starts_with("QUIT") {
            let _ = writer.write_all(b"221 bye\r\n").await;
            return;
        }
    }
}

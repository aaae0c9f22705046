//! A listener that counts who comes, on every address of the machine.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Answers each connection with one fixed text and counts connections.
pub struct Canary {
    port: u16,
    came: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Canary {
    /// Listens on `[::]` (and so on every IPv4 address too) and answers with this text.
    pub async fn start(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let came = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let (count, answer): (_, Arc<[u8]>) = (came.clone(), answer.into().into());
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                open.spawn(serve(stream, answer.clone()));
            }
        });
        Self { port, came, _tasks: tasks }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections so far, after one of our own that proves that those before it were counted.
    pub async fn came(&self) -> usize {
        let before = self.came.load(Ordering::SeqCst);
        let probe = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        while self.came.load(Ordering::SeqCst) == before {
            tokio::task::yield_now().await;
        }
        drop(probe);
        self.came.fetch_sub(1, Ordering::SeqCst) - 1
    }
}

/// One answer for each request, as long as it is asked.
async fn serve(mut stream: TcpStream, answer: Arc<[u8]>) {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        read.extend_from_slice(&buffer[..count]);
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            read.drain(..end + 4);
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    }
}

//! A TCP proxy that stands on one edge of the fleet and does to its connections what it is told.
//!
//! It also spreads connections over the processes of a role, as a service of Kubernetes does.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

use crate::plan::Wrong;

/// How long a look for a living process behind the proxy may take.
const DIAL: Duration = Duration::from_secs(2);

/// What stands behind a proxy.
#[derive(Debug, Clone)]
pub enum Upstream {
    /// An address of TCP.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// What it does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Pass,
    Wrong(Wrong),
    /// Answers with what is no protocol at all.
    Garbage,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A proxy. It lives as long as the run.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Where clients connect to.
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    mode: watch::Sender<Mode>,
    upstreams: Vec<Upstream>,
    next: AtomicUsize,
    /// Connections and parts of them to which something wrong was done.
    hurt: AtomicU64,
}

/// Why a connection ended.
enum End {
    Broken,
    HalfOpen,
}

impl Proxy {
    /// Starts one.
    pub async fn start(upstreams: Vec<Upstream>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (next, hurt) = (AtomicUsize::new(0), AtomicU64::new(0));
        let inner = Arc::new(Inner { mode: watch::Sender::new(Mode::Pass), upstreams, next, hurt });
        let serving = Arc::clone(&inner);
        crate::spawn(async move {
            loop {
                // An accept fails for want of file descriptors only; clients come again.
                let Ok((client, _)) = listener.accept().await else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                crate::spawn(Arc::clone(&serving).serve(client));
            }
        });
        Self { address, inner }
    }

    /// From now on this is wrong with every connection.
    pub fn harm(&self, wrong: Wrong) {
        self.inner.mode.send_replace(Mode::Wrong(wrong));
    }

    /// From now on new connections get garbage, and those that are there break.
    pub fn babble(&self) {
        self.inner.mode.send_replace(Mode::Garbage);
    }

    /// Everything passes again.
    pub fn heal(&self) {
        self.inner.mode.send_replace(Mode::Pass);
    }

    /// How often something wrong was done.
    pub fn hurt(&self) -> u64 {
        self.inner.hurt.load(Ordering::Relaxed)
    }
}

impl Inner {
    async fn serve(self: Arc<Self>, mut client: TcpStream) {
        let _ = client.set_nodelay(true);
        let mut mode = self.mode.subscribe();
        let at_first = *mode.borrow_and_update();
        match at_first {
            Mode::Wrong(Wrong::Reset) => return self.reset(client),
            Mode::Wrong(Wrong::HalfOpen) => return self.silent(client, mode).await,
            Mode::Garbage => {
                self.hurt.fetch_add(1, Ordering::Relaxed);
                let _ = client.write_all(b"\x00\xff gar bage \x07\r\n\r\n\x16\x03").await;
                return;
            }
            Mode::Pass | Mode::Wrong(_) => {}
        }
        let Some(upstream) = self.dial().await else { return reset(&client) };
        let ended = {
            let (mut from_client, mut to_client) = client.split();
            let (mut from_upstream, mut to_upstream) = split(upstream);
            let up = self.pump(&mut from_client, &mut to_upstream, mode.clone(), true);
            let down = self.pump(&mut from_upstream, &mut to_client, mode.clone(), false);
            tokio::try_join!(up, down)
        };
        match ended {
            Ok(_) => {}
            Err(End::Broken) => reset(&client),
            Err(End::HalfOpen) => self.silent(client, mode).await,
        }
    }

    fn reset(&self, client: TcpStream) {
        self.hurt.fetch_add(1, Ordering::Relaxed);
        reset(&client);
    }

    /// Keeps a connection open without a word, until the fault is over.
    async fn silent(&self, client: TcpStream, mut mode: watch::Receiver<Mode>) {
        self.hurt.fetch_add(1, Ordering::Relaxed);
        let _ = mode.wait_for(|mode| *mode != Mode::Wrong(Wrong::HalfOpen)).await;
        reset(&client);
    }

    /// The next process that takes a connection.
    async fn dial(&self) -> Option<Box<dyn Stream>> {
        for _ in 0..self.upstreams.len() {
            let index = self.next.fetch_add(1, Ordering::Relaxed) % self.upstreams.len();
            let dialled = tokio::time::timeout(DIAL, dial(&self.upstreams[index])).await;
            if let Ok(Ok(stream)) = dialled {
                return Some(stream);
            }
        }
        None
    }

    async fn pump(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        mut mode: watch::Receiver<Mode>,
        up: bool,
    ) -> Result<(), End> {
        let mut buffer = vec![0; 16 * 1024];
        let mut passed = 0;
        loop {
            let read = tokio::select! {
                read = from.read(&mut buffer) => read.map_err(|_| End::Broken)?,
                _ = mode.changed() => {
                    self.turned(*mode.borrow_and_update())?;
                    passed = 0;
                    continue;
                }
            };
            if read == 0 {
                let _ = to.shutdown().await;
                return Ok(());
            }
            self.part(to, &buffer[..read], &mut mode, up, &mut passed).await?;
        }
    }

    /// A fault that breaks what is there begins.
    fn turned(&self, mode: Mode) -> Result<(), End> {
        let end = match mode {
            Mode::Wrong(Wrong::Reset) | Mode::Garbage => End::Broken,
            Mode::Wrong(Wrong::HalfOpen) => End::HalfOpen,
            Mode::Pass | Mode::Wrong(_) => return Ok(()),
        };
        self.hurt.fetch_add(1, Ordering::Relaxed);
        Err(end)
    }

    /// Passes one part on, as the mode allows.
    async fn part(
        &self,
        to: &mut (impl AsyncWrite + Unpin),
        part: &[u8],
        mode: &mut watch::Receiver<Mode>,
        up: bool,
        passed: &mut usize,
    ) -> Result<(), End> {
        let mut rest = part;
        while !rest.is_empty() {
            let now = *mode.borrow_and_update();
            if now != Mode::Pass {
                self.hurt.fetch_add(1, Ordering::Relaxed);
            }
            let mut portion = rest.len();
            match now {
                Mode::Pass => {}
                Mode::Wrong(Wrong::Delay { ms, jitter }) => {
                    let more = self.hurt.load(Ordering::Relaxed).wrapping_mul(7_919) % (jitter + 1);
                    tokio::time::sleep(Duration::from_millis(ms + more)).await;
                }
                // What was sent waits, as it does between two kernels that try again.
                Mode::Wrong(Wrong::Drop { up: dead }) if dead == up => {
                    let _ = mode.changed().await;
                    self.turned(*mode.borrow())?;
                    continue;
                }
                Mode::Wrong(Wrong::Drop { .. }) => {}
                Mode::Wrong(Wrong::Slow { bytes }) => {
                    portion = portion.min((bytes / 20).max(1));
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Mode::Wrong(Wrong::Cut { after }) => {
                    portion = portion.min(after.saturating_sub(*passed));
                    if portion == 0 {
                        return Err(End::Broken);
                    }
                }
                Mode::Wrong(Wrong::Reset | Wrong::HalfOpen) | Mode::Garbage => self.turned(now)?,
            }
            to.write_all(&rest[..portion]).await.map_err(|_| End::Broken)?;
            *passed += portion;
            rest = &rest[portion..];
        }
        Ok(())
    }
}

async fn dial(upstream: &Upstream) -> std::io::Result<Box<dyn Stream>> {
    Ok(match upstream {
        Upstream::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            let _ = stream.set_nodelay(true);
            Box::new(stream)
        }
        Upstream::Unix(path) => Box::new(UnixStream::connect(path).await?),
    })
}

/// The other end is to see a reset, not an orderly end.
fn reset(client: &TcpStream) {
    let _ = client.set_zero_linger();
}

#[cfg(test)]
mod tests;

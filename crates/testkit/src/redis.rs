//! A Redis of one's own, in memory only, on a free port.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{eventually, free_address, settings};

/// A private redis-server. It stops with the value.
#[derive(Debug)]
pub struct Redis {
    child: Option<Child>,
    address: SocketAddr,
}

impl Redis {
    /// Starts one.
    pub async fn start() -> Self {
        let mut redis = Self { child: None, address: free_address() };
        redis.restart().await;
        redis
    }

    /// Its address; the same after a restart.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// SIGKILL; returns when it is gone.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
    }

    /// Starts it again, empty, after ending it if it runs.
    pub async fn restart(&mut self) {
        self.kill9();
        let port = self.address.port().to_string();
        let child = Command::new(program())
            .args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.expect("redis-server is installed (script/test does)"));
        eventually(Duration::from_secs(20), || async { self.ask("PING").await.is_some() }).await;
    }

    /// What it says to a command without arguments, as it is on the wire; nothing when it does not answer.
    pub async fn ask(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        Some(text)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Ours, or what PATH has.
fn program() -> PathBuf {
    let search = settings::search();
    let ours = search.bin_dir.join("redis-server");
    if ours.is_file() { ours } else { PathBuf::from("redis-server") }
}

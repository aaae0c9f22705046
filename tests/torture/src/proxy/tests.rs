use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// A server that says back what it hears, and the proxy before it.
async fn echo() -> Proxy {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    crate::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            crate::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    Proxy::start(vec![Upstream::Unix("/nowhere".into()), Upstream::Tcp(address)]).await
}

async fn said(stream: &mut TcpStream, text: &str) -> std::io::Result<String> {
    stream.write_all(text.as_bytes()).await?;
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).await?;
    Ok(String::from_utf8(back).unwrap())
}

#[tokio::test]
async fn what_passes_arrives_whole_and_late() {
    let proxy = echo().await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    assert_eq!(said(&mut stream, "hello").await.unwrap(), "hello");
    proxy.harm(Wrong::Delay { ms: 40, jitter: 1 });
    let begun = std::time::Instant::now();
    assert_eq!(said(&mut stream, "late").await.unwrap(), "late");
    assert!(begun.elapsed() >= Duration::from_millis(80), "{:?}", begun.elapsed());
    proxy.harm(Wrong::Slow { bytes: 100 });
    assert_eq!(said(&mut stream, "narrow way").await.unwrap(), "narrow way");
    assert!(proxy.hurt() >= 6);
}

#[tokio::test]
async fn what_was_dropped_comes_after_the_fault() {
    let proxy = echo().await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    assert_eq!(said(&mut stream, "a").await.unwrap(), "a");
    proxy.harm(Wrong::Drop { up: false });
    stream.write_all(b"b").await.unwrap();
    let silence = tokio::time::timeout(Duration::from_millis(100), stream.read_u8()).await;
    assert!(silence.is_err());
    proxy.heal();
    assert_eq!(stream.read_u8().await.unwrap(), b'b');
}

#[tokio::test]
async fn what_breaks_is_broken_until_it_heals() {
    let proxy = echo().await;
    for wrong in [Wrong::Reset, Wrong::Cut { after: 3 }] {
        proxy.heal();
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(said(&mut stream, "a").await.unwrap(), "a");
        proxy.harm(wrong);
        assert!(said(&mut stream, "whole").await.is_err(), "{wrong:?}");
    }
    proxy.harm(Wrong::HalfOpen);
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(b"a").await.unwrap();
    let silence = tokio::time::timeout(Duration::from_millis(100), stream.read_u8()).await;
    assert!(silence.is_err());
    proxy.heal();
    assert!(stream.read_u8().await.is_err(), "the kernel of the other end knows nothing of it");
}

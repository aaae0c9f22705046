//! What a request says of the client itself: address, user agent, origin.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{ORIGIN, USER_AGENT};
use model::Accountability;

use crate::config::TrustProxy;

/// The other end of the connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Characters of a user agent or origin that are kept.
const LONGEST: usize = 512;

/// Fills in what the request says of the client.
pub fn describe(accountability: &mut Accountability, headers: &HeaderMap, address: Option<IpAddr>) {
    accountability.ip = address.map(|address| address.to_string());
    accountability.user_agent = headers.get(USER_AGENT).map(|value| cut(value.as_bytes()));
    accountability.origin = headers.get(ORIGIN).map(|value| cut(value.as_bytes()));
}

/// The address of the client behind a connection.
pub fn address_of(headers: &HeaderMap, peer: Option<&Peer>, trust: TrustProxy) -> Option<IpAddr> {
    peer.map(|peer| address(headers, peer.0.ip(), trust))
}

/// The client's address: the socket's, unless proxies are trusted to know better.
fn address(headers: &HeaderMap, socket: IpAddr, trust: TrustProxy) -> IpAddr {
    let socket = socket.to_canonical();
    let nearest_last = || {
        let lines = headers.get_all("x-forwarded-for").into_iter().filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| line.split(',')).map(str::trim).collect::<Vec<_>>()
    };
    let claimed = match trust {
        TrustProxy::No | TrustProxy::Hops(0) => return socket,
        TrustProxy::All => nearest_last().first().copied().and_then(parse),
        TrustProxy::Hops(hops) => {
            let entries = nearest_last();
            entries.len().checked_sub(hops).and_then(|at| parse(entries[at]))
        }
    };
    claimed.unwrap_or(socket)
}

/// `1.2.3.4`, `::1`, and both with a port.
fn parse(text: &str) -> Option<IpAddr> {
    let address = text.parse().or_else(|_| text.parse().map(|address: SocketAddr| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

fn cut(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => text[..end].to_owned(),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::{HeaderMap, HeaderValue};

    use super::{address, cut};
    use crate::config::TrustProxy;

    fn seen(trust: TrustProxy, lines: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", HeaderValue::from_static(line));
        }
        address(&headers, "::ffff:10.0.0.9".parse::<IpAddr>().unwrap(), trust).to_string()
    }

    #[test]
    fn proxies_are_believed_only_when_trusted() {
        let lines = ["6.6.6.6, 1.2.3.4", "10.0.0.1:4711"];
        assert_eq!(seen(TrustProxy::No, &lines), "10.0.0.9");
        assert_eq!(seen(TrustProxy::All, &lines), "6.6.6.6");
        assert_eq!(seen(TrustProxy::Hops(1), &lines), "10.0.0.1");
        assert_eq!(seen(TrustProxy::Hops(2), &lines), "1.2.3.4");
        assert_eq!(seen(TrustProxy::Hops(9), &lines), "10.0.0.9");
        assert_eq!(seen(TrustProxy::All, &["nonsense"]), "10.0.0.9");
        assert_eq!(seen(TrustProxy::All, &[]), "10.0.0.9");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("é".repeat(600).as_bytes()).chars().count(), 512);
        assert_eq!(cut(b"curl/8"), "curl/8");
    }
}

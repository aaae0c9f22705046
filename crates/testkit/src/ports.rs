//! Addresses for processes that bind by themselves.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// A loopback address that was free a moment ago. Prefer port 0 where the port can be asked for.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound listener has an address")
}

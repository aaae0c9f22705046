//! Which addresses may be reached: public ones that are not our own, and those that the operator allows.
//!
//! The list is the union of the special-purpose registries of IANA and of what other webhook senders block.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::url::{Host, host, port};
use crate::{Class, Config, Error, Url};

const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), prefix)
}

const fn v6(a: u16, b: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

const BLOCKED_V4: [Ipv4Net; 15] = [
    v4(0, 0, 0, 8),       // this host
    v4(10, 0, 0, 8),      // private
    v4(100, 64, 0, 10),   // carrier-grade NAT
    v4(127, 0, 0, 8),     // loopback
    v4(169, 254, 0, 16),  // link-local, cloud metadata
    v4(172, 16, 0, 12),   // private
    v4(192, 0, 0, 24),    // protocol assignments
    v4(192, 0, 2, 24),    // documentation
    v4(192, 88, 99, 24),  // 6to4 relays
    v4(192, 168, 0, 16),  // private
    v4(198, 18, 0, 15),   // benchmarks
    v4(198, 51, 100, 24), // documentation
    v4(203, 0, 113, 24),  // documentation
    v4(224, 0, 0, 4),     // multicast
    v4(240, 0, 0, 4),     // reserved, broadcast
];

/// The only part of IPv6 that is public: loopback, NAT64, unique local, link-local, multicast are outside of it.
const PUBLIC_V6: Ipv6Net = v6(0x2000, 0, 3);

const BLOCKED_V6: [Ipv6Net; 4] = [
    v6(0x2001, 0, 23),     // protocol assignments, Teredo among them
    v6(0x2001, 0xdb8, 32), // documentation
    v6(0x2002, 0, 16),     // 6to4
    v6(0x3fff, 0, 20),     // documentation
];

/// Decides about addresses.
#[derive(Debug)]
pub(crate) struct Guard {
    allow: Vec<IpNet>,
    ports: Vec<u16>,
}

impl Guard {
    /// The rules of these settings.
    pub fn new(config: &Config) -> Self {
        Self { allow: config.allow.clone(), ports: config.ports.clone() }
    }

    /// Whether a connection may go there.
    pub fn permits(&self, to: SocketAddr) -> bool {
        let ip = to.ip().to_canonical();
        let permitted = self.is_allowed(ip)
            || (!is_special(ip) && !is_own(ip) && (self.ports.is_empty() || self.ports.contains(&to.port())));
        // Whoever is let through to a translator must not reach by it what is blocked directly.
        permitted && embedded(ip).into_iter().flatten().all(|v4| self.is_allowed(v4) || !is_special(v4))
    }

    /// Reads a URL; refuses one with a literal address or a port that may not be reached.
    pub fn check(&self, url: &str) -> Result<Url, Error> {
        let url = Url::parse(url)?;
        let port = port(url.uri()).ok_or(Class::Invalid)?;
        match host(url.uri()) {
            Some(Host::Address(ip)) if !self.permits(SocketAddr::new(ip, port)) => Err(Class::Blocked.into()),
            _ => Ok(url),
        }
    }

    fn is_allowed(&self, ip: IpAddr) -> bool {
        self.allow.iter().any(|net| net.contains(&ip))
    }
}

fn is_special(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => BLOCKED_V4.iter().any(|net| net.contains(&ip)),
        IpAddr::V6(ip) => !PUBLIC_V6.contains(&ip) || BLOCKED_V6.iter().any(|net| net.contains(&ip)),
    }
}

/// An address of this machine: the kernel would send from it to itself. Nothing is sent.
fn is_own(ip: IpAddr) -> bool {
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let Ok(socket) = UdpSocket::bind((any, 0)) else { return false };
    socket.connect((ip, 9)).is_ok() && socket.local_addr().is_ok_and(|local| local.ip() == ip)
}

/// IPv4 addresses that an IPv6 address may be translated to on its way.
fn embedded(ip: IpAddr) -> [Option<IpAddr>; 3] {
    let IpAddr::V6(ip) = ip else { return [None; 3] };
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let from =
        |high: u16, low: u16| Some(IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))));
    match [a, b] {
        // NAT64, both prefixes.
        [0x64, 0xff9b] => [from(g, h), None, None],
        // 6to4.
        [0x2002, _] => [from(b, c), None, None],
        // Teredo: server, and client in disguise.
        [0x2001, 0] => [from(c, d), from(!g, !h), None],
        // IPv4-compatible and -translated; `::` and `::1` are neither.
        [0, 0] if [c, d] == [0, 0] && (g, h) > (0, 1) => [from(g, h), None, None],
        // ISATAP, under any prefix.
        _ if matches!([e, f], [0 | 0x200, 0x5efe]) => [from(g, h), None, None],
        _ => [None; 3],
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use super::{Guard, is_own};
    use crate::Config;

    fn guard(allow: &[&str]) -> Guard {
        let allow: Vec<String> = allow.iter().map(|part| (*part).to_owned()).collect();
        Guard::new(&Config { allow: Config::parse_allow(&allow).unwrap(), ..Config::default() })
    }

    fn permits(guard: &Guard, ip: &str, port: u16) -> bool {
        guard.permits(SocketAddr::new(ip.parse().unwrap(), port))
    }

    #[test]
    fn every_special_network_is_blocked_to_its_borders() {
        let blocked = [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:53aa:64c::80ff:fffe",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::1",
            "3fff::1",
            "3fff:fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2a00:1450::5efe:127.0.0.1",
            "2a00:1450::200:5efe:10.0.0.1",
        ];
        for ip in blocked {
            assert!(!permits(&guard(&[]), ip, 443), "{ip}");
        }
    }

    #[test]
    fn public_addresses_are_open_on_the_ports_of_the_web() {
        let public = [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450:4001:80b::200e",
            "::ffff:1.1.1.1",
        ];
        for ip in public {
            assert!(permits(&guard(&[]), ip, 443) && permits(&guard(&[]), ip, 8080), "{ip}");
            assert!(!permits(&guard(&[]), ip, 22), "{ip}");
        }
        let every_port = Guard::new(&Config { ports: Vec::new(), ..Config::default() });
        assert!(permits(&every_port, "1.1.1.1", 22) && !permits(&every_port, "10.0.0.1", 443));
    }

    #[test]
    fn the_operator_may_allow_more_but_no_detour() {
        let guard = guard(&["127.0.0.1", "::1", "64:ff9b::/96", "10.1.0.0/16"]);
        for ip in
            ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3", "64:ff9b::808:808", "64:ff9b::10.1.0.1"]
        {
            assert!(permits(&guard, ip, 1234), "{ip}");
        }
        for ip in ["127.0.0.2", "10.2.0.1", "64:ff9b::7f00:2", "64:ff9b::a9fe:a9fe", "::127.0.0.1"] {
            assert!(!permits(&guard, ip, 443), "{ip}");
        }
    }

    #[test]
    fn an_address_of_this_machine_is_known_as_such() {
        assert!(is_own(IpAddr::from([127, 0, 0, 1])));
        assert!(!is_own(IpAddr::from([192, 0, 2, 1])));
    }
}

//! Settings of outbound HTTP, the same for every process that speaks to the outside world.

use std::net::IpAddr;
use std::time::Duration;

use chassis::{ConfigError, Env};
use ipnet::{IpNet, Ipv4Net};

use crate::guard::Guard;
use crate::{Error, Url};

/// How a process may speak to the outside world.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses that may be reached although they are private, on any port (`EVENTUS_OUTBOUND_ALLOW`).
    pub allow: Vec<IpNet>,
    /// Ports that may be reached on all other addresses (`EVENTUS_OUTBOUND_PORTS`); empty = every port.
    pub ports: Vec<u16>,
    /// From the name's look-up to the end of the answer (`EVENTUS_OUTBOUND_TIMEOUT`).
    pub timeout: Duration,
    /// Bytes of an answer's body that are kept; the rest is not read.
    pub max_response_bytes: usize,
    /// `User-Agent` of every request.
    pub user_agent: String,
}

impl Default for Config {
    /// Public addresses on the ports of the web, 15 s, 64 KiB.
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            ports: vec![80, 443, 8080, 8443],
            timeout: Duration::from_secs(15),
            max_response_bytes: 64 * 1024,
            user_agent: "Eventus".to_owned(),
        }
    }
}

impl Config {
    /// Reads `EVENTUS_OUTBOUND_ALLOW`, `EVENTUS_OUTBOUND_PORTS` and `EVENTUS_OUTBOUND_TIMEOUT`; the rest is as in
    /// `default`.
    ///
    /// # Errors
    /// A malformed or senseless value.
    pub fn from_env(env: &Env, default: Self) -> Result<Self, ConfigError> {
        let (allow, ports) = ("EVENTUS_OUTBOUND_ALLOW", "EVENTUS_OUTBOUND_PORTS");
        let timeout = env.duration("EVENTUS_OUTBOUND_TIMEOUT", default.timeout)?;
        if !(Duration::from_millis(100)..=Duration::from_secs(60)).contains(&timeout) {
            return Err(ConfigError::invalid("EVENTUS_OUTBOUND_TIMEOUT", "100ms to 60s"));
        }
        Ok(Self {
            allow: Self::parse_allow(&env.list(allow)?)
                .map_err(|_| ConfigError::invalid(allow, "networks and addresses between commas"))?,
            ports: Self::parse_ports(&env.list(ports)?)
                .map_err(|_| ConfigError::invalid(ports, "port numbers between commas, or *"))?,
            timeout,
            ..default
        })
    }

    /// Refuses at once what would be refused without looking a name up: for checking what somebody configures.
    ///
    /// # Errors
    /// `Invalid` for the URL's form, `Blocked` for a literal address that may not be reached.
    pub fn check(&self, url: &str) -> Result<Url, Error> {
        Guard::new(self).check(url)
    }

    /// Networks (`10.1.0.0/16`, `fd00::/8`) and single addresses (`127.0.0.1`).
    ///
    /// # Errors
    /// The first part that is neither.
    pub fn parse_allow(parts: &[String]) -> Result<Vec<IpNet>, String> {
        parts.iter().map(|part| network(part).ok_or_else(|| part.clone())).collect()
    }

    /// Port numbers; `*` alone is every port, nothing the default.
    ///
    /// # Errors
    /// The first part that is no port.
    pub fn parse_ports(parts: &[String]) -> Result<Vec<u16>, String> {
        match parts {
            [] => Ok(Self::default().ports),
            [all] if all == "*" => Ok(Vec::new()),
            _ => parts
                .iter()
                .map(|part| part.parse().ok().filter(|port| *port > 0).ok_or_else(|| part.clone()))
                .collect(),
        }
    }
}

fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    let net = match text.parse::<IpNet>() {
        Ok(net) => net,
        Err(_) => IpNet::from(text.parse::<IpAddr>().ok()?),
    };
    // `::ffff:10.0.0.0/104` means `10.0.0.0/8`: addresses are compared in their short form.
    if let IpNet::V6(six) = net
        && let Some(four) = six.addr().to_ipv4_mapped()
        && let Some(prefix) = six.prefix_len().checked_sub(96)
    {
        return Ipv4Net::new(four, prefix).ok().map(|net| IpNet::V4(net.trunc()));
    }
    Some(net.trunc())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chassis::Env;

    use super::Config;

    #[test]
    fn settings_are_read_and_checked() {
        let read = |key: &str, value: &str| {
            let agent = Config { user_agent: "Somebody".to_owned(), ..Config::default() };
            Config::from_env(&Env::from_pairs([(key, value)]), agent)
        };
        let given = read("EVENTUS_OUTBOUND_TIMEOUT", "2s").unwrap();
        assert_eq!((given.timeout, given.user_agent.as_str()), (Duration::from_secs(2), "Somebody"));
        assert_eq!(read("EVENTUS_OUTBOUND_ALLOW", "127.0.0.1/32, ::1").unwrap().allow.len(), 2);
        assert_eq!(read("EVENTUS_OUTBOUND_PORTS", "443,9000").unwrap().ports, [443, 9000]);
        for (key, bad) in [
            ("EVENTUS_OUTBOUND_ALLOW", "localhost"),
            ("EVENTUS_OUTBOUND_PORTS", "http"),
            ("EVENTUS_OUTBOUND_TIMEOUT", "0"),
            ("EVENTUS_OUTBOUND_TIMEOUT", "61s"),
        ] {
            assert!(read(key, bad).is_err(), "{key} {bad}");
        }
    }

    fn allow(parts: &[&str]) -> Result<Vec<String>, String> {
        let parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        Ok(Config::parse_allow(&parts)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn networks_and_addresses_may_be_allowed() {
        let given = ["127.0.0.1", "10.1.2.3/16", "::1", "fd00::/8", "::ffff:10.0.0.0/104"];
        let read = ["127.0.0.1/32", "10.1.0.0/16", "::1/128", "fd00::/8", "10.0.0.0/8"];
        assert_eq!(allow(&given).unwrap(), read);
        for bad in ["localhost", "127.1", "0x7f000001", "10.0.0.0/33", "fe80::1%eth0", ""] {
            assert_eq!(allow(&[bad]).unwrap_err(), bad);
        }
    }

    #[test]
    fn ports_are_a_list_or_all() {
        let ports = |parts: &[&str]| {
            Config::parse_ports(&parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(ports(&[]).unwrap(), [80, 443, 8080, 8443]);
        assert!(ports(&["*"]).unwrap().is_empty());
        assert_eq!(ports(&["443", "9000"]).unwrap(), [443, 9000]);
        assert!(ports(&["0"]).is_err() && ports(&["65536"]).is_err() && ports(&["443", "*"]).is_err());
    }
}

//! Names of buckets: a hash of what they are for, so that nothing of a client stands in them unescaped and none of
//! them is longer than another.

use std::net::{IpAddr, Ipv6Addr};

use ring::digest::{Context, SHA256};

/// The name of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 16]);

impl Key {
    /// The bucket of `of` (an address, an account ...) for `purpose`.
    pub fn new(purpose: &str, of: &str) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(purpose.as_bytes());
        context.update(&[0]);
        context.update(of.as_bytes());
        let mut name = [0; 16];
        name.copy_from_slice(&context.finish().as_ref()[..16]);
        Self(name)
    }

    /// As text: 32 digits.
    pub(crate) fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What counts of an address: all of version 4; of version 6 the network that one customer is given, which holds more
/// addresses than anybody could count.
pub fn of_address(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(six)) => {
            let bits = six.to_bits() & !u128::from(u64::MAX);
            format!("{}/64", Ipv6Addr::from_bits(bits))
        }
        Ok(four) => four.to_string(),
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, of_address};

    #[test]
    fn purpose_and_owner_are_told_apart() {
        assert_eq!(Key::new("ip", "a"), Key::new("ip", "a"));
        assert_ne!(Key::new("ip", "a"), Key::new("user", "a"));
        assert_ne!(Key::new("ipa", ""), Key::new("ip", "a"));
        let name = Key::new("ip", "} * \r\nFLUSHALL").hex();
        assert!(name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit()));
    }

    #[test]
    fn a_network_of_version_6_is_one() {
        assert_eq!(of_address("2001:db8:1:2:3:4:5:6"), of_address("2001:db8:1:2::1"));
        assert_ne!(of_address("2001:db8:1:2::1"), of_address("2001:db8:1:3::1"));
        assert_eq!(of_address("::ffff:10.0.0.1"), "10.0.0.1");
    }
}

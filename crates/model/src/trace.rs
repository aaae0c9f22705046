//! W3C trace context as text (<https://www.w3.org/TR/trace-context/>), without a telemetry library.

use serde::{Deserialize, Serialize};

/// A checked `traceparent` header: `00-<32 hex>-<16 hex>-<2 hex>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TraceParent(String);

impl TraceParent {
    /// Checks the form (version 00, lower-case hex, no all-zero ids). `None` when it does not fit.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace) = (parts.next()?, parts.next()?);
        let (span, flags, None) = (parts.next()?, parts.next()?, parts.next()) else { return None };
        let hex =
            |s: &str, n: usize| s.len() == n && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let zero = |s: &str| s.bytes().all(|b| b == b'0');
        let fits = version == "00"
            && hex(trace, 32)
            && !zero(trace)
            && hex(span, 16)
            && !zero(span)
            && hex(flags, 2);
        fits.then(|| Self(text.to_owned()))
    }

    /// Of ids as they are; nothing else is known of the trace than whether it is sampled. `None` when one is all zero.
    pub fn of(trace: [u8; 16], span: [u8; 8], sampled: bool) -> Option<Self> {
        if trace == [0; 16] || span == [0; 8] {
            return None;
        }
        let mut text = String::with_capacity(55);
        text.push_str("00-");
        push_hex(&mut text, &trace);
        text.push('-');
        push_hex(&mut text, &span);
        text.push_str(if sampled { "-01" } else { "-00" });
        Some(Self(text))
    }

    /// The header's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 32 hex digits of the trace id.
    pub fn trace_id(&self) -> &str {
        &self.0[3..35]
    }
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::TraceParent;

    #[test]
    fn ids_become_the_header() {
        let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
        let span = 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes();
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(TraceParent::of(trace, span, true), TraceParent::parse(text));
        assert!(TraceParent::of(trace, span, false).unwrap().as_str().ends_with("-00"));
        assert_eq!(TraceParent::of([0; 16], span, true), None);
        assert_eq!(TraceParent::of(trace, [0; 8], true), None);
    }

    #[test]
    fn takes_only_well_formed_headers() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(TraceParent::parse(good).unwrap().trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
    }
}

//! Who may speak to whom, worked out from NetworkPolicies as Kubernetes does: a pod that no policy selects is
//! open, a selected one may do what any of its policies allows. What it cannot judge, it refuses.
use std::net::IpAddr;

use serde_json::Value;

/// Which half of a connection is judged.
#[derive(Clone, Copy)]
pub enum Way {
    In,
    Out,
}

/// The other end of a connection.
#[derive(Clone, Copy)]
pub enum End<'a> {
    /// A pod of the same namespace, by its labels.
    Pod(&'a Value),
    /// Any pod of another namespace, by its name.
    Namespace(&'a str),
    /// Something that is not a pod.
    Address(&'a str),
}

/// Whether the pod with these `labels` may take (`Way::In`) or open (`Way::Out`) a TCP connection.
pub fn tcp(policies: &[&Value], way: Way, labels: &Value, other: End, port: u64) -> bool {
    allowed(policies, way, labels, other, port, "TCP")
}

/// As [`tcp`], for any protocol. `port` is the port of the end that listens.
pub fn allowed(policies: &[&Value], way: Way, labels: &Value, other: End, port: u64, protocol: &str) -> bool {
    let (kind, rules, peers) = match way {
        Way::In => ("Ingress", "ingress", "from"),
        Way::Out => ("Egress", "egress", "to"),
    };
    let mut selected = policies
        .iter()
        .map(|policy| &policy["spec"])
        .filter(|spec| list(&spec["policyTypes"]).iter().any(|t| t == kind))
        .filter(|spec| selects(&spec["podSelector"], labels))
        .peekable();
    selected.peek().is_none()
        || selected.flat_map(|spec| list(&spec[rules])).any(|rule| {
            let ports = list(&rule["ports"]);
            let ends = list(&rule[peers]);
            (ports.is_empty() || ports.iter().any(|p| is_port(p, port, protocol)))
                && (ends.is_empty() || ends.iter().any(|e| is_end(e, other)))
        })
}

/// Whether a label selector picks these labels.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    let equal = selector["matchLabels"]
        .as_object()
        .is_none_or(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)));
    equal
        && list(&selector["matchExpressions"]).iter().all(|e| {
            let named = labels.get(e["key"].as_str().expect("an expression has a key"));
            let listed = named.is_some_and(|value| list(&e["values"]).contains(value));
            match e["operator"].as_str() {
                Some("In") => listed,
                Some("NotIn") => !listed,
                other => panic!("operator {other:?} is not understood here"),
            }
        })
}

/// The members of a list that may be absent.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn is_port(entry: &Value, port: u64, protocol: &str) -> bool {
    let number = entry["port"].as_u64().expect("ports of policies are numbers");
    assert!(entry["endPort"].is_null(), "port ranges are not understood here");
    number == port && entry["protocol"].as_str().unwrap_or("TCP") == protocol
}

fn is_end(entry: &Value, other: End) -> bool {
    let [pods, namespaces, block] = ["podSelector", "namespaceSelector", "ipBlock"].map(|key| entry.get(key));
    match (pods, namespaces, block) {
        (Some(pods), None, None) => matches!(other, End::Pod(labels) if selects(pods, labels)),
        (None, Some(namespaces), None) => match other {
            End::Namespace(name) => {
                selects(namespaces, &serde_json::json!({ "kubernetes.io/metadata.name": name }))
            }
            // The labels of our own namespace are the operator's: only a selector of all would reach it.
            End::Pod(_) => namespaces.as_object().is_some_and(serde_json::Map::is_empty),
            End::Address(_) => false,
        },
        (None, None, Some(block)) => match other {
            End::Address(address) => {
                within(address, &block["cidr"]) && !list(&block["except"]).iter().any(|e| within(address, e))
            }
            End::Pod(_) | End::Namespace(_) => false,
        },
        _ => panic!("this peer is not understood here: {entry}"),
    }
}

/// Whether `address` lies in `cidr`, for example `10.1.2.3` in `10.0.0.0/8`.
fn within(address: &str, cidr: &Value) -> bool {
    let (net, bits) = cidr.as_str().and_then(|c| c.split_once('/')).expect("net/bits");
    let bits: u32 = bits.parse().expect("bits is a number");
    let [address, net] = [address, net].map(|a| a.parse::<IpAddr>().expect("an IP address"));
    let (address, net, width) = match (address, net) {
        (IpAddr::V4(a), IpAddr::V4(n)) => (u128::from(a.to_bits()), u128::from(n.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(n)) => (a.to_bits(), n.to_bits(), 128),
        _ => return false,
    };
    let host = width - bits;
    host == 128 || address >> host == net >> host
}

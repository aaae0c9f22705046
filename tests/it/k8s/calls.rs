//! The network: every connection that the policies allow, held against the table of who calls whom.
use std::collections::BTreeSet;

use serde_json::Value;

use super::network::{End, Way, allowed, tcp};
use super::objects::{labels, name, of, ours, workloads};
use super::render::render;
use super::{ADMIN, FOLDERS, GRPC, HTTP, MAILING, OUTSIDE, PROCESSES};

const POSTGRES: u64 = 5432;
const NATS: u64 = 4222;
const REDIS: u64 = 6379;
const DNS: u64 = 53;
/// Every port that a pod of ours, a store or the outside world may listen on.
const PORTS: [u64; 14] = [22, DNS, 80, 443, 465, 587, 4317, NATS, POSTGRES, REDIS, HTTP, 8222, GRPC, ADMIN];

#[test]
fn the_processes_call_exactly_their_peers() {
    let mut table = BTreeSet::new();
    for (caller, _, peers) in PROCESSES {
        table.extend(peers.iter().map(|peer| (caller, *peer)));
    }
    for folder in FOLDERS {
        let objects = render(folder);
        let policies = of(&objects, "NetworkPolicy");
        let mut lines = [BTreeSet::new(), BTreeSet::new()];
        for (a, b) in pairs(&objects) {
            let out = |port| tcp(&policies, Way::Out, labels(a), End::Pod(labels(b)), port);
            let into = |port| tcp(&policies, Way::In, labels(b), End::Pod(labels(a)), port);
            // Each half by itself: the other one is no excuse.
            lines[0].extend(out(GRPC).then(|| (name(a), name(b))));
            lines[1].extend(into(GRPC).then(|| (name(a), name(b))));
            let more: Vec<_> = PORTS.into_iter().filter(|p| *p != GRPC && out(*p) && into(*p)).collect();
            let stores: &[u64] = match name(b) {
                "postgres" if name(a) != "gateway" && name(a) != "nats" => &[POSTGRES],
                "nats" if name(a) != "migrate" && name(a) != "postgres" => &[NATS],
                _ => &[],
            };
            assert_eq!(more, stores, "{folder}: {} to {}", name(a), name(b));
        }
        assert_eq!(lines, [table.clone(), table.clone()], "{folder}");
    }
}

#[test]
fn only_the_public_door_and_the_metrics_are_open() {
    for folder in FOLDERS {
        let objects = render(folder);
        let policies = of(&objects, "NetworkPolicy");
        for owner in workloads(&objects) {
            let open = |end| ports(|port| tcp(&policies, Way::In, labels(owner), end, port));
            let door: &[u64] = if name(owner) == "gateway" { &[HTTP] } else { &[] };
            for end in [End::Namespace("elsewhere"), End::Address("203.0.113.9"), End::Address("10.0.0.9")] {
                assert_eq!(open(end), door, "{folder} {}", name(owner));
            }
            let metrics = if owner["kind"] == "StatefulSet" { None } else { Some(ADMIN) };
            let expected: Vec<_> = door.iter().copied().chain(metrics).collect();
            assert_eq!(open(End::Namespace("monitoring")), expected, "{folder} {}", name(owner));
        }
    }
}

#[test]
fn only_who_has_somebody_outside_leaves_the_cluster() {
    for folder in FOLDERS {
        let objects = render(folder);
        let policies = of(&objects, "NetworkPolicy");
        for owner in ours(&objects) {
            let reach = |end| ports(|port| tcp(&policies, Way::Out, labels(owner), end, port));
            // Where production keeps its stores the base can't know; the dev overlay has them as pods.
            let mut stores = BTreeSet::new();
            if folder != "overlays/dev" {
                stores.extend((name(owner) != "gateway").then_some(POSTGRES));
                stores.extend((name(owner) != "migrate").then_some(NATS));
            }
            // Where there is a Redis nobody here knows.
            stores.extend(matches!(name(owner), "gateway" | "auth").then_some(REDIS));
            let web: &[u64] = match name(owner) {
                MAILING => &[80, 443, 465, 587],
                owner if OUTSIDE.contains(&owner) => &[80, 443],
                _ => &[],
            };
            for public in ["203.0.113.9", "2001:db8::9"] {
                let expected: BTreeSet<_> = stores.iter().chain(web).copied().chain([DNS]).collect();
                assert_eq!(
                    BTreeSet::from_iter(reach(End::Address(public))),
                    expected,
                    "{folder} {}",
                    name(owner)
                );
            }
            for private in ["10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "fd00::1", "fe80::1"]
            {
                let expected: BTreeSet<_> = stores.iter().copied().chain([DNS]).collect();
                assert_eq!(BTreeSet::from_iter(reach(End::Address(private))), expected, "{folder} {private}");
            }
            assert!(reach(End::Namespace("monitoring")).contains(&4317), "{folder} {}", name(owner));
            let dns = allowed(&policies, Way::Out, labels(owner), End::Namespace("kube-system"), DNS, "UDP");
            assert!(dns, "{folder} {}", name(owner));
        }
        for store in of(&objects, "StatefulSet") {
            let reach = |end| ports(|port| tcp(&policies, Way::Out, labels(store), end, port));
            assert!(reach(End::Address("203.0.113.9")).is_empty(), "{folder} {}", name(store));
        }
    }
}

/// Every ordered pair of two different workloads.
fn pairs(objects: &[Value]) -> Vec<(&Value, &Value)> {
    let all = workloads(objects);
    let other = |a: &&Value, b: &&Value| name(a) != name(b);
    all.iter().flat_map(|a| all.iter().filter(|b| other(a, b)).map(|b| (*a, *b))).collect()
}

fn ports(open: impl Fn(u64) -> bool) -> Vec<u64> {
    PORTS.into_iter().filter(|port| open(*port)).collect()
}

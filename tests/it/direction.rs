//! Arrows point down: who may use whom, read from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Rooms from the bottom to the top; a room uses rooms below its own line only.
const FLOORS: [&[&str]; 5] = [
    &["model", "chassis", "proto", "faults"],
    &["query", "access", "bus", "db", "outbound", "secrets", "limits", "embedded"],
    &["planner", "rpc", "event-store", "due"],
    &[
        "gateway",
        "items-service",
        "auth-service",
        "hooks-worker",
        "analytics-worker",
        "webhooks-worker",
        "cdn-purge-worker",
    ],
    &["eventus"],
];

/// Rooms of one floor that may still use each other: chassis speaks of model's nouns.
const NEIGHBOURS: [(&str, &str); 1] = [("chassis", "model")];

/// What a room must never use.
const FORBIDDEN: [(&str, &[&str]); 17] = [
    ("proto", &["model"]),
    ("faults", &["model", "tokio", "sqlx", "tonic", "async-nats"]),
    ("model", &["tokio", "sqlx", "tonic", "async-nats"]),
    ("query", &["tokio", "sqlx", "tonic", "async-nats"]),
    ("access", &["tokio", "sqlx", "tonic", "async-nats"]),
    ("planner", &["tokio", "sqlx", "tonic", "async-nats"]),
    ("rpc", &["sqlx", "async-nats"]),
    ("bus", &["sqlx"]),
    ("db", &["tonic", "async-nats"]),
    ("event-store", &["tonic", "async-nats"]),
    ("due", &["tonic", "async-nats"]),
    ("outbound", &["sqlx", "tonic", "async-nats"]),
    ("secrets", &["sqlx", "tonic", "async-nats"]),
    ("limits", &["sqlx", "tonic", "async-nats"]),
    ("chassis", &["sqlx", "async-nats"]),
    ("embedded", &["sqlx", "tonic"]),
    ("gateway", &["sqlx", "db", "event-store"]),
];

#[test]
fn arrows_point_down() {
    let uses = direct_uses();
    let floor = |name: &str| FLOORS.iter().position(|rooms| rooms.contains(&name));
    let mut wrong = Vec::new();
    for (room, used) in &uses {
        let Some(own) = floor(room) else { continue };
        for other in used {
            let Some(its) = floor(other) else { continue };
            if its >= own && !NEIGHBOURS.contains(&(room, other)) {
                wrong.push(format!("{room} uses {other}"));
            }
        }
        if used.contains("testkit") {
            wrong.push(format!("{room} uses testkit outside its tests"));
        }
    }
    for (room, never) in FORBIDDEN {
        let used = &uses[room];
        wrong.extend(
            never.iter().filter(|name| used.contains(**name)).map(|name| format!("{room} uses {name}")),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_room_has_its_floor() {
    let known: BTreeSet<&str> = FLOORS.iter().flat_map(|rooms| rooms.iter().copied()).collect();
    let rooms = direct_uses();
    let strangers = rooms.keys().filter(|room| {
        !known.contains(room.as_str()) && !["testkit", "system-tests", "torture"].contains(&room.as_str())
    });
    assert_eq!(strangers.collect::<Vec<_>>(), Vec::<&String>::new());
}

/// Package -> what it depends on outside tests, both ours and others'.
fn direct_uses() -> BTreeMap<String, BTreeSet<String>> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path", root])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let used = package["dependencies"].as_array().unwrap().iter();
            let used = used.filter(|dependency| dependency["kind"].is_null());
            let used = used.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect();
            (package["name"].as_str().unwrap().to_owned(), used)
        })
        .collect()
}

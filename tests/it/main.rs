//! The system suite: the public doors of a whole fleet on real PostgreSQL and NATS.
#![expect(clippy::duplicate_mod, reason = "the same tests run in both shapes")]

#[macro_use]
mod world;

mod api;
mod dev;
mod direction;
mod example;
mod fleet;
mod forms;
mod k8s;
mod kills;
mod replicas;
mod security_doc;
mod sse;
mod storm;

#[path = "both.rs"]
mod all_in_one;
#[path = "both.rs"]
mod split;

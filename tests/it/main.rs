//! The system suite: the public doors of a whole fleet on real PostgreSQL and NATS.

mod api;
mod direction;
mod faults;
mod items;
mod k8s;
mod road;
mod schema;
mod sse;
mod world;

//! The system suite: the public doors of a whole fleet on real PostgreSQL and NATS.

mod api;
mod direction;
mod events_doc;
mod example;
mod faults;
mod grpc;
mod items;
mod k8s;
mod operations_doc;
mod road;
mod schema;
mod sse;
mod world;

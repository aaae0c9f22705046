//! The system suite: the public doors of a whole fleet on real PostgreSQL and NATS.

mod api;
mod attacks;
mod direction;
mod events_doc;
mod example;
mod faults;
mod grpc;
mod http_errors;
mod http_wire;
mod items;
mod k8s;
mod operations_doc;
mod road;
mod schema;
mod schema_apply;
mod sdk;
mod sse;
mod takeover;
mod world;

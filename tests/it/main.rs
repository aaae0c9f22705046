//! The system suite: the public doors of a whole fleet on real PostgreSQL and NATS.

mod api;
mod attacks;
mod dev;
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
mod relay;
mod replicas;
mod road;
mod schema;
mod schema_apply;
mod sdk;
mod sse;
mod system_collections;
mod takeover;
mod types;
mod world;

//! What holds in every shape: main.rs compiles these modules once for all roles in one process and once for a process per
//! role. A test starts its fleet in `shape!()`.

mod attacks;
mod conditional;
mod cursors;
mod encrypted;
mod events_doc;
mod explain;
mod export;
mod faults;
mod geometry;
pub mod grpc;
mod history;
mod http_errors;
mod http_wire;
mod imports;
mod items;
mod lives;
mod lost_updates;
mod nested;
mod operations_doc;
mod reading;
mod relay;
mod reports;
mod retry;
mod road;
mod schema;
mod schema_apply;
mod sdk;
mod search;
mod sorting;
mod system_collections;
mod takeover;
mod types;
mod upsert;
mod values;
mod versions;

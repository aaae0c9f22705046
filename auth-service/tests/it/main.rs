//! The auth service on a real PostgreSQL and nats-server, called over its gRPC contract.

mod access;
mod bootstrap;
mod events;
mod login;
mod schema;
mod sessions;
mod static_tokens;
mod tampering;
mod world;

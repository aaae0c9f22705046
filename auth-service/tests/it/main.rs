//! The auth service on a real PostgreSQL and nats-server, called over its gRPC contract.

mod access;
mod attempts;
mod bootstrap;
mod events;
mod login;
mod schema;
mod second_factor;
mod sessions;
mod static_tokens;
mod tampering;
mod world;

//! Webhooks workers on a real PostgreSQL and nats-server, with real receivers.

mod delivering;
mod endpoints;
mod failing;
mod faults;
mod traced;
mod world;

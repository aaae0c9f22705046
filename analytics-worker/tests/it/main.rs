//! The analytics worker as a whole, through the bus and its gRPC face, on real PostgreSQL and nats-server.

mod counting;
mod reporting;
mod world;

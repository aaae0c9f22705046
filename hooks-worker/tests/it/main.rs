//! The hooks worker as a whole, through its gRPC face and the bus, on real PostgreSQL and nats-server.

mod acting;
mod filtering;
mod scheduling;
mod world;

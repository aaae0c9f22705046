//! Purge workers on a real PostgreSQL and nats-server, with a CDN that writes down what it is asked.

mod coalescing;
mod failing;
mod purging;
mod traced;
mod world;

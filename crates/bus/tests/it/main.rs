//! The bus on real nats-servers.

mod broker;
mod chain;
mod cluster;
mod consume;
mod replicas;
mod server;
mod throughput;
mod trouble;
mod world;

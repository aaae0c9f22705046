//! The bus on real nats-servers.

mod broker;
mod chain;
mod chaos;
mod cluster;
mod consume;
mod erasing;
mod replicas;
mod server;
mod stop;
mod throughput;
mod traces;
mod trouble;
mod users;
mod world;

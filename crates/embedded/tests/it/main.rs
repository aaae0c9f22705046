//! Real servers, started, killed, and started again.
mod holder;
mod nats;
mod place;
mod postgres;
mod throwaway;

//! Durable webhook deliveries.

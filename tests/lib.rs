//! The system suite: the public door of a whole fleet on real PostgreSQL and NATS.

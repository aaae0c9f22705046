//! Throw-away database, nats-server, HTTP sink and trace collector for tests.

//! The system suite.

//! Purges CDNs after changes.

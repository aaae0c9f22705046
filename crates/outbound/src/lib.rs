//! HTTP to the outside world, safely: SSRF guard with pinned addresses, signing, back-off.
//!
//! Every address is resolved once, checked, and the connection goes to exactly what was checked. Redirects are
//! answers, not orders; proxies of the environment are not heard.

pub mod backoff;
mod client;
mod config;
mod connector;
mod error;
mod guard;
pub mod sign;
mod url;

pub use backoff::Schedule;
pub use client::{Client, Request, Response};
pub use config::Config;
pub use connector::{Resolve, SystemResolver};
pub use error::{Class, Error};
pub use url::{Url, segment};

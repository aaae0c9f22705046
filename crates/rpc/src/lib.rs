//! Typed clients and server layers over proto: error <-> status, signed accountability, trace propagation,
//! in-process channel. Every process calls others through `Channel` and `outgoing`, and is called through `serve`.

mod auth;
mod caller;
mod carry;
mod channel;
pub mod convert;
mod direct;
mod door;
mod error;
mod guard;
mod health;
mod identity;
pub mod jws;
mod local;
mod serve;
mod signer;
mod status;
mod tls;

pub use auth::{AuthClient, Authenticator};
pub use caller::{Caller, called, caller, is_outsider, outgoing, require_admin, require_process};
pub use channel::Channel;
pub use direct::Direct;
pub use door::Door;
pub use error::Error;
pub use guard::Guard;
pub use identity::Identity;
pub use local::LocalSlot;
pub use serve::{Face, Server, serve};
pub use signer::Signer;
pub use status::{errors, status};
pub use tls::Tls;

/// Metadata with the signed accountability.
pub const ACCOUNTABILITY: &str = "eventus-accountability";
/// Metadata with the id of the request that came in at the gateway.
pub const REQUEST_ID: &str = "eventus-request-id";
/// Trailer with all errors as JSON.
pub const ERRORS: &str = "eventus-errors-bin";
/// Domain of the `google.rpc.ErrorInfo` in our errors.
pub const DOMAIN: &str = "eventus";
/// How many calls a server takes at a time on one connection; more wait at the caller's.
pub const CALLS_AT_A_TIME: u32 = 1_024;
/// Largest message that a service should be made to take (`max_decoding_message_size`), in bytes.
pub const MAX_MESSAGE: usize = 64 * 1024 * 1024;

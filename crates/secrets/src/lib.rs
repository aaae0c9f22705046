//! How secrets are stored: passwords by argon2id on a bounded pool, static tokens by their hash, encrypted fields sealed.
//!
//! The auth service checks them, the items service stores what clients write: both by the same rules.

mod hashing;
mod random;
mod sealed;
mod signet;
mod static_token;

pub use hashing::{HashCost, Hasher};
pub use random::{random, random_text};
pub use sealed::Sealer;
pub use signet::Signet;
pub use static_token::{hashed_static, hex, stored_forms};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Configured hash cost is out of argon2's range.
    #[error("hash cost: {0}")]
    HashCost(argon2::Error),
    /// A password could not be hashed.
    #[error("hash: {0}")]
    Hash(argon2::password_hash::Error),
    /// As many wait for the pool as may.
    #[error("too many hashes at once")]
    Full,
    /// A value can't be sealed, or is none that this fleet has sealed here.
    #[error("not sealed by this fleet for this place")]
    Seal,
    /// The machine gives no randomness.
    #[error("no randomness")]
    Random,
    /// The process is stopping.
    #[error("stopping")]
    Stopped,
}

impl Error {
    /// What a client is told, in the name of the service that is to be asked again; `None` for what is not his business.
    pub fn refusal(&self, service: &str) -> Option<model::Error> {
        matches!(self, Self::Full | Self::Stopped).then(|| model::Error::unavailable(service))
    }
}

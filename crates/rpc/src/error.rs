//! What can go wrong with calls before they are calls.

use crate::jws;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A signed token is refused.
    #[error("token refused")]
    Token(#[from] jws::Error),
    /// An accountability does not fit its contract.
    #[error("accountability: {0} is not valid")]
    Accountability(&'static str),
    /// The address of a peer is not one.
    #[error("the address of a service is not valid")]
    Address(#[source] tonic::transport::Error),
    /// The address of a peer begins with `https`, and there are no certificates.
    #[error("the address of a service begins with https: set EVENTUS_GRPC_TLS_CERT, _KEY and _CA")]
    WithoutTls,
    /// The server broke.
    #[error("gRPC server")]
    Serve(#[source] tonic::transport::Error),
    /// The contracts can't be shown.
    #[error("gRPC reflection")]
    Reflection(#[source] tonic_reflection::server::Error),
}

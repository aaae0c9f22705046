//! Why there was no answer. Classes only: who may see them learns nothing about a network that is not his.

use std::error::Error as StdError;

/// Why a request got no answer. Its text is its class: neither addresses nor reasons of the network are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", class.as_str())]
pub struct Error {
    /// What went wrong.
    pub class: Class,
}

/// Kinds of failures, as they are recorded with an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The URL is not one we send to: scheme, user, host form.
    Invalid,
    /// The address or port is not one we may connect to.
    Blocked,
    /// The name has no address.
    Dns,
    /// Nobody listens there, or there is no way to it.
    Refused,
    /// No connection or no answer in time.
    Timeout,
    /// No encrypted connection: certificate, protocol version.
    Tls,
    /// The answer is not HTTP.
    Protocol,
    /// The head of the answer is too large.
    TooLarge,
    /// The connection ended before the answer came.
    Closed,
}

impl Class {
    /// Its name in records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Blocked => "blocked",
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Protocol => "protocol",
            Self::TooLarge => "too_large",
            Self::Closed => "closed",
        }
    }

    /// Whether the same request may do better later. A blocked address may be allowed or resolve otherwise by then.
    pub const fn is_hopeless(self) -> bool {
        matches!(self, Self::Invalid)
    }
}

impl From<Class> for Error {
    fn from(class: Class) -> Self {
        Self { class }
    }
}

impl Error {
    /// The class of whatever the client gave, found in its causes.
    pub(crate) fn of(error: &hyper_util::client::legacy::Error) -> Self {
        let unknown = if error.is_connect() { Class::Refused } else { Class::Closed };
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(own) = error.downcast_ref::<Self>() {
                return *own;
            }
            if error.is::<rustls::Error>() {
                return Class::Tls.into();
            }
            if let Some(class) = error.downcast_ref::<hyper::Error>().and_then(of_http) {
                return class.into();
            }
            // An I/O error hides what it wraps from `source`.
            let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            cause = wrapped.map(|error| error as &(dyn StdError + 'static)).or_else(|| error.source());
        }
        unknown.into()
    }
}

fn of_http(error: &hyper::Error) -> Option<Class> {
    if error.is_parse_too_large() {
        Some(Class::TooLarge)
    } else if error.is_parse() || error.is_parse_status() {
        Some(Class::Protocol)
    } else if error.is_timeout() {
        Some(Class::Timeout)
    } else {
        None
    }
}

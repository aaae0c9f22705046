//! The one error table: Directus's code, HTTP status, gRPC code and extension fields.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

macro_rules! codes {
    ($($name:ident $code:literal $status:literal $grpc:literal $message:literal),+ $(,)?) => {
        /// Directus's error code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[expect(missing_docs, reason = "the table below says all")]
        pub enum ErrorCode { $(#[serde(rename = $code)] $name),+ }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its name on the wire.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $code),+ } }

            /// HTTP status.
            pub const fn status(self) -> u16 { match self { $(Self::$name => $status),+ } }

            /// gRPC status code, by number (grpc.io/docs/guides/status-codes).
            pub const fn grpc(self) -> i32 { match self { $(Self::$name => $grpc),+ } }

            /// Message when there is nothing more to say.
            pub const fn message(self) -> &'static str { match self { $(Self::$name => $message),+ } }

            /// The code of a wire name.
            pub fn parse(name: &str) -> Option<Self> { match name { $($code => Some(Self::$name),)+ _ => None } }
        }
    };
}

// name, code, HTTP, gRPC (3 invalid argument, 5 not found, 6 exists, 7 denied, 8 exhausted, 9 precondition,
// 10 aborted, 11 range, 12 unimplemented, 13 internal, 14 unavailable, 16 unauthenticated), message
codes! {
    ContainsNullValues "CONTAINS_NULL_VALUES" 400 9 "Field contains null values.",
    FailedValidation "FAILED_VALIDATION" 400 3 "Validation failed.",
    InvalidHeader "INVALID_HEADER" 400 3 "Invalid header.",
    InvalidForeignKey "INVALID_FOREIGN_KEY" 400 9 "Invalid foreign key.",
    InvalidInvite "INVALID_INVITE" 400 9 "This invite is no longer valid.",
    InvalidPayload "INVALID_PAYLOAD" 400 3 "Invalid payload.",
    InvalidQuery "INVALID_QUERY" 400 3 "Invalid query.",
    NotNullViolation "NOT_NULL_VIOLATION" 400 3 "Value can't be null.",
    RecordNotUnique "RECORD_NOT_UNIQUE" 400 6 "Value has to be unique.",
    ValueOutOfRange "VALUE_OUT_OF_RANGE" 400 11 "Value is out of range.",
    ValueTooLong "VALUE_TOO_LONG" 400 11 "Value is too long.",
    InvalidCredentials "INVALID_CREDENTIALS" 401 16 "Invalid user credentials.",
    InvalidOtp "INVALID_OTP" 401 16 "Invalid user OTP.",
    TokenExpired "TOKEN_EXPIRED" 401 16 "Token expired.",
    UserSuspended "USER_SUSPENDED" 401 16 "User suspended.",
    Forbidden "FORBIDDEN" 403 7 "You don't have permission to access this.",
    InvalidProvider "INVALID_PROVIDER" 403 7 "Invalid provider.",
    InvalidToken "INVALID_TOKEN" 403 16 "Invalid token.",
    RouteNotFound "ROUTE_NOT_FOUND" 404 12 "Route doesn't exist.",
    MethodNotAllowed "METHOD_NOT_ALLOWED" 405 12 "Method not allowed.",
    OutOfTime "OUT_OF_TIME" 408 4 "The request took too long.",
    Conflict "CONFLICT" 409 10 "The request is in conflict with another one.",
    HistoryGone "HISTORY_GONE" 410 11 "The event log no longer reaches so far back.",
    PreconditionFailed "PRECONDITION_FAILED" 412 9 "Precondition failed.",
    ContentTooLarge "CONTENT_TOO_LARGE" 413 8 "Uploaded content is too large.",
    UnsupportedMediaType "UNSUPPORTED_MEDIA_TYPE" 415 3 "Unsupported media type.",
    UnprocessableContent "UNPROCESSABLE_CONTENT" 422 9 "Can't process content.",
    PreconditionRequired "PRECONDITION_REQUIRED" 428 9 "Precondition required.",
    RequestsExceeded "REQUESTS_EXCEEDED" 429 8 "Too many requests.",
    Internal "INTERNAL_SERVER_ERROR" 500 13 "An unexpected error occurred.",
    ServiceUnavailable "SERVICE_UNAVAILABLE" 503 14 "Service unavailable.",
}

/// An error as the client sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct Error {
    /// Code; decides the status.
    pub code: ErrorCode,
    /// A sentence for people; holds nothing the caller may not know.
    pub message: String,
    /// Fields beside `code` in `extensions`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extensions: Map<String, Value>,
    /// Seconds after which a try may succeed (`Retry-After`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
}

impl Error {
    /// The code with its own message.
    pub fn new(code: ErrorCode) -> Self {
        Self { code, message: code.message().to_owned(), extensions: Map::new(), retry_after: None }
    }

    /// Another message.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// One more extension field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extensions.insert(name.to_owned(), value.into());
        self
    }

    /// 410: the log begins behind this position, since what lies before was dropped by the rule of retention.
    pub fn history_gone(horizon: i64) -> Self {
        let message =
            format!("The event log no longer reaches so far back: it begins behind position {horizon}.");
        Self::new(ErrorCode::HistoryGone).with_message(message).with("horizon", horizon)
    }

    /// 403, saying nothing.
    pub fn forbidden() -> Self {
        Self::new(ErrorCode::Forbidden)
    }

    /// 403 for a collection that is missing or out of reach: the two are not told apart.
    pub fn forbidden_collection(collection: &str) -> Self {
        let reason = format!(
            "You don't have permission to access collection \"{collection}\" or it does not exist. Queried in root."
        );
        Self::new(ErrorCode::Forbidden).with_message(reason.clone()).with("reason", reason)
    }

    /// 403 for a field that is missing or out of reach: the two are not told apart.
    pub fn forbidden_field(collection: &str, field: &str) -> Self {
        let reason = format!(
            "You don't have permission to access field \"{field}\" in collection \"{collection}\" or it does not \
             exist. Queried in root."
        );
        Self::new(ErrorCode::Forbidden).with_message(reason.clone()).with("reason", reason)
    }

    /// 400 with a reason.
    pub fn invalid_payload(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::new(ErrorCode::InvalidPayload)
            .with_message(format!("Invalid payload. {reason}."))
            .with("reason", reason)
    }

    /// 400 with a reason.
    pub fn invalid_query(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::new(ErrorCode::InvalidQuery)
            .with_message(format!("Invalid query. {reason}."))
            .with("reason", reason)
    }

    /// 400 for a header that does not fit, with a reason.
    pub fn invalid_header(header: &str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::new(ErrorCode::InvalidHeader)
            .with_message(format!("Invalid header. \"{header}\" {reason}."))
            .with("header", header)
            .with("reason", reason)
    }

    /// 422 with a reason.
    pub fn unprocessable(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::new(ErrorCode::UnprocessableContent)
            .with_message(format!("Can't process content. {reason}."))
            .with("reason", reason)
    }

    /// 400 for one field; `kind` is `required`, `nnull` ...
    pub fn failed_validation(field: &str, kind: &str) -> Self {
        let why = match kind {
            "required" => "Value is required.",
            "nnull" => "Value can't be null.",
            "email" => "Value has to be a valid email address.",
            _ => "Value is not valid.",
        };
        Self::new(ErrorCode::FailedValidation)
            .with_message(format!("Validation failed for field \"{field}\". {why}"))
            .with("field", field)
            .with("path", Value::Array(Vec::new()))
            .with("type", kind)
    }

    /// The same error, of an item that stands in this field of another: a failed validation says where.
    #[must_use]
    pub fn nested_in(mut self, field: &str) -> Self {
        let Some(Value::Array(path)) = self.extensions.get_mut("path") else { return self };
        let shown = |path: &[Value]| path.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(".");
        let before = shown(path);
        path.insert(0, Value::from(field));
        let after = format!(" at \"{}\"", shown(path));
        self.message = if before.is_empty() {
            let of = self.extensions.get("field").and_then(Value::as_str).unwrap_or_default();
            let named = format!("field \"{of}\"");
            self.message.replacen(&named, &format!("{named}{after}"), 1)
        } else {
            self.message.replacen(&format!(" at \"{before}\""), &after, 1)
        };
        self
    }

    /// 503 with `Retry-After: 1`, naming what is away.
    pub fn unavailable(service: &str) -> Self {
        let mut error = Self::new(ErrorCode::ServiceUnavailable)
            .with_message(format!("Service \"{service}\" is unavailable."))
            .with("service", service);
        error.retry_after = Some(1);
        error
    }

    /// 429: `limit` of so many is used up, and nothing is to be had for `wait`.
    pub fn requests_exceeded(limit: u32, wait: Duration, now: OffsetDateTime) -> Self {
        let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        let reset = (now.to_offset(UtcOffset::UTC) + wait).format(form).unwrap_or_default();
        let seconds = wait.as_millis().div_ceil(1_000).max(1);
        let mut error = Self::new(ErrorCode::RequestsExceeded)
            .with_message(format!("Too many requests, retry after {seconds}s."))
            .with("limit", limit)
            .with("reset", reset);
        error.retry_after = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
        error
    }

    /// 500 that says nothing; the cause is logged where this is made.
    pub fn internal() -> Self {
        Self::new(ErrorCode::Internal)
    }
}

/// One or more errors of one request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(transparent)]
#[error("{0:?}")]
pub struct Errors(pub Vec<Error>);

impl Errors {
    /// The HTTP status of all: theirs if they agree, else 500.
    pub fn status(&self) -> u16 {
        let mut statuses = self.0.iter().map(|error| error.code.status());
        match statuses.next() {
            Some(first) if statuses.all(|status| status == first) => first,
            _ => 500,
        }
    }
}

impl From<Error> for Errors {
    fn from(error: Error) -> Self {
        Self(vec![error])
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, ErrorCode, Errors};

    #[test]
    fn every_code_is_found_by_its_name() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::parse(code.as_str()), Some(*code));
        }
    }

    #[test]
    fn errors_of_different_status_are_a_500() {
        let same = Errors(vec![Error::invalid_query("a"), Error::invalid_payload("b")]);
        assert_eq!(same.status(), 400);
        assert_eq!(Errors(vec![Error::forbidden(), Error::invalid_query("a")]).status(), 500);
        assert_eq!(Errors(Vec::new()).status(), 500);
    }
}

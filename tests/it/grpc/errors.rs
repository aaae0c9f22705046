//! What a refusal says, read as a client of another house reads it.

use std::collections::HashMap;

use prost::Message as _;
use serde_json::Value;
use tonic::{Code, Status};

/// An accountability that says "admin", signed with a key that nobody of the fleet has.
pub const FORGED: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6ImFjYyJ9.\
    eyJhdWQiOiJldmVudHVzIiwiaWF0IjoxNzYwMDAwMDAwLCJleHAiOjk5OTk5OTk5OTksImFjYyI6eyJhZG1pbiI6dHJ1ZX19.\
    mFhZ7sM0m2m2o3l5Qe8n2W7yqk3ZrV4m8o2b3c4d5e4";

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.ErrorInfo`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ErrorInfo {
    #[prost(string, tag = "1")]
    pub reason: String,
    #[prost(string, tag = "2")]
    pub domain: String,
    #[prost(map = "string, string", tag = "3")]
    pub metadata: HashMap<String, String>,
}

/// The ErrorInfo in the details.
pub fn reason(status: &Status) -> ErrorInfo {
    let details = RpcStatus::decode(status.details()).unwrap();
    assert_eq!((details.code, details.message.as_str()), (i32::from(status.code()), status.message()));
    let any = details.details.iter().find(|any| any.type_url == "type.googleapis.com/google.rpc.ErrorInfo");
    ErrorInfo::decode(any.unwrap_or_else(|| panic!("no ErrorInfo: {status:?}")).value.as_slice()).unwrap()
}

/// All errors, from the trailer.
pub fn all(status: &Status) -> Vec<Value> {
    let trailer =
        status.metadata().get_bin("eventus-errors-bin").unwrap_or_else(|| panic!("no trailer: {status:?}"));
    serde_json::from_slice(&trailer.to_bytes().unwrap()).unwrap()
}

/// Fails the test unless the answer is this refusal, said alike in all three places.
#[track_caller]
pub fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, directus: &str) {
    let status = answer.expect_err(directus);
    let info = reason(&status);
    assert_eq!(
        (status.code(), info.reason.as_str(), info.domain.as_str()),
        (code, directus, "eventus"),
        "{status:?}"
    );
    assert_eq!(all(&status)[0]["code"], directus);
}

//! Errors on the wire: `Errors` -> `Status` -> `Errors` gives back the same.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use bytes::Bytes;
use model::{Error, ErrorCode, Errors};
use prost::Message as _;
use serde_json::Value;
use tonic::metadata::{BinaryMetadataValue, MetadataMap};
use tonic::{Code, Status};

use crate::{DOMAIN, ERRORS};

/// Most bytes of error JSON in a trailer: gRPC libraries refuse more than 8 KiB of metadata in all.
const MOST: usize = 4 * 1024;
/// Most bytes of a single text beside it.
const TEXT: usize = 512;

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// `google.rpc.ErrorInfo`.
#[derive(Clone, PartialEq, prost::Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(map = "string, string", tag = "3")]
    metadata: HashMap<String, String>,
}

const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";

/// The status of one or more errors: code and message of the first, `google.rpc.ErrorInfo` in the details, all of
/// them as JSON in the trailer. As many as fit in 4 KiB travel; the first always does, shortened if it must be.
pub fn status(errors: Errors) -> Status {
    let Errors(mut errors) = errors;
    if errors.is_empty() {
        errors.push(Error::internal());
    }
    let json = json_that_fits(&mut errors);
    let first = &errors[0];
    let code = Code::from_i32(first.code.grpc());
    let message = cut(&first.message);
    let info = ErrorInfo {
        reason: first.code.as_str().to_owned(),
        domain: DOMAIN.to_owned(),
        metadata: facts(first),
    };
    let detail = prost_types::Any { type_url: ERROR_INFO.to_owned(), value: info.encode_to_vec() };
    let details = RpcStatus { code: code.into(), message: message.clone(), details: vec![detail] };
    let mut metadata = MetadataMap::new();
    metadata.insert_bin(ERRORS, BinaryMetadataValue::from_bytes(&json));
    Status::with_details_and_metadata(code, message, Bytes::from(details.encode_to_vec()), metadata)
}

/// The errors of a status. Those of ours come back as they were; that a peer can't be reached becomes
/// SERVICE_UNAVAILABLE with `retry_after` 1; anything else is INTERNAL and logged here.
pub fn errors(status: Status) -> Errors {
    if let Some(errors) = from_trailer(&status).or_else(|| from_details(&status)) {
        return errors;
    }
    // Only a connection that broke leaves a status with a source: whatever its code, the peer did not say it.
    let broken = std::error::Error::source(&status).is_some();
    match status.code() {
        code if broken || matches!(code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled) => {
            let mut error = Error::new(ErrorCode::ServiceUnavailable);
            error.retry_after = Some(1);
            tracing::debug!(%status, "peer is away");
            error.into()
        }
        _ => {
            tracing::error!(%status, "a call failed in a way that no contract names");
            Error::internal().into()
        }
    }
}

fn from_trailer(status: &Status) -> Option<Errors> {
    let value = status.metadata().get_bin(ERRORS)?;
    let errors: Errors = match value.to_bytes() {
        Ok(bytes) => serde_json::from_slice(&bytes).ok()?,
        Err(_) => serde_json::from_slice(&BASE64.decode(value.as_encoded_bytes()).ok()?).ok()?,
    };
    (!errors.0.is_empty()).then_some(errors)
}

fn from_details(status: &Status) -> Option<Errors> {
    if status.details().is_empty() {
        return None;
    }
    let details = RpcStatus::decode(status.details()).ok()?;
    let any = details.details.iter().find(|any| any.type_url == ERROR_INFO)?;
    let info = ErrorInfo::decode(any.value.as_slice()).ok()?;
    let code = (info.domain == DOMAIN).then(|| ErrorCode::parse(&info.reason))??;
    let mut error = Error::new(code).with_message(details.message);
    error.extensions = info.metadata.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
    Some(error.into())
}

/// The JSON of as many errors from the front as fit; cuts the list to them.
fn json_that_fits(errors: &mut Vec<Error>) -> Vec<u8> {
    // Strings, numbers and maps with string keys: JSON can always be made of them.
    let json = |errors: &[Error]| serde_json::to_vec(errors).unwrap_or_default();
    let all = json(errors);
    if all.len() <= MOST {
        return all;
    }
    let mut length = 2;
    let fits = errors
        .iter()
        .take_while(|error| {
            length += json(std::slice::from_ref(*error)).len() - 1;
            length <= MOST
        })
        .count();
    errors.truncate(fits.max(1));
    if fits == 0 {
        let first = &mut errors[0];
        first.message = cut(&first.message);
        first.extensions.retain(|_, value| value.to_string().len() <= TEXT);
        if json(errors).len() > MOST {
            errors[0].extensions.clear();
        }
    }
    json(errors)
}

/// What `ErrorInfo` says beside the code: short texts only, the trailer has the rest.
fn facts(error: &Error) -> HashMap<String, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let facts = error.extensions.iter().map(|(name, value)| (name.clone(), text(value)));
    facts.filter(|(name, value)| name.len() + value.len() <= 128).take(8).collect()
}

/// At most `TEXT` bytes, between characters.
fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT)].to_owned()
}

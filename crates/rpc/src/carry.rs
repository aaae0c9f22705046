//! Calls that share one stream between two processes (`eventus.calls.v1`): what a call costs beside its message is one frame
//! there and one back, and those that come together are written and read together. Errors are the same `Status` as of a call
//! by itself.

mod client;
mod places;
mod server;

use bytes::Bytes;
use proto::calls::v1::CarryResponse;
use tonic::metadata::{BinaryMetadataValue, MetadataMap};
use tonic::{Code, Status};

pub(crate) use client::{Carrier, LONGEST};
pub(crate) use server::{Calls, Carry};

use crate::{ERRORS, MAX_MESSAGE};

/// Calls or answers that wait to be written at most; who brings more waits.
const QUEUE: usize = 256;

/// Longest part of an answer, in bytes: other answers go between the parts of a long one.
const PART: usize = 64 * 1024;

/// An answer on its way, in one part or many.
fn parts(mut answer: CarryResponse) -> impl Iterator<Item = CarryResponse> {
    let mut over = false;
    std::iter::from_fn(move || {
        if over {
            return None;
        }
        over = answer.message.len() <= PART;
        if over {
            return Some(std::mem::take(&mut answer));
        }
        let message = answer.message.split_to(PART);
        Some(CarryResponse { id: answer.id, message, more: true, ..CarryResponse::default() })
    })
}

/// An answer on its way.
fn pack(id: u64, answer: Result<Bytes, Status>) -> CarryResponse {
    let status = match answer {
        Ok(message) if message.len() > MAX_MESSAGE => Status::out_of_range("the answer is too long"),
        Ok(message) => return CarryResponse { id, message, ..CarryResponse::default() },
        Err(status) => status,
    };
    let errors = status.metadata().get_bin(ERRORS).and_then(|value| value.to_bytes().ok());
    CarryResponse {
        id,
        code: status.code().into(),
        reason: status.message().to_owned(),
        details: Bytes::copy_from_slice(status.details()),
        errors: errors.unwrap_or_default(),
        ..CarryResponse::default()
    }
}

/// What has come: the reverse of [`pack`].
fn unpack(response: CarryResponse) -> Result<Bytes, Status> {
    let CarryResponse { message, code, reason, details, errors, .. } = response;
    let code = Code::from_i32(code);
    if code == Code::Ok {
        return Ok(message);
    }
    let mut metadata = MetadataMap::new();
    if !errors.is_empty() {
        metadata.insert_bin(ERRORS, BinaryMetadataValue::from_bytes(&errors));
    }
    Err(Status::with_details_and_metadata(code, reason, details, metadata))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use model::{Error, Errors};

    use super::{PART, pack, parts, unpack};
    use crate::{errors, status};

    #[test]
    fn long_answers_come_in_parts() {
        for (length, many) in [(0, 1), (PART, 1), (PART + 1, 2), (3 * PART, 3)] {
            let whole: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let parts: Vec<_> = parts(pack(7, Ok(whole.clone().into()))).collect();
            assert_eq!(parts.len(), many, "{length}");
            assert!(parts.iter().all(|part| part.id == 7 && part.message.len() <= PART));
            assert!(parts.iter().rev().skip(1).all(|part| part.more) && !parts[many - 1].more);
            assert_eq!(parts.iter().flat_map(|part| part.message.to_vec()).collect::<Vec<u8>>(), whole);
        }
    }

    #[test]
    fn answers_and_errors_come_out_as_they_went_in() {
        assert_eq!(unpack(pack(7, Ok(Bytes::from_static(b"yes")))).unwrap(), "yes");
        let refused = Errors(vec![Error::forbidden(), Error::invalid_query("for the test").with("value", 7)]);
        let there = status(refused.clone());
        let back = unpack(pack(7, Err(there.clone()))).unwrap_err();
        assert_eq!(
            (back.code(), back.message(), back.details()),
            (there.code(), there.message(), there.details())
        );
        assert_eq!(errors(back), refused);
    }
}

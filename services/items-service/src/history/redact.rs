//! Taking values out of the log: of fields that became secrets, and of a person's data.

use model::{Error, Errors};
use proto::history::v1 as pb;
use rpc::Caller;
use serde_json::Value;

use crate::state::State;

/// later
pub async fn erase(_: &State, _: &Caller, _: pb::EraseRequest) -> Result<Value, Errors> {
    Err(Error::internal().into())
}

//! What an item must be for a write to happen (`If-Match`): there, at a version that the client has seen.
//!
//! Asked once the item is locked: of two who write with the same condition at once, the second finds the first one's
//! version.

use model::{Collection, Error, ErrorCode};
use proto::items::v1::Condition;
use rpc::Caller;
use sqlx::PgExecutor;

use crate::state::State;

const HEADER: &str = "If-Match";

/// Whether a write of `collection` may be asked for so; `one` = of one item.
///
/// # Errors
/// 400: a condition on many. 428: none, where there has to be one.
pub fn check(
    state: &State,
    caller: &Caller,
    collection: &Collection,
    (condition, one): (Option<&Condition>, bool),
) -> Result<(), Error> {
    if condition.is_some() && !one {
        return Err(Error::invalid_header(HEADER, "is for one item"));
    }
    // The fleet's own processes have read nothing that they could overwrite unseen.
    if condition.is_some() || caller.accountability.process.is_some() {
        return Ok(());
    }
    if !state.conditional.contains(&collection.name) {
        return Ok(());
    }
    let name = &collection.name;
    Err(Error::new(ErrorCode::PreconditionRequired)
        .with_message(format!("Items of \"{name}\" are written one by one, with \"{HEADER}\"."))
        .with("collection", name.as_str())
        .with("header", HEADER))
}

/// Whether the item that stands at this version (nothing: is not there) is what the client wants it to be.
///
/// # Errors
/// 412.
pub fn hold(condition: Option<&Condition>, version: Option<i64>) -> Result<(), Error> {
    let Some(condition) = condition else { return Ok(()) };
    let failed = |message: String| {
        Error::new(ErrorCode::PreconditionFailed).with_message(message).with("header", HEADER)
    };
    match version {
        Some(version) if condition.exists || condition.versions.contains(&version) => Ok(()),
        Some(version) => Err(failed(format!(
            "The item is at version {version}, which \"{HEADER}\" does not name: read it again."
        ))
        .with("version", version)),
        None => Err(failed(format!("There is no item for \"{HEADER}\"."))),
    }
}

/// The version of an item that is there, if one is.
pub async fn version_of(
    db: impl PgExecutor<'_>,
    collection: &Collection,
    key: Option<&String>,
) -> Result<Option<i64>, sqlx::Error> {
    const VERSION: &str = "SELECT version FROM eventus.heads WHERE collection = $1 AND key = $2";
    let Some(key) = key else { return Ok(None) };
    let head = sqlx::query_scalar(VERSION).bind(&collection.name).bind(key).fetch_optional(db).await?;
    Ok(Some(head.unwrap_or(collection.first_version)))
}

#[cfg(test)]
mod tests {
    use proto::items::v1::Condition;

    use super::hold;

    #[test]
    fn conditions() {
        let holds = |exists: bool, versions: &[i64], version: Option<i64>| {
            hold(Some(&Condition { exists, versions: versions.to_vec() }), version).is_ok()
        };
        assert!(hold(None, None).is_ok());
        assert!(holds(true, &[], Some(9)) && !holds(true, &[], None));
        assert!(
            holds(false, &[3, 9], Some(9)) && !holds(false, &[3, 8], Some(9)) && !holds(false, &[9], None)
        );
        assert!(!holds(false, &[], Some(1)), "tags that are none of ours");
        let error = hold(Some(&Condition::default()), Some(4)).unwrap_err();
        assert_eq!((error.code.status(), &error.extensions["version"]), (412, &4.into()));
    }
}

//! Snapshot, diff and apply, asked of a running process.

use model::{Error, Errors};
use rpc::Caller;

use super::format::{self, Format};
use super::{Blueprint, apply, body, compare};
use crate::failure::Failure;
use crate::schema::change::Change;
use crate::snapshot::Snapshot;
use crate::state::State;

/// The schema as a document.
pub fn snapshot(present: &Snapshot, format: Format) -> Result<Vec<u8>, Errors> {
    Ok(format::print(&Blueprint::of(&present.catalog, false), format)?)
}

/// `{hash, diff}` of what leads from the present schema to a document's; nothing when they are equal.
pub fn diff(present: &Snapshot, text: &[u8], format: Format, force: bool) -> Result<Option<Vec<u8>>, Errors> {
    let wanted = body::document(&format::parse(text, format)?, force)?;
    let diff = compare::compare(&Blueprint::of(&present.catalog, true), &wanted);
    if diff.is_empty() {
        return Ok(None);
    }
    let hash = Blueprint::of(&present.catalog, false).hash();
    Ok(Some(format::print(&serde_json::json!({"hash": hash, "diff": diff}), Format::Json)?))
}

/// Makes the changes of a diff, all or none; `force` makes those of a diff that was made for another state, too.
pub async fn apply(
    state: &State,
    caller: &Caller,
    text: &[u8],
    format: Format,
    force: bool,
) -> Result<(), Errors> {
    let wanted = body::wanted(&format::parse(text, format)?)?;
    if wanted.diff.is_empty() {
        return Ok(());
    }
    let mut change = Change::begin(state).await?;
    let mut stale = false;
    let work = async {
        // Not the snapshot in memory: what others did by SQL a moment ago counts.
        let present = Snapshot::within(change.conn()).await?;
        let works = apply::works(&Blueprint::of(&present.catalog, true), &wanted.diff)?;
        stale = wanted.hash != Blueprint::of(&present.catalog, false).hash();
        if stale && !force {
            return Err(Failure::from(Error::invalid_payload(
                "Provided hash does not match the current instance's schema hash, indicating the schema has changed \
                 after this diff was generated. Please generate a new diff and try again or use the \"force\" query \
                 parameter to bypass this check",
            )));
        }
        apply::migrate(change.conn(), works).await
    };
    let work = work.await;
    let done = change.finish(state, caller, work).await;
    if stale && done.is_err() {
        // The next diff has to be made for what is there.
        state.snapshots.refresh().await.map_err(|_| Error::unavailable("database"))?;
    }
    done.map(|_| ())
}

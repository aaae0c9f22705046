//! Shares and comments: who may let others see an item, and who may write about one.

use access::Action;
use db::Db;
use model::{Collection, Error, Errors};
use planner::{Payload, Reader};
use sqlx::Row as _;

/// What is about an item of some collection, as it is called, and what whoever makes it must be allowed to do with that item.
const ABOUT: [(&str, &str, Action); 2] =
    [("directus_shares", "share", Action::Share), ("directus_comments", "comment", Action::Read)];

/// Whoever makes a share, or lets one show another item, may `share` that item, and whoever comments on one may read it. What
/// the guests of a share then see is decided when they look: never more than who made it may read.
///
/// # Errors
/// 403 where he may not, and where there is no such item; `INVALID_PAYLOAD` where only half of the item is named.
pub async fn check(
    db: &Db,
    payloads: &[Payload],
    collection: &Collection,
    (action, reader): (Action, Reader<'_>),
) -> Result<(), Errors> {
    let about = ABOUT.into_iter().find(|(name, ..)| *name == collection.name);
    let Some((_, called, needed)) = about.filter(|_| !reader.access.is_admin()) else { return Ok(()) };
    for payload in payloads {
        let text =
            |name: &str| payload.get(name).and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        match (text("collection"), text("item")) {
            (Some(collection), Some(item)) => may(db, (&collection, &item), needed, reader).await?,
            // The table refuses what is half.
            _ if action == Action::Create => {}
            (None, None) if payload.get("item").is_none() && payload.get("collection").is_none() => {}
            _ => {
                let reason =
                    format!("\"collection\" and \"item\" of a {called} are texts that are changed together");
                return Err(Error::invalid_payload(reason).into());
            }
        }
    }
    Ok(())
}

async fn may(
    db: &Db,
    (collection, item): (&str, &str),
    needed: Action,
    reader: Reader<'_>,
) -> Result<(), Errors> {
    let known = reader.schema.collection(collection);
    let known = known.filter(|_| reader.access.allows(collection, needed));
    let known = known.ok_or_else(Error::forbidden)?;
    let plan = planner::plan_reached(Some(item), &[needed], known, reader)?;
    let row = crate::execute::rows_alone(db, &plan).await.map_err(|error| db::public(&error))?;
    let reached = row.first().and_then(|row| row.try_get(0).ok());
    if reached == Some(true) { Ok(()) } else { Err(Error::forbidden().into()) }
}

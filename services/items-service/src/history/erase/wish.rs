//! What is to be erased, checked.

use std::collections::BTreeSet;

use model::{Collection, Error};
use proto::history::v1 as pb;
use uuid::Uuid;

use crate::failure::Failure;
use crate::items::checked_keys;
use crate::state::State;

/// Items of one call at most.
const MOST_KEYS: usize = 100_000;
/// Users of one call at most.
const MOST_USERS: usize = 1_000;

/// Items, users, or both.
#[derive(Debug)]
pub struct Wish {
    /// The items.
    pub items: Option<Items>,
    /// The users who are no longer named where they acted.
    pub users: Vec<Uuid>,
}

/// Items of a collection, and what of them.
#[derive(Debug)]
pub struct Items {
    /// Their collection.
    pub collection: String,
    /// Scope of its events.
    pub scope: String,
    /// The field that is kept; of a collection that is gone nobody knows it.
    pub key_field: Option<String>,
    /// Their keys, each once.
    pub keys: Vec<String>,
    /// Only these; none: all but the key.
    pub fields: Option<Vec<String>>,
    /// They are deleted first.
    pub delete: bool,
}

impl Wish {
    /// Reads a request.
    pub async fn checked(state: &State, request: &pb::EraseRequest) -> Result<Self, Failure> {
        let wish = Self { items: items(state, request).await?, users: users(&request.users)? };
        if wish.items.is_none() && wish.users.is_empty() {
            return Err(invalid("Either \"collection\" and \"keys\" or \"users\" are required"));
        }
        Ok(wish)
    }
}

fn invalid(reason: impl Into<String>) -> Failure {
    Error::invalid_payload(reason).into()
}

fn users(users: &[String]) -> Result<Vec<Uuid>, Failure> {
    if users.len() > MOST_USERS {
        return Err(invalid(format!("\"users\" names more than {MOST_USERS}")));
    }
    let ids: Result<BTreeSet<Uuid>, _> = users.iter().map(|id| Uuid::parse_str(id)).collect();
    let ids = ids.map_err(|_| invalid("\"users\" has to name users by their ids"))?;
    Ok(ids.into_iter().collect())
}

async fn items(state: &State, request: &pb::EraseRequest) -> Result<Option<Items>, Failure> {
    let pb::EraseRequest { collection, keys, fields, delete, .. } = request;
    if collection.is_empty() {
        if !keys.is_empty() || !fields.is_empty() || *delete {
            return Err(invalid("\"collection\" is required with \"keys\", \"fields\" and \"delete\""));
        }
        return Ok(None);
    }
    if keys.is_empty() || keys.len() > MOST_KEYS {
        return Err(invalid(format!("\"keys\" has to name 1 to {MOST_KEYS} items")));
    }
    let snapshot = state.snapshots.present();
    let named = (!fields.is_empty()).then(|| fields.clone());
    let Some(known) = snapshot.schema.collection(collection) else {
        return gone(state, request, named).await.map(Some);
    };
    check_fields(fields, known)?;
    Ok(Some(Items {
        collection: known.name.clone(),
        scope: known.scope().to_owned(),
        key_field: Some(known.primary_key.clone()),
        keys: checked_keys(keys, known)?,
        fields: named,
        delete: *delete,
    }))
}

fn check_fields(fields: &[String], collection: &Collection) -> Result<(), Failure> {
    for name in fields {
        if collection.field(name).is_none() {
            return Err(invalid(format!(
                "There is no field \"{name}\". Without \"fields\" all are erased, those that are gone among them"
            )));
        }
        if *name == collection.primary_key {
            return Err(invalid(format!("\"{name}\" is the key, by which the item stays known")));
        }
    }
    Ok(())
}

/// Items of a collection that was deleted: the log still knows them.
async fn gone(
    state: &State,
    request: &pb::EraseRequest,
    fields: Option<Vec<String>>,
) -> Result<Items, Failure> {
    const KNOWN: &str =
        "SELECT EXISTS (SELECT FROM eventus.events WHERE collection = $1 AND name LIKE 'items.%')";
    let collection = request.collection.clone();
    let known: bool = sqlx::query_scalar(KNOWN).bind(&collection).fetch_one(&state.db).await?;
    if !known || request.delete {
        return Err(Error::forbidden_collection(&collection).into());
    }
    let keys: BTreeSet<String> = request.keys.iter().cloned().collect();
    let (scope, keys) = ("items".to_owned(), keys.into_iter().collect());
    Ok(Items { collection, scope, key_field: None, keys, fields, delete: false })
}

//! Writes under a key of the client's: the first answer is kept with the write, and given again to who asks again.
//!
//! A write happens once because its transaction holds the row of its key, and keys are unique. The claims (in memory, and
//! as an advisory lock for other processes) are for those who ask twice at once: they are told so instead of waiting.

mod kept;
mod under_way;

use std::time::Duration;

use bytes::Bytes;
use model::{Error, ErrorCode, Errors};
use planner::Once;
use proto::items::v1 as pb;
use ring::digest::{SHA256, digest};
use rpc::Caller;
use secrets::Signet;
use sqlx::PgConnection;

use super::write::Written;
use crate::failure::Failure;
use crate::state::State;

use under_way::UnderWay;

pub use kept::{Kept, forget};

/// Characters of a key.
const LONGEST: usize = 255;

/// How long a write that was refused may take to let go of its key.
const RELEASE: Duration = Duration::from_secs(1);

/// What a process knows of keys.
#[derive(Debug)]
pub struct Idempotency {
    /// Tells requests under one key apart.
    signet: Signet,
    /// How long a key is good for.
    ttl: Duration,
    under_way: UnderWay,
}

impl Idempotency {
    /// Keys that are good for so long.
    pub fn new(signet: Signet, ttl: Duration) -> Self {
        Self { signet, ttl, under_way: UnderWay::default() }
    }
}

/// The key that a request comes under, if it does. `asked` says what is asked for, beside the key.
///
/// # Errors
/// 400: it is no key, or nobody's.
pub fn of(
    caller: &Caller,
    key: &str,
    asked: impl FnOnce() -> Vec<u8>,
    idempotency: &Idempotency,
) -> Result<Option<Once>, Error> {
    if key.is_empty() {
        return Ok(None);
    }
    let refused = |reason: &str| Err(Error::invalid_header("Idempotency-Key", reason));
    if key.len() > LONGEST || !key.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return refused("must be 1 to 255 printable ASCII characters");
    }
    let owner = match (&caller.accountability.user, &caller.accountability.process) {
        (Some(user), _) => user.to_string(),
        (None, Some(process)) => format!("process:{process}"),
        (None, None) => return refused("needs a user: a key of the public would be everybody's"),
    };
    let name = digest(&SHA256, format!("{owner}\0{key}").as_bytes());
    // A SHA-256 is longer than that.
    let lock = name.as_ref().first_chunk().map_or(0, |start| i64::from_be_bytes(*start));
    // Not a bare hash: a password may be all that is not known of a request.
    let fingerprint = idempotency.signet.sign(b"", &asked());
    Ok(Some(Once { owner, key: key.to_owned(), fingerprint, lock }))
}

/// The answer of a write: the one that was kept under its key, else that of `work`.
///
/// # Errors
/// 422: the key was used for something else. 409: the first request is still under way. Those of `work`.
pub async fn answered<A: From<Kept>>(
    state: &State,
    once: Option<&Once>,
    work: impl Future<Output = Result<A, Errors>>,
) -> Result<A, Errors> {
    let Some(once) = once else { return work.await };
    let Some(_entry) = state.idempotency.under_way.enter(once) else { return Err(in_flight().into()) };
    if let Some(kept) = Kept::find(state, once).await? {
        return Ok(kept.into());
    }
    match work.await {
        // Another process was faster; it may be done by now.
        Err(errors) if errors.0.iter().any(|error| error.code == ErrorCode::Conflict) => {
            Kept::find(state, once).await?.map(A::from).ok_or(errors)
        }
        Err(errors) => {
            released(state, once).await;
            Err(errors)
        }
        done => done,
    }
}

/// Waits until the refused write holds its key no more: PostgreSQL says what is wrong before it takes the write back,
/// and who is told so may ask again at once.
async fn released(state: &State, once: &Once) {
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(once.lock).execute(&state.db);
    // When the database is away, or somebody else has the key by now, there is nothing to wait for.
    let _ = tokio::time::timeout(RELEASE, lock).await;
}

/// 409: who asks again later is answered.
pub fn in_flight() -> Error {
    let mut error = Error::new(ErrorCode::Conflict)
        .with_message("The first request with this \"Idempotency-Key\" is still under way.")
        .with("header", "Idempotency-Key");
    error.retry_after = Some(1);
    error
}

/// 422: the key stands for another request.
pub fn used_otherwise() -> Error {
    Error::new(ErrorCode::UnprocessableContent)
        .with_message("This \"Idempotency-Key\" was used for another request.")
        .with("header", "Idempotency-Key")
}

/// The key was used by somebody who was faster.
pub fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| {
        error.is_unique_violation() && error.constraint() == Some("idempotency_keys_pkey")
    })
}

/// Claims the key for this transaction, before it touches anything.
///
/// # Errors
/// 409: another one holds it.
pub async fn claim(conn: &mut PgConnection, once: Option<&Once>) -> Result<(), Failure> {
    let Some(once) = once else { return Ok(()) };
    let claim = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)").bind(once.lock);
    if claim.fetch_one(conn).await? { Ok(()) } else { Err(in_flight().into()) }
}

/// Keeps the answer of a transaction in it, right before its end.
pub async fn keep(conn: &mut PgConnection, once: Option<&Once>, written: &Written) -> Result<(), Failure> {
    const KEEP: &str = "INSERT INTO eventus.idempotency_keys (owner, key, fingerprint, items, keys, version) \
                        VALUES ($1, $2, $3, nullif($4, ''), $5, $6)";
    let Some(once) = once else { return Ok(()) };
    let keep = sqlx::query(KEEP).bind(&once.owner).bind(&once.key).bind(&once.fingerprint);
    keep.bind(&written.items).bind(&written.keys).bind(written.version).execute(conn).await?;
    Ok(())
}

impl From<Kept> for pb::WriteItemsResponse {
    fn from(Kept { items, keys, version }: Kept) -> Self {
        let items = Bytes::from(items.unwrap_or_default());
        Self { items, keys, version: version.unwrap_or_default(), replayed: true }
    }
}

impl From<Kept> for pb::DeleteItemsResponse {
    fn from(Kept { keys, .. }: Kept) -> Self {
        Self { keys, replayed: true }
    }
}

impl From<Kept> for pb::SortItemsResponse {
    fn from(Kept { keys, .. }: Kept) -> Self {
        Self { keys, replayed: true }
    }
}

impl From<Kept> for pb::PromoteVersionResponse {
    fn from(Kept { keys, .. }: Kept) -> Self {
        Self { key: keys.into_iter().next().unwrap_or_default(), replayed: true }
    }
}

#[cfg(test)]
mod tests {
    use model::Accountability;
    use rpc::Caller;
    use secrets::Signet;

    use super::{Idempotency, of};

    #[test]
    fn keys_are_of_somebody_and_say_what_is_asked() {
        let signet = Signet::try_new("a secret of more than 32 characters for tests", "requests").unwrap();
        let idempotency = Idempotency::new(signet, std::time::Duration::MAX);
        let of = |caller: &Caller, key: &str, asked: &str| {
            of(caller, key, || asked.as_bytes().to_vec(), &idempotency)
        };
        let (one, public) = (Caller::process("hooks"), Caller::default());
        let user = Accountability { user: Some(uuid::Uuid::from_u128(7)), ..Accountability::default() };
        let user = Caller { accountability: user, ..Caller::default() };
        let first = of(&one, "k", "a").unwrap().unwrap();
        assert_eq!((first.owner.as_str(), first.key.as_str()), ("process:hooks", "k"));
        assert_eq!(of(&one, "k", "a").unwrap().unwrap(), first);
        assert_ne!(of(&one, "k", "b").unwrap().unwrap().fingerprint, first.fingerprint);
        assert_ne!(of(&one, "l", "a").unwrap().unwrap().lock, first.lock);
        assert_ne!(of(&user, "k", "a").unwrap().unwrap().lock, first.lock);
        assert!(of(&public, "", "a").unwrap().is_none());
        for (caller, key) in [
            (&public, "k".to_owned()),
            (&user, "a".repeat(256)),
            (&user, "\u{e4}".into()),
            (&user, "a\n".into()),
        ] {
            assert_eq!(of(caller, &key, "a").unwrap_err().code.as_str(), "INVALID_HEADER", "{key}");
        }
        assert!(of(&user, &"a".repeat(255), "a").is_ok());
    }
}

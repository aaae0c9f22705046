//! The nouns of a history: what clients asked and were told.

use serde::Serialize;

/// What a client knows of its request in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was answered with success.
    Ok,
    /// It was refused, with this status, and none of its attempts is in doubt.
    Fail(u16),
    /// It may have happened, or may happen yet.
    Unknown,
}

/// An event that a write makes if it happens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Change {
    /// `items.create` ...
    pub name: &'static str,
    /// Collection.
    pub collection: &'static str,
    /// Key of the item.
    pub key: String,
}

/// A write.
#[derive(Debug, Clone, Serialize)]
pub struct Write {
    /// Unique; the request's id, and in the payload where there is one.
    pub token: String,
    /// What it makes of the log if it happens; of an acknowledged one what the answer says.
    pub changes: Vec<Change>,
    /// All of it or nothing; else keys that are not there are passed over.
    pub whole: bool,
    /// It had an `Idempotency-Key`.
    pub keyed: bool,
    /// How often it was sent.
    pub attempts: u32,
    /// When it was first sent.
    pub begun: u64,
    /// When the client knew.
    pub ended: u64,
    /// What the client knows.
    pub outcome: Outcome,
    /// The version that the answer named, where it is of one item.
    pub version: Option<i64>,
}

/// A read of one item that was answered with it, or with that there is none.
#[derive(Debug, Clone, Serialize)]
pub struct Read {
    /// Key in `things`.
    pub key: String,
    /// When it was sent.
    pub begun: u64,
    /// When it was answered.
    pub ended: u64,
    /// Its version; none when it is not there.
    pub version: Option<i64>,
}

/// A look at a list, or an append to it.
#[derive(Debug, Clone, Serialize)]
pub struct Append {
    /// Key in `lists`.
    pub list: String,
    /// When it was sent.
    pub begun: u64,
    /// When it was answered.
    pub ended: u64,
    /// How long it was, an append included.
    pub length: usize,
    /// What stood in it.
    pub digest: u64,
    /// The element that was appended; none for a look.
    pub element: Option<String>,
    /// What the client knows.
    pub outcome: Outcome,
}

/// Tells lists apart that are as long: histories hold thousands of looks at them.
pub fn digest<'a>(values: impl IntoIterator<Item = &'a String>) -> u64 {
    values.into_iter().fold(0xcbf2_9ce4_8422_2325, |digest, element| longer(digest, element))
}

/// The digest of a list with one element more.
pub fn longer(digest: u64, element: &str) -> u64 {
    let bytes = element.bytes().chain([0]);
    bytes.fold(digest, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// A request under a session that had ended.
#[derive(Debug, Clone, Serialize)]
pub struct Session {
    /// When the logout was acknowledged.
    pub ended: u64,
    /// When the request was sent.
    pub asked: u64,
    /// What it was answered, if it was.
    pub status: Option<u16>,
}

/// An answer of a gateway.
#[derive(Debug, Clone, Serialize)]
pub struct Response {
    /// When the request was sent.
    pub begun: u64,
    /// When it was answered, or given up.
    pub ended: u64,
    /// The answer's status; none when there was no answer.
    pub status: Option<u16>,
    /// It said when to come again.
    pub retry_after: bool,
    /// What was asked, for the report.
    pub path: String,
}

/// A fault that is over.
#[derive(Debug, Clone, Serialize)]
pub struct Heal {
    /// Its number in the plan.
    pub number: usize,
    /// Its code.
    pub code: &'static str,
    /// When it began.
    pub begun: u64,
    /// When its cause was taken away.
    pub healed: u64,
    /// When the whole fleet was ready and a write went through; none when that was not within the bound.
    pub recovered: Option<u64>,
    /// What there is to tell of it.
    pub told: String,
}

//! What every part uses; made once.

use db::Db;

use crate::Links;
use crate::counting::Counting;

/// Shared by all parts.
pub(crate) struct State {
    /// PostgreSQL.
    pub db: Db,
    /// Counts events.
    pub counting: Counting,
}

impl State {
    /// Builds it.
    pub fn new(links: &Links) -> Self {
        Self { db: links.db.clone(), counting: Counting::new(links.db.clone()) }
    }
}

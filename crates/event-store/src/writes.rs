//! Writes of items as the log has them: those of a request or of a stretch of positions, and what else happened to the
//! same items.

use model::Event;
use sqlx::{PgConnection, Row as _};

use crate::Error;
use crate::rows::{self, columns};

/// Positions, counted from the last one, among which the writes of a request are looked for: nothing is indexed by
/// request.
pub const REACH: i64 = 4_194_304;

/// Which writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writes {
    /// All of a request.
    OfRequest(String),
    /// All from the first to the last of these positions.
    Between(i64, i64),
}

/// Events of writes in order, at most `limit`.
///
/// # Errors
/// When the database is away; `Corrupt`.
pub async fn events(conn: &mut PgConnection, writes: &Writes, limit: i64) -> Result<Vec<Event>, Error> {
    const OF: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM eventus.events WHERE request_id = $1 AND position > (SELECT coalesce(max(position), 0) \
         FROM eventus.events) - $2 ORDER BY position LIMIT $3"
    );
    const BETWEEN: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM eventus.events WHERE position BETWEEN $1 AND $2 ORDER BY position LIMIT $3"
    );
    let rows = match writes {
        Writes::OfRequest(id) => {
            rows::planned_anew(OF).bind(id).bind(REACH).bind(limit).fetch_all(conn).await?
        }
        Writes::Between(from, to) => {
            rows::planned_anew(BETWEEN).bind(from).bind(to).bind(limit).fetch_all(conn).await?
        }
    };
    rows::events(&rows)
}

/// An event of an item beside some writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// Where it is.
    pub position: i64,
    /// Of which item.
    pub key: String,
}

/// What happened to these items of a collection after `after`, but for these positions, in order.
///
/// # Errors
/// When the database is away.
pub async fn beside(
    conn: &mut PgConnection,
    (collection, keys): (&str, &[String]),
    after: i64,
    but: &[i64],
) -> Result<Vec<Beside>, Error> {
    const BESIDE: &str = "SELECT position, key FROM eventus.events WHERE collection = $1 AND key = ANY($2) \
                          AND position > $3 AND position <> ALL($4) AND name ~ '^(?!custom\\.)[a-z_]+\\.(create|update|delete)$' \
                          ORDER BY position";
    let query = rows::planned_anew(BESIDE).bind(collection).bind(keys).bind(after).bind(but);
    let rows = query.fetch_all(conn).await?;
    let beside = |row: &sqlx::postgres::PgRow| {
        Ok(Beside { position: row.try_get("position")?, key: row.try_get("key")? })
    };
    rows.iter().map(beside).collect()
}

/// The last thing that happened to an item: its position, and whether it was deleted then.
///
/// # Errors
/// When the database is away.
pub async fn last(db: &db::Db, collection: &str, key: &str) -> Result<Option<(i64, bool)>, Error> {
    const LAST: &str = "SELECT position, name ~ '\\.delete$' FROM eventus.events \
                        WHERE collection = $1 AND key = $2 AND name ~ '^(?!custom\\.)[a-z_]+\\.(create|update|delete)$' \
                        ORDER BY position DESC LIMIT 1";
    Ok(sqlx::query_as(LAST).bind(collection).bind(key).fetch_optional(db).await?)
}

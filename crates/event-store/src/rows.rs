//! Rows of `eventus.events` as events. Bodies go through as bytes: looked over once, never built into values.

use model::{EVENT_SCHEMA, Event, EventName, TraceParent};
use serde_json::value::RawValue;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::types::Json;
use sqlx::{Postgres, Row as _};

use crate::Error;

/// The columns of an event in the order that `event` reads them.
macro_rules! columns {
    () => {
        "position, id, name, collection, key, version, payload, previous, fields, \"user\", role, request_id, \
         traceparent, causation_id, depth, batch_id, batch_index, silent, time, erased, schema"
    };
}
pub(crate) use columns;

/// Most bytes that one statement fetches, as stored (compressed): bounds what a batch of large events takes in memory.
pub(crate) const BATCH_BYTES: i64 = 1024 * 1024;

/// Reads rows that pass a condition, in order of position, at most `$limit` and about `BATCH_BYTES`, at least one.
/// `$bytes` is a parameter too.
macro_rules! bounded {
    ($from:literal, $limit:literal, $bytes:literal) => {
        concat!(
            "SELECT ",
            crate::rows::columns!(),
            " FROM (SELECT page.*, sum(size) OVER (ORDER BY position) - size AS before FROM (SELECT ",
            crate::rows::columns!(),
            ", coalesce(pg_column_size(payload), 0) + coalesce(pg_column_size(previous), 0) AS size FROM ",
            $from,
            " ORDER BY position LIMIT ",
            $limit,
            ") page) sized WHERE before < ",
            $bytes,
            " ORDER BY position"
        )
    };
}
pub(crate) use bounded;

/// A read of the log by position, planned each time. A plan that a connection keeps may come from a day when the log
/// was small (or statistics said so), and would read all of it for every batch until the next ANALYZE.
pub(crate) fn planned_anew(sql: &'static str) -> Query<'static, Postgres, PgArguments> {
    sqlx::query(sql).persistent(false)
}

/// One row as an event.
pub(crate) fn event(row: &PgRow) -> Result<Event, Error> {
    let position: i64 = row.try_get(0)?;
    read(row, position).map_err(|reason| Error::Corrupt { position, reason })
}

/// All rows, in their order.
pub(crate) fn events(rows: &[PgRow]) -> Result<Vec<Event>, Error> {
    rows.iter().map(event).collect()
}

fn read(row: &PgRow, position: i64) -> Result<Event, String> {
    let text = |error: sqlx::Error| error.to_string();
    let body = |column: usize| -> Result<Option<Box<RawValue>>, String> {
        let body: Option<Json<Box<RawValue>>> = row.try_get(column).map_err(text)?;
        Ok(body.map(|body| body.0))
    };
    let name: &str = row.try_get(2).map_err(text)?;
    let traceparent: Option<&str> = row.try_get(12).map_err(text)?;
    let schema: i16 = row.try_get(20).map_err(text)?;
    Ok(Event {
        // Rows of all versions so far have the same columns.
        schema: schema.max(EVENT_SCHEMA),
        position,
        id: row.try_get(1).map_err(text)?,
        name: EventName::parse(name).ok_or_else(|| format!("{name:?} is not the name of an event"))?,
        collection: row.try_get(3).map_err(text)?,
        key: row.try_get(4).map_err(text)?,
        version: row.try_get(5).map_err(text)?,
        payload: body(6)?,
        previous: body(7)?,
        oversized: false,
        fields: row.try_get(8).map_err(text)?,
        user: row.try_get(9).map_err(text)?,
        role: row.try_get(10).map_err(text)?,
        request_id: row.try_get(11).map_err(text)?,
        // A broken trace context is not worth losing an event for.
        traceparent: traceparent.and_then(TraceParent::parse),
        causation_id: row.try_get(13).map_err(text)?,
        depth: row.try_get(14).map_err(text)?,
        batch_id: row.try_get(15).map_err(text)?,
        batch_index: row.try_get(16).map_err(text)?,
        silent: row.try_get(17).map_err(text)?,
        time: row.try_get(18).map_err(text)?,
        erased: row.try_get(19).map_err(text)?,
    })
}

/// What an event holds in memory, about.
pub(crate) fn weight(event: &Event) -> usize {
    let body = |body: &Option<Box<RawValue>>| body.as_ref().map_or(0, |body| body.get().len());
    512 + body(&event.payload) + body(&event.previous)
}

//! A job as it stands in the database, and what clients are shown of it.

use model::Accountability;
use rpc::Caller;
use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Csv,
    Json,
}

impl Format {
    /// By the media type of a file. Spreadsheet programs call CSV theirs.
    pub fn of(media_type: &str) -> Option<Self> {
        match media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "text/csv" | "application/vnd.ms-excel" => Some(Self::Csv),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }

    /// Its name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

/// See above.
#[derive(Debug, Clone)]
pub struct Job {
    pub id: Uuid,
    pub collection: String,
    pub format: Format,
    pub state: String,
    pub dry_run: bool,
    pub atomic: Option<bool>,
    pub caller: Caller,
    pub bytes_total: i64,
    pub bytes: i64,
    pub rows: i64,
    /// JSON of `model::Errors`.
    pub errors: Option<Value>,
    pub attempts: i32,
    created: OffsetDateTime,
    finished: Option<OffsetDateTime>,
}

/// What [`Job::of`] reads.
pub const COLUMNS: &str = "id, collection, format, state, dry_run, atomic, accountability, request_id, \
    bytes_total, bytes, rows, errors, attempts, created, finished";

impl Job {
    /// From a row of [`COLUMNS`].
    pub fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        let format: &str = row.try_get("format")?;
        let Json(accountability): Json<Accountability> = row.try_get("accountability")?;
        Ok(Self {
            id: row.try_get("id")?,
            collection: row.try_get("collection")?,
            format: if format == "csv" { Format::Csv } else { Format::Json },
            state: row.try_get("state")?,
            dry_run: row.try_get("dry_run")?,
            atomic: row.try_get("atomic")?,
            caller: Caller { request_id: row.try_get("request_id")?, accountability, silent: false },
            bytes_total: row.try_get("bytes_total")?,
            bytes: row.try_get("bytes")?,
            rows: row.try_get("rows")?,
            errors: row
                .try_get::<Option<&str>, _>("errors")?
                .and_then(|errors| serde_json::from_str(errors).ok()),
            attempts: row.try_get("attempts")?,
            created: row.try_get("created")?,
            finished: row.try_get("finished")?,
        })
    }

    /// The job by its id.
    pub async fn find(db: &db::Db, id: Uuid) -> Result<Option<Self>, sqlx::Error> {
        let find = format!("SELECT {COLUMNS} FROM eventus.imports WHERE id = $1 AND state <> 'receiving'");
        let row = sqlx::query(sqlx::AssertSqlSafe(find)).bind(id).fetch_optional(db).await?;
        row.as_ref().map(Self::of).transpose()
    }

    /// Nothing happens to it any more.
    pub fn has_ended(&self) -> bool {
        self.finished.is_some()
    }

    /// May be seen and stopped by him.
    pub fn belongs_to(&self, caller: &Caller) -> bool {
        let (own, his) = (&self.caller.accountability, &caller.accountability);
        his.admin || (his.user.is_some() && his.user == own.user)
    }

    /// As clients see it.
    pub fn shown(&self) -> Value {
        let text = |at: OffsetDateTime| at.format(&Rfc3339).ok();
        json!({
            "id": self.id,
            "collection": self.collection,
            "format": self.format.name(),
            "state": self.state,
            "dry_run": self.dry_run,
            "atomic": self.atomic,
            "rows": self.rows,
            "bytes": self.bytes,
            "bytes_total": self.bytes_total,
            "user": self.caller.accountability.user,
            "created": text(self.created),
            "finished": self.finished.and_then(text),
            "errors": self.shown_errors(),
        })
    }

    /// In the shape of Directus.
    fn shown_errors(&self) -> Vec<Value> {
        let errors = self.errors.as_ref().and_then(Value::as_array).into_iter().flatten();
        let shown = errors.map(|error| {
            let mut extensions =
                error.get("extensions").and_then(Value::as_object).cloned().unwrap_or_default();
            extensions.insert("code".to_owned(), error["code"].clone());
            json!({"message": error["message"], "extensions": extensions})
        });
        shown.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    /// As in the original.
    #[test]
    fn media_types() {
        for (said, format) in [
            ("text/csv", Some(Format::Csv)),
            ("TEXT/CSV", Some(Format::Csv)),
            ("text/csv; charset=utf-8", Some(Format::Csv)),
            ("application/vnd.ms-excel", Some(Format::Csv)),
            ("application/json", Some(Format::Json)),
            ("application/csv", None),
            ("text/plain", None),
            ("application/octet-stream", None),
            ("", None),
        ] {
            assert_eq!(Format::of(said), format, "{said}");
        }
    }
}

//! Texts of people's own (`directus_translations`): each key has one text per language.

use model::Error;
use planner::Payload;
use sqlx::PgConnection;

use crate::failure::Failure;

/// Advisory lock of writes that give keys or languages: of two at once the second sees the first one's.
const PAIRS: i64 = 7_306_085_851;

/// Translations whose key or language is written.
#[derive(Debug)]
pub struct Translated {
    /// Present items.
    items: Vec<String>,
    /// What payloads give, as far as they give both.
    keys: Vec<String>,
    languages: Vec<String>,
}

impl Translated {
    /// Those of a write; nothing, where it writes no key and no language of a translation.
    pub fn of(collection: &str, items: &[String], payloads: &[Payload]) -> Option<Self> {
        let given = |payload: &Payload| payload.get("key").is_some() || payload.get("language").is_some();
        if collection != "directus_translations" || !payloads.iter().any(given) {
            return None;
        }
        let text = |payload: &Payload, name: &str| serde_json::from_str(payload.get(name)?.get()).ok();
        let pair = |payload: &Payload| Some((text(payload, "key")?, text(payload, "language")?));
        let (keys, languages) = payloads.iter().filter_map(pair).unzip();
        Some(Self { items: items.to_vec(), keys, languages })
    }

    /// Waits for others who write some.
    pub async fn queue(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(PAIRS).execute(conn).await.map(drop)
    }

    /// None of them is there twice.
    pub async fn check(&self, conn: &mut PgConnection) -> Result<(), Failure> {
        const TWICE: &str = "SELECT EXISTS (SELECT FROM directus_translations t
            JOIN directus_translations o ON o.key = t.key AND o.language = t.language AND o.id <> t.id
            WHERE t.id::text = ANY($1) OR (t.key, t.language) IN (SELECT * FROM unnest($2::text[], $3::text[])))";
        let twice = sqlx::query_scalar(TWICE).bind(&self.items).bind(&self.keys).bind(&self.languages);
        match twice.fetch_one(conn).await? {
            true => Err(Error::invalid_payload("Duplicate key and language combination").into()),
            false => Ok(()),
        }
    }
}

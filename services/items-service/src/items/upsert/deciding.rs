//! The fields that decide whether an item is there already: the primary key, or all those of a unique constraint.

use model::{Collection, Error, Field};

use crate::failure::Failure;

/// Whether a unique index stands on exactly these columns of a table, over all rows, and is checked at once.
const UNIQUE: &str = "SELECT EXISTS (
    SELECT FROM pg_index i
    JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = 'public'::regnamespace AND c.relname = $1
    WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
    AND (SELECT array_agg(a.attname::text COLLATE \"C\" ORDER BY a.attname::text COLLATE \"C\")
         FROM pg_attribute a WHERE a.attrelid = i.indrelid
         AND a.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1])) = $2)";

/// See above.
pub struct Deciding<'a> {
    /// At least one.
    pub fields: Vec<&'a Field>,
}

impl<'a> Deciding<'a> {
    /// The fields of these names; of no names the primary key. 400 when they say nothing about one item only.
    pub async fn of(db: &db::Db, collection: &'a Collection, names: &[String]) -> Result<Self, Failure> {
        let key = collection.key().ok_or_else(Error::internal)?;
        let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.is_empty() || sorted == [key.name.as_str()] {
            return Ok(Self { fields: vec![key] });
        }
        let field = |name: &&str| {
            let field = collection.field(name).filter(|field| field.is_stored());
            field.ok_or_else(|| Error::forbidden_field(&collection.name, name))
        };
        let fields = sorted.iter().map(field).collect::<Result<Vec<_>, _>>()?;
        let alone = matches!(fields.as_slice(), [one] if one.unique);
        let secret = fields.iter().any(|field| field.is_concealed());
        if secret || !(alone || is_unique(db, &collection.name, &sorted).await?) {
            let reason = format!(
                "\"on_conflict\" must be the primary key or the fields of a unique constraint: \"{}\" is neither",
                sorted.join(",")
            );
            return Err(Error::invalid_query(reason).into());
        }
        Ok(Self { fields })
    }

    /// The names, for people.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.fields.iter().map(|field| field.name.as_str()).collect();
        names.join("\", \"")
    }
}

async fn is_unique(db: &db::Db, table: &str, sorted: &[&str]) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(UNIQUE).bind(table).bind(sorted).fetch_one(db).await
}

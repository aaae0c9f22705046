//! What PostgreSQL and the metadata tables say of the schema: one statement each.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sqlx::PgConnection;

/// Wraps a statement so that its rows come as one JSON array.
macro_rules! as_json {
    ($sql:expr) => {
        concat!("SELECT coalesce(json_agg(r), '[]')::text FROM (", $sql, ") r")
    };
}

async fn rows<T: DeserializeOwned>(
    conn: &mut PgConnection,
    sql: &'static str,
    collection: Option<&str>,
) -> Result<Vec<T>, sqlx::Error> {
    let query = sqlx::query_scalar::<_, String>(sql).bind(collection);
    let json = query.fetch_one(conn).await?;
    serde_json::from_str(&json).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// A column of a table in the user's schema.
#[derive(Debug, Clone, Deserialize)]
pub struct ColumnRow {
    /// Table.
    pub collection: String,
    /// Column.
    pub field: String,
    /// With modifier: `character varying(255)`.
    pub column_type: String,
    /// Without: `character varying`.
    pub data_type: String,
    /// May be null.
    pub nullable: bool,
    /// Default as SQL text.
    pub default_value: Option<String>,
    /// `GENERATED ALWAYS AS (..) STORED`.
    pub generated: bool,
    /// Its sequence, schema-qualified and quoted.
    pub sequence: Option<String>,
    /// The whole primary key.
    pub primary_key: bool,
    /// A unique constraint or index stands on it alone.
    pub unique: bool,
    /// An index that is not unique stands on it alone.
    pub indexed: bool,
    /// For `varchar(n)`.
    pub max_length: Option<i32>,
    /// For numbers.
    pub numeric_precision: Option<i32>,
    /// For numbers.
    pub numeric_scale: Option<i32>,
    /// Table that a foreign key on it points to.
    pub foreign_table: Option<String>,
    /// Column that the foreign key points to.
    pub foreign_column: Option<String>,
    /// Comment.
    pub comment: Option<String>,
}

const COLUMNS: &str = as_json!(
    r#"
SELECT c.relname AS collection, a.attname AS field,
       format_type(a.atttypid, a.atttypmod) AS column_type,
       format_type(a.atttypid, NULL) AS data_type,
       NOT a.attnotnull AS nullable,
       CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END AS default_value,
       a.attgenerated <> '' AS generated,
       pg_get_serial_sequence(quote_ident(n.nspname) || '.' || quote_ident(c.relname), a.attname) AS sequence,
       coalesce(i.pk, false) AS primary_key,
       coalesce(i.uniq, false) AS "unique",
       coalesce(i.plain, false) AS indexed,
       CASE WHEN a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype) AND a.atttypmod > 0
            THEN a.atttypmod - 4 END AS max_length,
       CASE a.atttypid WHEN 'int2'::regtype THEN 16 WHEN 'int4'::regtype THEN 32 WHEN 'int8'::regtype THEN 64
            WHEN 'float4'::regtype THEN 24 WHEN 'float8'::regtype THEN 53
            WHEN 'numeric'::regtype THEN CASE WHEN a.atttypmod > 0 THEN ((a.atttypmod - 4) >> 16) & 65535 END
       END AS numeric_precision,
       CASE WHEN a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN 0
            WHEN a.atttypid = 'numeric'::regtype AND a.atttypmod > 0 THEN (a.atttypmod - 4) & 65535
       END AS numeric_scale,
       f.foreign_table, f.foreign_column,
       col_description(c.oid, a.attnum) AS comment
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
LEFT JOIN (
    SELECT indrelid, indkey[0] AS attnum, bool_or(indisprimary) AS pk, bool_or(indisunique) AS uniq,
           bool_or(NOT indisunique) AS plain
    FROM pg_index WHERE indnkeyatts = 1 AND indisvalid AND indpred IS NULL AND indexprs IS NULL
    GROUP BY indrelid, indkey[0]
) i ON i.indrelid = c.oid AND i.attnum = a.attnum
LEFT JOIN (
    SELECT k.conrelid, k.conkey[1] AS attnum, min(fc.relname) AS foreign_table, min(fa.attname) AS foreign_column
    FROM pg_constraint k
    JOIN pg_class fc ON fc.oid = k.confrelid
    JOIN pg_attribute fa ON fa.attrelid = k.confrelid AND fa.attnum = k.confkey[1]
    WHERE k.contype = 'f' AND cardinality(k.conkey) = 1
    GROUP BY k.conrelid, k.conkey[1]
) f ON f.conrelid = c.oid AND f.attnum = a.attnum
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'spatial_ref_sys'
  AND ($1::text IS NULL OR c.relname = $1)
ORDER BY c.relname, a.attnum
"#
);

/// Columns of all tables, or of one, in table and column order.
pub async fn columns(
    conn: &mut PgConnection,
    collection: Option<&str>,
) -> Result<Vec<ColumnRow>, sqlx::Error> {
    rows(conn, COLUMNS, collection).await
}

/// What planning needs of `directus_collections`.
#[derive(Debug, Clone, Deserialize)]
pub struct CollectionMeta {
    /// Name.
    pub collection: String,
    /// Holds one item only.
    pub singleton: bool,
    /// Orders items by default.
    pub sort_field: Option<String>,
}

/// Metadata of all collections.
pub async fn collection_meta(conn: &mut PgConnection) -> Result<Vec<CollectionMeta>, sqlx::Error> {
    const SQL: &str = as_json!(
        "SELECT collection, singleton, sort_field FROM directus_collections WHERE $1::text IS NULL OR collection = $1"
    );
    rows(conn, SQL, None).await
}

/// What planning needs of `directus_fields`.
#[derive(Debug, Clone, Deserialize)]
pub struct FieldMeta {
    /// Collection.
    pub collection: String,
    /// Name.
    pub field: String,
    /// Comma-separated.
    pub special: Option<String>,
    /// Must be given.
    pub required: Option<bool>,
}

/// Metadata of all fields.
pub async fn field_meta(conn: &mut PgConnection) -> Result<Vec<FieldMeta>, sqlx::Error> {
    const SQL: &str = as_json!(
        "SELECT collection, field, special, required FROM directus_fields WHERE $1::text IS NULL OR collection = $1"
    );
    rows(conn, SQL, None).await
}

/// A row of `directus_relations`.
#[derive(Debug, Clone, Deserialize)]
pub struct RelationMeta {
    /// Holds the reference.
    pub many_collection: String,
    /// Field that holds it.
    pub many_field: String,
    /// Points to.
    pub one_collection: Option<String>,
    /// Alias on the other side.
    pub one_field: Option<String>,
}

/// Metadata of all relations.
pub async fn relation_meta(conn: &mut PgConnection) -> Result<Vec<RelationMeta>, sqlx::Error> {
    const SQL: &str = as_json!(
        "SELECT many_collection, many_field, one_collection, one_field FROM directus_relations \
         WHERE $1::text IS NULL OR many_collection = $1"
    );
    rows(conn, SQL, None).await
}

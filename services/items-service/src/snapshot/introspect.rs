//! What PostgreSQL and the metadata tables say of the schema: one statement each.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgExecutor, Row as _};

use crate::catalog::marks::PREFIX;
use crate::catalog::rows::{CollectionRow, ColumnRow, FieldRow, ForeignKeyRow, RelationRow, Rows, TableRow};

/// Wraps a statement so that its rows come as one JSON array.
macro_rules! as_json {
    ($sql:expr) => {
        concat!("SELECT coalesce(json_agg(r), '[]')::text FROM (", $sql, ") r")
    };
}

/// Reads all of it. The connection should be in a transaction that sees one state.
pub async fn all(conn: &mut PgConnection) -> Result<Rows, sqlx::Error> {
    Ok(Rows {
        tables: rows::<TableRow>(conn, TABLES).await?,
        columns: columns(conn).await?,
        keys: rows::<ForeignKeyRow>(conn, KEYS).await?,
        collections: rows::<CollectionRow>(conn, COLLECTIONS).await?,
        fields: fields(conn).await?,
        relations: rows::<RelationRow>(conn, RELATIONS).await?,
        geometry: geometry(conn).await?,
        trigrams: trigrams(conn).await?,
        search_indexes: sqlx::query_scalar(SEARCH_INDEXES)
            .persistent(false)
            .bind(PREFIX)
            .fetch_all(conn)
            .await?,
    })
}

/// PostgreSQL schema that pg_trgm stands in; none when it is not installed.
pub async fn trigrams(conn: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(TRIGRAMS).persistent(false).fetch_optional(conn).await
}

const TRIGRAMS: &str =
    "SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'pg_trgm'";

const SEARCH_INDEXES: &str = "SELECT c.relname::text FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND starts_with(c.relname::text, $1) AND i.indisvalid";

/// PostGIS's type of geometries by its whole name, wherever the extension stands; none when it is not installed.
pub async fn geometry(conn: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(GEOMETRY).persistent(false).fetch_optional(conn).await
}

const GEOMETRY: &str = "SELECT format_type(t.oid, NULL) FROM pg_extension e
    JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
        AND d.classid = 'pg_type'::regclass AND d.deptype = 'e'
    JOIN pg_type t ON t.oid = d.objid AND t.typname = 'geometry'
    WHERE e.extname = 'postgis'";

async fn columns(conn: &mut PgConnection) -> Result<Vec<ColumnRow>, sqlx::Error> {
    let rows = sqlx::query(COLUMNS).persistent(false).fetch_all(conn).await?;
    let column = |row: &PgRow| {
        Ok(ColumnRow {
            collection: row.try_get(0)?,
            field: row.try_get(1)?,
            column_type: row.try_get(2)?,
            data_type: row.try_get(3)?,
            nullable: row.try_get(4)?,
            default_value: row.try_get(5)?,
            generated: row.try_get(6)?,
            sequence: row.try_get(7)?,
            primary_key: row.try_get(8)?,
            unique: row.try_get(9)?,
            indexed: row.try_get(10)?,
            max_length: row.try_get(11)?,
            numeric_precision: row.try_get(12)?,
            numeric_scale: row.try_get(13)?,
            comment: row.try_get(14)?,
        })
    };
    rows.iter().map(column).collect()
}

async fn fields(conn: &mut PgConnection) -> Result<Vec<FieldRow>, sqlx::Error> {
    let rows = sqlx::query(FIELDS).persistent(false).fetch_all(conn).await?;
    let field = |row: &PgRow| {
        let meta = RawValue::from_string(row.try_get(6)?);
        Ok(FieldRow {
            collection: row.try_get(0)?,
            field: row.try_get(1)?,
            special: row.try_get(2)?,
            required: row.try_get(3)?,
            searchable: row.try_get(4)?,
            sort: row.try_get::<Option<i32>, _>(5)?.map(i64::from),
            meta: meta.map_err(|error| sqlx::Error::Decode(error.into()))?,
        })
    };
    rows.iter().map(field).collect()
}

/// A text that changes with everything that `all` reads, whoever changed it.
pub async fn fingerprint(executor: impl PgExecutor<'_>) -> Result<String, sqlx::Error> {
    sqlx::query_scalar(FINGERPRINT).persistent(false).fetch_one(executor).await
}

// Rows of the catalogs and of the metadata tables, each with the transaction that wrote it.
const FINGERPRINT: &str = "
WITH tables AS MATERIALIZED (
    SELECT c.oid, c.xmin FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
    WHERE c.relkind IN ('r', 'p')
), stamps AS (
    SELECT 1 AS kind, oid::text AS id, xmin::text AS stamp FROM tables
    UNION ALL SELECT 2, a.attrelid || '.' || a.attnum, a.xmin::text
        FROM pg_attribute a JOIN tables t ON t.oid = a.attrelid WHERE a.attnum > 0
    UNION ALL SELECT 3, d.oid::text, d.xmin::text FROM pg_attrdef d JOIN tables t ON t.oid = d.adrelid
    UNION ALL SELECT 4, k.oid::text, k.xmin::text FROM pg_constraint k JOIN tables t ON t.oid = k.conrelid
    UNION ALL SELECT 5, i.indexrelid::text, i.indisvalid::text FROM pg_index i JOIN tables t ON t.oid = i.indrelid
    UNION ALL SELECT 6, d.objoid || '.' || d.objsubid, d.xmin::text
        FROM pg_description d JOIN tables t ON t.oid = d.objoid AND d.classoid = 'pg_class'::regclass
    UNION ALL SELECT 7, collection, xmin::text FROM directus_collections
    UNION ALL SELECT 8, id::text, xmin::text FROM directus_fields
    UNION ALL SELECT 9, id::text, xmin::text FROM directus_relations
    UNION ALL SELECT 10, oid::text, xmin::text FROM pg_extension WHERE extname IN ('postgis', 'pg_trgm')
)
SELECT coalesce(sum(hashtextextended(id || ':' || stamp, kind))::text, '') FROM stamps";

async fn rows<T: DeserializeOwned>(
    conn: &mut PgConnection,
    sql: &'static str,
) -> Result<Vec<T>, sqlx::Error> {
    // Planned anew: what a connection keeps would be a plan for the schema's youth.
    let json: String = sqlx::query_scalar(sql).persistent(false).fetch_one(conn).await?;
    serde_json::from_str(&json).map_err(|error| sqlx::Error::Decode(error.into()))
}

const TABLES: &str = as_json!(
    "SELECT c.relname AS name, obj_description(c.oid, 'pg_class') AS comment,
            coalesce((SELECT l.base FROM eventus.lives l WHERE l.collection = c.relname), 0) AS lived
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'spatial_ref_sys'
     ORDER BY c.relname"
);

// Of these there are many: read as columns, which costs PostgreSQL and us half of what JSON does.
const COLUMNS: &str = r#"
SELECT c.relname::text AS collection, a.attname::text AS field,
       format_type(a.atttypid, a.atttypmod) AS column_type,
       format_type(a.atttypid, NULL) AS data_type,
       NOT a.attnotnull AS nullable,
       CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END AS default_value,
       CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END AS generated,
       CASE WHEN a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%' THEN
           pg_get_serial_sequence(quote_ident(n.nspname) || '.' || quote_ident(c.relname), a.attname)
       END AS sequence,
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
       s.description AS comment
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
LEFT JOIN pg_description s ON s.objoid = c.oid AND s.objsubid = a.attnum AND s.classoid = 'pg_class'::regclass
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'spatial_ref_sys'
ORDER BY c.relname, a.attnum
"#;

const KEYS: &str = as_json!(
    "SELECT k.conname AS constraint_name, c.relname AS \"table\", a.attname AS \"column\",
            fn.nspname AS foreign_key_schema, fc.relname AS foreign_key_table, fa.attname AS foreign_key_column,
            CASE k.confupdtype WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL'
                WHEN 'd' THEN 'SET DEFAULT' ELSE 'NO ACTION' END AS on_update,
            CASE k.confdeltype WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL'
                WHEN 'd' THEN 'SET DEFAULT' ELSE 'NO ACTION' END AS on_delete
     FROM pg_constraint k
     JOIN pg_class c ON c.oid = k.conrelid
     JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
     JOIN pg_class fc ON fc.oid = k.confrelid
     JOIN pg_namespace fn ON fn.oid = fc.relnamespace
     JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
     JOIN pg_attribute fa ON fa.attrelid = k.confrelid AND fa.attnum = k.confkey[1]
     WHERE k.contype = 'f' AND cardinality(k.conkey) = 1
     ORDER BY c.relname, a.attname, k.conname"
);

const COLLECTIONS: &str = as_json!(
    "SELECT m.collection, m.singleton, m.sort_field, m.versioning,
            (SELECT row_to_json(w) FROM (SELECT m.collection, m.icon, m.note, m.display_template, m.hidden, m.singleton,
                m.translations, m.archive_field, m.archive_app_filter, m.archive_value, m.unarchive_value,
                m.sort_field, m.accountability, m.color, m.item_duplication_fields, m.sort, m.\"group\",
                m.collapse, m.preview_url, m.versioning) w) AS meta
     FROM directus_collections m ORDER BY m.collection"
);

const FIELDS: &str = "SELECT m.collection, m.field, string_to_array(m.special, ',') AS special, m.required, m.searchable, m.sort,
            (SELECT row_to_json(w) FROM (SELECT m.id, m.collection, m.field,
                string_to_array(m.special, ',') AS special, m.interface, m.options, m.display,
                m.display_options, m.readonly, m.hidden, m.sort, m.width, m.translations, m.note, m.conditions,
                m.required, m.\"group\", m.validation, m.validation_message, m.searchable) w)::text AS meta
     FROM directus_fields m ORDER BY m.id";

const RELATIONS: &str = as_json!(
    "SELECT m.many_collection, m.many_field, m.one_collection, m.one_field, m.one_collection_field,
            string_to_array(m.one_allowed_collections, ',') AS one_allowed_collections, m.junction_field,
            m.sort_field, m.one_deselect_action,
            (SELECT row_to_json(w) FROM (SELECT m.id, m.many_collection, m.many_field, m.one_collection,
                m.one_field, m.one_collection_field,
                string_to_array(m.one_allowed_collections, ',') AS one_allowed_collections,
                m.junction_field, m.sort_field, m.one_deselect_action) w) AS meta
     FROM directus_relations m ORDER BY m.id"
);

//! Rows of introspection: what PostgreSQL and the metadata tables say.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Everything that introspection read.
#[derive(Debug, Default)]
pub struct Rows {
    /// Tables of the user's schema.
    pub tables: Vec<TableRow>,
    /// Their columns, in table and column order.
    pub columns: Vec<ColumnRow>,
    /// Their foreign keys of one column.
    pub keys: Vec<ForeignKeyRow>,
    /// `directus_collections`.
    pub collections: Vec<CollectionRow>,
    /// `directus_fields`.
    pub fields: Vec<FieldRow>,
    /// `directus_relations`.
    pub relations: Vec<RelationRow>,
    /// PostGIS's type of geometries by its whole name, if it is installed.
    pub geometry: Option<String>,
    /// PostgreSQL schema of pg_trgm, if it is installed.
    pub trigrams: Option<String>,
    /// Managed indexes for search that can be used, by name.
    pub search_indexes: Vec<String>,
}

/// A table.
#[derive(Debug, Deserialize)]
pub struct TableRow {
    /// Name.
    pub name: String,
    /// Comment.
    pub comment: Option<String>,
    /// The last version that an item of an earlier collection of this name may have had, or 0.
    pub lived: i64,
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
    /// Without: `character varying`; of a geometry what it holds: `POINT`.
    pub data_type: String,
    /// May be null.
    pub nullable: bool,
    /// Default as SQL text.
    pub default_value: Option<String>,
    /// `GENERATED ALWAYS AS (..) STORED`: the expression.
    pub generated: Option<String>,
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
    /// Comment.
    pub comment: Option<String>,
}

/// A foreign key of one column, as on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForeignKeyRow {
    /// Its name.
    pub constraint_name: String,
    /// Table that holds it.
    pub table: String,
    /// Column that holds it.
    pub column: String,
    /// Where the other table stands.
    pub foreign_key_schema: String,
    /// The other table.
    pub foreign_key_table: String,
    /// The other column.
    pub foreign_key_column: String,
    /// `NO ACTION`, `RESTRICT`, `CASCADE`, `SET NULL`, `SET DEFAULT`.
    pub on_update: String,
    /// As `on_update`.
    pub on_delete: String,
}

/// A row of `directus_collections`.
#[derive(Debug, Clone, Deserialize)]
pub struct CollectionRow {
    /// Name.
    pub collection: String,
    /// Holds one item only.
    pub singleton: bool,
    /// Orders items by default.
    pub sort_field: Option<String>,
    /// Items may have versions beside themselves.
    #[serde(default)]
    pub versioning: bool,
    /// The whole row as on the wire.
    pub meta: Box<RawValue>,
}

/// A row of `directus_fields`.
#[derive(Debug, Clone, Deserialize)]
pub struct FieldRow {
    /// Collection.
    pub collection: String,
    /// Name.
    pub field: String,
    /// What happens to values, and what the field stands for.
    pub special: Option<Vec<String>>,
    /// Must be given.
    pub required: Option<bool>,
    /// `search` looks at it.
    #[serde(default)]
    pub searchable: Option<bool>,
    /// Place among the collection's fields.
    pub sort: Option<i64>,
    /// The whole row as on the wire.
    pub meta: Box<RawValue>,
}

/// A row of `directus_relations`.
#[derive(Debug, Clone, Deserialize)]
pub struct RelationRow {
    /// Holds the reference.
    pub many_collection: String,
    /// Field that holds it.
    pub many_field: String,
    /// Points to.
    pub one_collection: Option<String>,
    /// Alias on the other side.
    pub one_field: Option<String>,
    /// Field that names the collection.
    pub one_collection_field: Option<String>,
    /// Collections that may be named.
    pub one_allowed_collections: Option<Vec<String>>,
    /// The other reference of a junction.
    pub junction_field: Option<String>,
    /// Orders the many side.
    pub sort_field: Option<String>,
    /// `nullify` or `delete`.
    pub one_deselect_action: Option<String>,
    /// The whole row as on the wire.
    pub meta: Box<RawValue>,
}

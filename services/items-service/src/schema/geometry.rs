//! Definitions of geometries: their columns are of a type of PostGIS's, which may not be there, or not in `public`.

use model::{Error, FieldType};
use sqlx::{AssertSqlSafe, PgConnection};

use super::ddl;
use super::definition::{self, ColumnDefinition, FieldDefinition};
use crate::catalog::Catalog;
use crate::catalog::rows::ColumnRow;
use crate::failure::Failure;
use crate::snapshot::introspect;

/// Names the column's type of a field that is to be made, if it holds geometries.
pub async fn place(
    conn: &mut PgConnection,
    catalog: &Catalog,
    field: &mut FieldDefinition,
) -> Result<(), Failure> {
    if field.is_alias() {
        return Ok(());
    }
    let kind = definition::field_type(field)?;
    if let Some(native) = column_type(conn, catalog, kind).await? {
        let column = field.schema.get_or_insert_default();
        check_default(conn, column, kind, &native).await?;
        column.native = Some(native);
    }
    Ok(())
}

/// As [`place`], of a change of a column that is there. `kinds` are its present type and the wanted one.
pub async fn change(
    conn: &mut PgConnection,
    catalog: &Catalog,
    present: &ColumnRow,
    kinds: (FieldType, FieldType),
    change: &mut ColumnDefinition,
) -> Result<(), Failure> {
    let (now, wanted) = kinds;
    if now != wanted && change.native.is_none() {
        change.native = column_type(conn, catalog, wanted).await?;
    }
    if ddl::is_geometry(wanted) {
        let native = change.native.as_deref().unwrap_or(&present.column_type);
        check_default(conn, change, wanted, native).await?;
    }
    Ok(())
}

/// PostgreSQL looks at a default when it is needed, and then refuses every item.
async fn check_default(
    conn: &mut PgConnection,
    column: &ColumnDefinition,
    kind: FieldType,
    native: &str,
) -> Result<(), Failure> {
    if let Some(default) = &column.default_value {
        let sql = format!("SELECT {}::{native} IS NULL", ddl::default_literal(default, kind)?);
        sqlx::query(AssertSqlSafe(sql)).execute(conn).await?;
    }
    Ok(())
}

/// The column's type for this type of fields, if it is one of geometries.
async fn column_type(
    conn: &mut PgConnection,
    catalog: &Catalog,
    kind: FieldType,
) -> Result<Option<String>, Failure> {
    let FieldType::Geometry(holds) = kind else { return Ok(None) };
    let installed = match &catalog.geometry {
        Some(installed) => Some(installed.clone()),
        // It may have come since the catalog was read.
        None => introspect::geometry(conn).await?,
    };
    let needed = || {
        let reason = format!("\"type\" {} needs PostGIS: CREATE EXTENSION postgis", kind.as_str());
        Error::invalid_payload(reason)
    };
    Ok(Some(ddl::geometry_column(&installed.ok_or_else(needed)?, holds)))
}

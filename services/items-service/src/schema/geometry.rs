//! Definitions of geometries: their columns are of a type of PostGIS's, which may not be there, or not in `public`.

use model::{Error, FieldType};
use sqlx::PgConnection;

use super::ddl;
use super::definition::{self, FieldDefinition};
use crate::catalog::Catalog;
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
    if let Some(native) = column_type(conn, catalog, definition::field_type(field)?).await? {
        field.schema.get_or_insert_default().native = Some(native);
    }
    Ok(())
}

/// The column's type for this type of fields, if it is one of geometries.
pub async fn column_type(
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

//! GeoJSON -> PostGIS and back, as SQL over one field.
//!
//! What a client sends is checked by `geojson` and reaches the statement as PostGIS's own text, so that no digit is lost
//! and PostGIS has nothing left to refuse.

use model::{Dimensions, Error, Field, FieldType, GeometryColumn, GeometryKind, Operator, SRID};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::geojson::{self, Geometry};
use crate::statement::{Binding, Builder};

/// Decimals that no double has more of, down to where PostGIS writes an exponent.
const DECIMALS: u8 = 30;

/// The column of a field whose values are geometries.
fn column_of(field: &Field) -> Option<GeometryColumn<'_>> {
    GeometryColumn::parse(&field.column_type)
}

/// The value of a column as GeoJSON.
pub(crate) fn answer(field: &Field, column: &str) -> String {
    let Some(described) = column_of(field) else { return format!("{column}::text") };
    let schema = described.schema;
    let value = match described.is_geography {
        true => format!("{column}::{schema}geometry"),
        false => column.to_owned(),
    };
    let json = format!("eventus.json_in_text({schema}ST_AsGeoJSON({value}, {DECIMALS}, 0))");
    if field.kind != FieldType::Geometry(GeometryKind::Any) {
        return json;
    }
    // PostGIS fails on what GeoJSON has no word for (arcs, surfaces): one such value must not make a list unreadable.
    format!(
        "CASE WHEN {schema}GeometryType({value}) IN ('POINT', 'LINESTRING', 'POLYGON', 'MULTIPOINT', 'MULTILINESTRING', \
         'MULTIPOLYGON') OR ({schema}GeometryType({value}) = 'GEOMETRYCOLLECTION' \
         AND {schema}ST_AsText({value}) !~ 'CIRCULAR|CURVE|SURFACE') THEN {json} END"
    )
}

/// A value of a payload (GeoJSON, or its text) as PostGIS's text. 400 when the field can't hold it.
pub(crate) fn payload_text(token: &RawValue, field: &Field) -> Result<String, Error> {
    let wrong = |what: &str| {
        Error::invalid_payload(format!("\"{}\" {what}", field.name)).with("field", field.name.as_str())
    };
    let geometry = geojson::read(token).map_err(|reason| wrong(&reason))?;
    let column = column_of(field).ok_or_else(Error::internal)?;
    fits(&geometry, field.kind, column.dimensions).map_err(|reason| wrong(&reason))?;
    Ok(geometry.ewkb(column.srid.unwrap_or(SRID)))
}

fn fits(geometry: &Geometry, kind: FieldType, dimensions: Dimensions) -> Result<(), String> {
    match kind {
        FieldType::Geometry(GeometryKind::Any) => {}
        FieldType::Geometry(kind) if kind.as_str() == geometry.name() => {}
        FieldType::Geometry(kind) => {
            return Err(format!("must be a {}, not a {}", kind.as_str(), geometry.name()));
        }
        _ => return Err("holds no geometries".to_owned()),
    }
    match dimensions {
        Dimensions::Any => Ok(()),
        Dimensions::Exactly(wanted) if wanted == geometry.dimensions() => Ok(()),
        Dimensions::Exactly(wanted) => Err(format!("must have positions of {wanted} numbers")),
        Dimensions::Measured => Err("can't be written: GeoJSON has no measures".to_owned()),
    }
}

/// A default of a field as PostGIS's text: GeoJSON is checked, other texts are PostGIS's to read.
///
/// # Errors
/// 400 when it is no geometry of this kind.
pub fn default_geometry(value: &Value, kind: FieldType) -> Result<String, Error> {
    let wrong = |reason: String| Error::invalid_payload(format!("\"default_value\" {reason}"));
    match value {
        Value::String(text) if !text.trim_start().starts_with('{') => return Ok(text.clone()),
        Value::String(_) | Value::Object(_) => {}
        _ => return Err(wrong("must be GeoJSON".to_owned())),
    }
    let token = serde_json::value::to_raw_value(value).map_err(|_| Error::internal())?;
    let geometry = geojson::read(&token).map_err(wrong)?;
    fits(&geometry, kind, Dimensions::Any).map_err(wrong)?;
    Ok(geometry.ewkb(SRID))
}

/// The condition of an operator that compares geometries; `value` is GeoJSON.
pub(crate) fn compare(
    column: &str,
    field: &Field,
    operator: Operator,
    value: &Value,
    builder: &mut Builder,
) -> Result<String, Error> {
    let described = column_of(field).ok_or_else(Error::internal)?;
    let token = serde_json::value::to_raw_value(value).map_err(|_| Error::internal())?;
    let geometry = geojson::read(&token).map_err(|reason| {
        let operator = operator.as_str();
        Error::invalid_query(format!("\"{operator}\" has to be a valid GeoJSON object: it {reason}"))
    })?;
    let schema = described.schema;
    let kind = if described.is_geography { "geography" } else { "geometry" };
    let text = builder.bind(Binding::Text(Some(geometry.ewkb(described.srid.unwrap_or(SRID)))));
    let mut other = format!("{text}::text::{schema}{kind}");
    if described.srid.is_none() {
        // Each value has a system of its own: it is asked in that one.
        other = format!("{schema}ST_SetSRID({other}, {schema}ST_SRID({column}))");
    }
    let meets = match operator {
        Operator::IntersectsBbox | Operator::NintersectsBbox => {
            let prefix = if schema.is_empty() { "public." } else { schema };
            format!("{column} OPERATOR({prefix}&&) {other}")
        }
        _ => format!("{schema}ST_Intersects({column}, {other})"),
    };
    Ok(match operator {
        Operator::Nintersects | Operator::NintersectsBbox => format!("NOT ({meets})"),
        _ => meets,
    })
}

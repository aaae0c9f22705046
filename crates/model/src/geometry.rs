//! Geometries: what a field of such a type holds, and what a column of PostGIS says of itself.

/// Which geometries a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are GeoJSON's own")]
pub enum GeometryKind {
    /// All of them, collections too.
    Any,
    Point,
    LineString,
    Polygon,
    MultiPoint,
    MultiLineString,
    MultiPolygon,
}

impl GeometryKind {
    /// Every kind with the name that PostGIS has for it; GeoJSON has the same but for `Geometry`.
    pub const ALL: [(&'static str, Self); 7] = [
        ("Geometry", Self::Any),
        ("Point", Self::Point),
        ("LineString", Self::LineString),
        ("Polygon", Self::Polygon),
        ("MultiPoint", Self::MultiPoint),
        ("MultiLineString", Self::MultiLineString),
        ("MultiPolygon", Self::MultiPolygon),
    ];

    /// The kind of PostGIS's name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind)
    }

    /// PostGIS's name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("Geometry", |(name, _)| name)
    }
}

/// A column of the type `geometry` or `geography`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GeometryColumn<'a> {
    /// Where PostGIS stands, as it goes before a name: empty, or `"schema".` as PostgreSQL quotes it.
    pub schema: &'a str,
    /// `geography`: on the globe and not in the plane.
    pub is_geography: bool,
    /// What it holds: `Geometry`, `Point`, `CircularString` ...
    pub holds: &'a str,
    /// Numbers per position.
    pub dimensions: Dimensions,
    /// The reference system, where it is fixed.
    pub srid: Option<u32>,
}

/// Numbers per position of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimensions {
    /// Two or three.
    Any,
    /// This many.
    Exactly(usize),
    /// A measure among them, which GeoJSON has no place for.
    Measured,
}

/// The reference system of GeoJSON, and of every column that we make.
pub const SRID: u32 = 4326;

impl<'a> GeometryColumn<'a> {
    /// Reads a column's type as `format_type` prints it (`geometry(PointZ,4326)`); `None` for other types.
    pub fn parse(column_type: &'a str) -> Option<Self> {
        let (name, modifier) = match column_type.split_once('(') {
            Some((name, rest)) => (name, Some(rest.strip_suffix(')')?)),
            None => (column_type, None),
        };
        let (schema, name) = name.split_at(name.rfind('.').map_or(0, |dot| dot + 1));
        let is_geography = match name {
            "geometry" => false,
            "geography" => true,
            _ => return None,
        };
        let fixed = is_geography.then_some(SRID);
        let Some(modifier) = modifier else {
            let dimensions = Dimensions::Any;
            return Some(Self { schema, is_geography, holds: "Geometry", dimensions, srid: fixed });
        };
        let (shape, srid) = match modifier.split_once(',') {
            Some((shape, srid)) => (shape, Some(srid.parse().ok()?)),
            None => (modifier, fixed),
        };
        let (holds, dimensions) = if let Some(holds) = shape.strip_suffix('M') {
            (holds.strip_suffix('Z').unwrap_or(holds), Dimensions::Measured)
        } else if let Some(holds) = shape.strip_suffix('Z') {
            (holds, Dimensions::Exactly(3))
        } else {
            (shape, Dimensions::Exactly(2))
        };
        Some(Self { schema, is_geography, holds, dimensions, srid })
    }

    /// The kind of field that it is; `None` for what GeoJSON has no name for, and for collections alone.
    pub fn kind(&self) -> Option<GeometryKind> {
        GeometryKind::parse(self.holds)
    }

    /// Its type as Directus calls it (`schema.data_type`): PostGIS lists geometries in capitals.
    pub fn data_type(&self) -> String {
        if self.is_geography { self.holds.to_owned() } else { self.holds.to_uppercase() }
    }
}

#[cfg(test)]
mod tests {
    use super::{Dimensions, GeometryColumn, GeometryKind};

    #[test]
    fn columns_say_what_they_hold() {
        let read = |text| {
            let column = GeometryColumn::parse(text).unwrap();
            (column.schema, column.data_type(), column.kind(), column.dimensions, column.srid)
        };
        let point = Some(GeometryKind::Point);
        let any = Some(GeometryKind::Any);
        for (text, schema, data_type, kind, dimensions, srid) in [
            ("geometry", "", "GEOMETRY", any, Dimensions::Any, None),
            ("geometry(Geometry,4326)", "", "GEOMETRY", any, Dimensions::Exactly(2), Some(4326)),
            ("geometry(Point)", "", "POINT", point, Dimensions::Exactly(2), None),
            ("geometry(PointZ,3857)", "", "POINT", point, Dimensions::Exactly(3), Some(3857)),
            ("geometry(PointZM)", "", "POINT", point, Dimensions::Measured, None),
            ("geometry(PointM,4326)", "", "POINT", point, Dimensions::Measured, Some(4326)),
            (
                "geometry(GeometryCollection,1)",
                "",
                "GEOMETRYCOLLECTION",
                None,
                Dimensions::Exactly(2),
                Some(1),
            ),
            ("ext.geography(Point,4326)", "ext.", "Point", point, Dimensions::Exactly(2), Some(4326)),
            ("\"My ext\".geography", "\"My ext\".", "Geometry", any, Dimensions::Any, Some(4326)),
        ] {
            assert_eq!(read(text), (schema, data_type.to_owned(), kind, dimensions, srid), "{text}");
        }
        for other in ["point", "polygon", "geometry[]", "geometry(Point,4326)[]", "my_geometry", "text"] {
            assert_eq!(GeometryColumn::parse(other), None, "{other}");
        }
    }
}

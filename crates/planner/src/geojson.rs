//! GeoJSON (RFC 7946) -> EWKB, the text that PostGIS prints and reads of a geometry without losing a digit.
//!
//! Taken is what has a place in a column: geometries, collections of them, and the geometry of a feature; as an object or
//! as its text. A geometry without a position is none. Reasons read after the name of a field.

use serde::Deserialize;
use serde_json::value::RawValue;

/// Collections within collections. Each level is looked through once more than the one above it.
const DEPTH_LIMIT: usize = 4;

const Z: u32 = 0x8000_0000;
const HAS_SRID: u32 = 0x2000_0000;

/// Names of GeoJSON with PostGIS's numbers.
const TYPES: [(&str, u32); 7] = [
    ("Point", 1),
    ("LineString", 2),
    ("Polygon", 3),
    ("MultiPoint", 4),
    ("MultiLineString", 5),
    ("MultiPolygon", 6),
    ("GeometryCollection", 7),
];

/// A geometry that was read.
#[derive(Debug)]
pub(crate) struct Geometry {
    name: &'static str,
    dimensions: usize,
    /// EWKB without a reference system.
    bytes: Vec<u8>,
}

impl Geometry {
    /// What it is, in GeoJSON's words.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Numbers per position.
    pub(crate) fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// EWKB in hexadecimal digits, in this reference system.
    pub(crate) fn ewkb(&self, srid: u32) -> String {
        let (order, rest) = self.bytes.split_at(1.min(self.bytes.len()));
        let (kind, body) = rest.split_at(4.min(rest.len()));
        let kind = kind.iter().rev().fold(0, |kind, byte| kind << 8 | u32::from(*byte)) | HAS_SRID;
        let mut text = String::with_capacity(self.bytes.len() * 2 + 8);
        for byte in order.iter().chain(&kind.to_le_bytes()).chain(&srid.to_le_bytes()).chain(body) {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(digit), 16).unwrap_or_default().to_ascii_uppercase());
            }
        }
        text
    }
}

/// Members that mean something; all others are passed over.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(rename = "type")]
    name: String,
    #[serde(borrow)]
    coordinates: Option<&'a RawValue>,
    #[serde(borrow)]
    geometries: Option<&'a RawValue>,
    #[serde(borrow)]
    geometry: Option<&'a RawValue>,
}

/// Reads an object, or a text that holds one.
pub(crate) fn read(token: &RawValue) -> Result<Geometry, String> {
    match token.get().as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(token.get()).map_err(|_| no_geometry())?;
            read_object(text.trim_start())
        }
        _ => read_object(token.get()),
    }
}

fn no_geometry() -> String {
    "must be a GeoJSON geometry".to_owned()
}

fn members(text: &str) -> Result<Members<'_>, String> {
    if !text.starts_with('{') {
        return Err(no_geometry());
    }
    serde_json::from_str(text).map_err(|_| no_geometry())
}

fn read_object(text: &str) -> Result<Geometry, String> {
    let mut top = members(text)?;
    if top.name == "Feature" {
        top = members(top.geometry.ok_or_else(no_geometry)?.get())?;
    }
    let mut writer = Writer::default();
    let name = writer.geometry(&top, 0)?;
    let flags = if writer.dimensions == Some(3) { Z } else { 0 };
    // How many numbers a position has is known when the first was read.
    for (at, kind) in writer.types {
        if let Some(place) = writer.bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&(kind | flags).to_le_bytes());
        }
    }
    Ok(Geometry { name, dimensions: writer.dimensions.unwrap_or(2), bytes: writer.bytes })
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    /// Where types stand, and which.
    types: Vec<(usize, u32)>,
    dimensions: Option<usize>,
}

impl Writer {
    fn geometry(&mut self, members: &Members<'_>, depth: usize) -> Result<&'static str, String> {
        let known = TYPES.iter().find(|(name, _)| *name == members.name);
        let (name, number) = *known.ok_or_else(no_geometry)?;
        if name == "GeometryCollection" {
            self.collection(members.geometries, number, depth)?;
        } else {
            self.shape(number, members.coordinates)?;
        }
        Ok(name)
    }

    fn collection(&mut self, parts: Option<&RawValue>, number: u32, depth: usize) -> Result<(), String> {
        if depth == DEPTH_LIMIT {
            return Err(format!("is nested deeper than {DEPTH_LIMIT} collections"));
        }
        self.begin(number);
        for part in self.list(parts, 1, "\"geometries\"")? {
            self.geometry(&members_of(part)?, depth + 1)?;
        }
        Ok(())
    }

    /// The coordinates of one geometry; those of the `Multi` kinds are lists of simpler ones.
    fn shape(&mut self, number: u32, coordinates: Option<&RawValue>) -> Result<(), String> {
        self.begin(number);
        match number {
            1 => {
                self.position(coordinates.ok_or_else(no_coordinates)?)?;
            }
            2 => {
                self.positions(coordinates, 2)?;
            }
            3 => {
                for ring in self.list(coordinates, 1, "\"coordinates\"")? {
                    let begin = self.bytes.len() + 4;
                    self.positions(Some(ring), 4)?;
                    let size = self.dimensions.unwrap_or(2) * 8;
                    let (first, last) = (begin..begin + size, self.bytes.len() - size..self.bytes.len());
                    if self.bytes.get(first) != self.bytes.get(last) {
                        return Err("has a ring that is not closed".to_owned());
                    }
                }
            }
            _ => {
                for part in self.list(coordinates, 1, "\"coordinates\"")? {
                    self.shape(number - 3, Some(part))?;
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, number: u32) {
        self.bytes.push(1);
        self.types.push((self.bytes.len(), number));
        self.bytes.extend([0; 4]);
    }

    /// The members of a list, counted before them.
    fn list<'a>(
        &mut self,
        list: Option<&'a RawValue>,
        least: usize,
        what: &str,
    ) -> Result<Vec<&'a RawValue>, String> {
        let list: Vec<&RawValue> = list
            .and_then(|list| serde_json::from_str(list.get()).ok())
            .ok_or_else(|| format!("must be a GeoJSON geometry: {what} is no list"))?;
        if list.len() < least {
            return Err(match least {
                1 => format!("must be a GeoJSON geometry: {what} is empty"),
                _ => format!("has a line or ring of fewer than {least} positions"),
            });
        }
        let count = u32::try_from(list.len()).map_err(|_| "is too large".to_owned())?;
        self.bytes.extend(count.to_le_bytes());
        Ok(list)
    }

    fn positions(&mut self, list: Option<&RawValue>, least: usize) -> Result<(), String> {
        for position in self.list(list, least, "\"coordinates\"")? {
            self.position(position)?;
        }
        Ok(())
    }

    fn position(&mut self, position: &RawValue) -> Result<(), String> {
        let wrong = || "has a position that is not a list of 2 or 3 numbers".to_owned();
        let numbers: Vec<&RawValue> = serde_json::from_str(position.get()).map_err(|_| wrong())?;
        if !(2..=3).contains(&numbers.len()) {
            return Err(wrong());
        }
        if *self.dimensions.get_or_insert(numbers.len()) != numbers.len() {
            return Err("has positions of different lengths".to_owned());
        }
        for number in numbers {
            // A number as a text is one, as in the original; so come those of a filter that no double holds as they are.
            let number = number.get().trim_matches('"');
            let is_number = number.starts_with(|c: char| c == '-' || c.is_ascii_digit());
            let number: f64 = number.parse().ok().filter(|_| is_number).ok_or_else(wrong)?;
            if !number.is_finite() {
                return Err("has a coordinate out of range".to_owned());
            }
            // There is one zero.
            self.bytes.extend((number + 0.0).to_le_bytes());
        }
        Ok(())
    }
}

fn members_of(part: &RawValue) -> Result<Members<'_>, String> {
    members(part.get())
}

fn no_coordinates() -> String {
    "must be a GeoJSON geometry: \"coordinates\" is no list".to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    use super::read;

    fn ewkb(json: &str) -> Result<String, String> {
        read(&RawValue::from_string(json.to_owned()).unwrap()).map(|geometry| geometry.ewkb(4326))
    }

    /// What PostGIS 3.3 prints of the same geometries.
    #[test]
    fn geometries_are_written_as_postgis_writes_them() {
        for (json, expected) in [
            (r#"{"type":"Point","coordinates":[1,2]}"#, "0101000020E6100000000000000000F03F0000000000000040"),
            (
                r#"{"type":"Point","coordinates":["1","2.0"]}"#,
                "0101000020E6100000000000000000F03F0000000000000040",
            ),
            (
                r#"{"coordinates":[1,2,3],"type":"Point"}"#,
                "01010000A0E6100000000000000000F03F00000000000000400000000000000840",
            ),
            (
                r#"{"type":"LineString","coordinates":[[-0.0,1e0],[0.1,2]],"bbox":[],"crs":5}"#,
                "0102000020E6100000020000000000000000000000000000000000F03F9A9999999999B93F0000000000000040",
            ),
            (
                r#"{"type":"GeometryCollection","geometries":[{"type":"MultiPoint","coordinates":[[1,2]]}]}"#,
                "0107000020E610000001000000010400000001000000010100000000000000000\
                 0F03F0000000000000040",
            ),
        ] {
            assert_eq!(ewkb(json).unwrap(), expected, "{json}");
            let feature = format!(r#"{{"type":"Feature","properties":null,"geometry":{json}}}"#);
            assert_eq!(ewkb(&feature).unwrap(), expected, "{feature}");
            assert_eq!(ewkb(&Value::from(json).to_string()).unwrap(), expected, "as a text");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |levels: usize| {
            let open = r#"{"type":"GeometryCollection","geometries":["#.repeat(levels);
            format!(r#"{open}{{"type":"Point","coordinates":[1,2]}}{}"#, "]}".repeat(levels))
        };
        assert!(ewkb(&deep(4)).is_ok());
        assert_eq!(ewkb(&deep(5)).unwrap_err(), "is nested deeper than 4 collections");
        let text = Value::from(deep(50_000)).to_string();
        assert!(ewkb(&text).is_err(), "a text of any depth ends no process");
    }

    #[test]
    fn what_is_no_geometry_is_told_why() {
        const NONE: &str = "must be a GeoJSON geometry";
        const POSITION: &str = "has a position that is not a list of 2 or 3 numbers";
        for (json, reason) in [
            (json!(5), NONE),
            (json!([1, 2]), NONE),
            (json!("POINT(1 2)"), NONE),
            (json!(""), NONE),
            (json!("{"), NONE),
            (json!({}), NONE),
            (json!({"type": "point", "coordinates": [1, 2]}), NONE),
            (json!({"type": "Feature"}), NONE),
            (json!({"type": "Feature", "geometry": {"type": "Feature"}}), NONE),
            (json!({"type": "FeatureCollection", "features": []}), NONE),
            (json!({"type": "Point"}), "must be a GeoJSON geometry: \"coordinates\" is no list"),
            (
                json!({"type": "Point", "coordinates": null}),
                "must be a GeoJSON geometry: \"coordinates\" is no list",
            ),
            (json!({"type": "Point", "coordinates": []}), POSITION),
            (json!({"type": "Point", "coordinates": [1]}), POSITION),
            (json!({"type": "Point", "coordinates": ["a", "2"]}), POSITION),
            (json!({"type": "Point", "coordinates": ["NaN", "inf"]}), POSITION),
            (json!({"type": "Point", "coordinates": ["", "-inf"]}), POSITION),
            (json!({"type": "Point", "coordinates": [null, 2]}), POSITION),
            (json!({"type": "Point", "coordinates": [1, 2, 3, 4]}), POSITION),
            (json!({"type": "LineString", "coordinates": [1, 2]}), POSITION),
            (
                json!({"type": "LineString", "coordinates": [[1, 2], [1, 2, 3]]}),
                "has positions of different lengths",
            ),
            (
                json!({"type": "LineString", "coordinates": [[1, 2]]}),
                "has a line or ring of fewer than 2 positions",
            ),
            (
                json!({"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [0, 0]]]}),
                "has a line or ring of fewer than 4 positions",
            ),
            (
                json!({"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [1, 1]]]}),
                "has a ring that is not closed",
            ),
            (
                json!({"type": "Polygon", "coordinates": []}),
                "must be a GeoJSON geometry: \"coordinates\" is empty",
            ),
            (
                json!({"type": "GeometryCollection", "geometries": []}),
                "must be a GeoJSON geometry: \"geometries\" is empty",
            ),
        ] {
            assert_eq!(ewkb(&json.to_string()).unwrap_err(), reason, "{json}");
        }
        assert_eq!(
            ewkb(r#"{"type":"Point","coordinates":[1e999,0]}"#).unwrap_err(),
            "has a coordinate out of range"
        );
    }
}

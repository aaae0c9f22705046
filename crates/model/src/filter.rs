//! Conditions on items, as a value.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A condition on an item of a collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// All hold; an empty list holds.
    And(Vec<Filter>),
    /// Any holds; an empty list holds (as the original: nothing was asked).
    Or(Vec<Filter>),
    /// A field compared with a value.
    Compare {
        /// Field of the collection.
        field: String,
        /// How.
        operator: Operator,
        /// With what: a scalar, an array for `_in`/`_nin`, a boolean for `_null`/`_nnull`, GeoJSON
        /// (an object) for `_intersects` and its like.
        value: Value,
    },
}

/// A comparison, by its name on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operator {
    /// Equal.
    #[serde(rename = "_eq")]
    Eq,
    /// Not equal.
    #[serde(rename = "_neq")]
    Neq,
    /// Less than.
    #[serde(rename = "_lt")]
    Lt,
    /// Less than or equal.
    #[serde(rename = "_lte")]
    Lte,
    /// Greater than.
    #[serde(rename = "_gt")]
    Gt,
    /// Greater than or equal.
    #[serde(rename = "_gte")]
    Gte,
    /// One of a list; the empty list is false.
    #[serde(rename = "_in")]
    In,
    /// None of a list; the empty list is true.
    #[serde(rename = "_nin")]
    Nin,
    /// Is null.
    #[serde(rename = "_null")]
    Null,
    /// Is not null.
    #[serde(rename = "_nnull")]
    Nnull,
    /// Text contains, case-sensitive, wildcards escaped.
    #[serde(rename = "_contains")]
    Contains,
    /// Has a point in common with a geometry.
    #[serde(rename = "_intersects")]
    Intersects,
    /// Has none.
    #[serde(rename = "_nintersects")]
    Nintersects,
    /// The boxes around both have a point in common.
    #[serde(rename = "_intersects_bbox")]
    IntersectsBox,
    /// They have none.
    #[serde(rename = "_nintersects_bbox")]
    NintersectsBox,
}

impl Operator {
    /// Every operator with its name on the wire.
    pub const ALL: [(&'static str, Self); 15] = [
        ("_eq", Self::Eq),
        ("_neq", Self::Neq),
        ("_lt", Self::Lt),
        ("_lte", Self::Lte),
        ("_gt", Self::Gt),
        ("_gte", Self::Gte),
        ("_in", Self::In),
        ("_nin", Self::Nin),
        ("_null", Self::Null),
        ("_nnull", Self::Nnull),
        ("_contains", Self::Contains),
        ("_intersects", Self::Intersects),
        ("_nintersects", Self::Nintersects),
        ("_intersects_bbox", Self::IntersectsBox),
        ("_nintersects_bbox", Self::NintersectsBox),
    ];

    /// The operator of a wire name (`_eq`).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(wire, _)| *wire == name).map(|(_, operator)| *operator)
    }

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, operator)| *operator == self).map_or("_eq", |(wire, _)| wire)
    }
}

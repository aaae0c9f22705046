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
        /// What of the field is compared; nothing means its value.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        function: Option<Function>,
        /// How.
        operator: Operator,
        /// With what: a scalar, an array for the operators of lists, a boolean for those that ask for presence.
        /// A text may be a dynamic variable (`$NOW`).
        value: Value,
    },
    /// A condition on items that a field refers to or that refer to it.
    Related {
        /// Relational field of the collection.
        field: String,
        /// Of a field that may refer to several collections: the one that is meant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
        /// Of several related items: which must fit.
        #[serde(default, skip_serializing_if = "Quantifier::is_any")]
        quantifier: Quantifier,
        /// The condition on the related item.
        filter: Box<Filter>,
    },
}

/// How many related items must fit a condition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantifier {
    /// At least one, as by an outer join: where there is none, its fields are null.
    #[default]
    Any,
    /// At least one (`_some`).
    Some,
    /// None (`_none`).
    None,
}

impl Quantifier {
    fn is_any(&self) -> bool {
        *self == Self::Any
    }
}

/// What of a field is meant instead of its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are Directus's own; parts of times are those of UTC")]
pub enum Function {
    Year,
    Month,
    Week,
    Day,
    Weekday,
    Hour,
    Minute,
    Second,
    /// How many related items, or entries of a list in json.
    Count,
    /// A value inside json, by its path.
    Json(String),
}

impl Function {
    /// Functions without arguments, by their names on the wire.
    pub const ALL: [(&'static str, Self); 9] = [
        ("year", Self::Year),
        ("month", Self::Month),
        ("week", Self::Week),
        ("day", Self::Day),
        ("weekday", Self::Weekday),
        ("hour", Self::Hour),
        ("minute", Self::Minute),
        ("second", Self::Second),
        ("count", Self::Count),
    ];

    /// The function of a wire name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(wire, _)| *wire == name).map(|(_, function)| function.clone())
    }

    /// Its name on the wire.
    pub fn as_str(&self) -> &'static str {
        Self::ALL.iter().find(|(_, function)| function == self).map_or("json", |(wire, _)| wire)
    }
}

macro_rules! operators {
    ($($(#[doc = $doc:literal])* $name:ident $wire:literal),+ $(,)?) => {
        /// A comparison, by its name on the wire.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Operator {
            $($(#[doc = $doc])* #[serde(rename = $wire)] $name,)+
        }

        impl Operator {
            /// Every operator with its name on the wire.
            pub const ALL: &[(&'static str, Self)] = &[$(($wire, Self::$name)),+];
        }
    };
}

operators! {
    /// Equal.
    Eq "_eq",
    /// Not equal.
    Neq "_neq",
    /// Equal, regardless of case. No type takes it.
    Ieq "_ieq",
    /// Not equal, regardless of case. No type takes it.
    Nieq "_nieq",
    /// Less than.
    Lt "_lt",
    /// Less than or equal.
    Lte "_lte",
    /// Greater than.
    Gt "_gt",
    /// Greater than or equal.
    Gte "_gte",
    /// One of a list; the empty list is false.
    In "_in",
    /// None of a list; the empty list is true.
    Nin "_nin",
    /// Within two bounds, both included.
    Between "_between",
    /// Outside of two bounds.
    Nbetween "_nbetween",
    /// Is null.
    Null "_null",
    /// Is not null.
    Nnull "_nnull",
    /// Is null or an empty text.
    Empty "_empty",
    /// Is neither null nor an empty text.
    Nempty "_nempty",
    /// Contains a text.
    Contains "_contains",
    /// Does not contain a text.
    Ncontains "_ncontains",
    /// Contains a text, regardless of case.
    Icontains "_icontains",
    /// Does not contain a text, regardless of case.
    Nicontains "_nicontains",
    /// Begins with a text.
    StartsWith "_starts_with",
    /// Does not begin with a text.
    NstartsWith "_nstarts_with",
    /// Begins with a text, regardless of case.
    IstartsWith "_istarts_with",
    /// Does not begin with a text, regardless of case.
    NistartsWith "_nistarts_with",
    /// Ends with a text.
    EndsWith "_ends_with",
    /// Does not end with a text.
    NendsWith "_nends_with",
    /// Ends with a text, regardless of case.
    IendsWith "_iends_with",
    /// Does not end with a text, regardless of case.
    NiendsWith "_niends_with",
    /// Shares a point with a geometry.
    Intersects "_intersects",
    /// Shares no point with a geometry.
    Nintersects "_nintersects",
    /// Its bounding box meets that of a geometry.
    IntersectsBbox "_intersects_bbox",
    /// Its bounding box does not meet that of a geometry.
    NintersectsBbox "_nintersects_bbox",
    /// Values inside json, by their paths.
    Json "_json",
    /// Was sent at all. Only rules that values are judged by take it.
    Submitted "_submitted",
    /// Matches a regular expression. Only rules that values are judged by take it.
    Regex "_regex",
}

impl Operator {
    /// The operator of a wire name (`_eq`).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(wire, _)| *wire == name).map(|(_, operator)| *operator)
    }

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, operator)| *operator == self).map_or("_eq", |(wire, _)| wire)
    }

    /// Its value is a list.
    pub fn takes_list(self) -> bool {
        matches!(self, Self::In | Self::Nin | Self::Between | Self::Nbetween)
    }

    /// Its value says yes or no.
    pub fn takes_flag(self) -> bool {
        matches!(self, Self::Null | Self::Nnull | Self::Empty | Self::Nempty)
    }

    /// Its value is an object.
    pub fn takes_object(self) -> bool {
        matches!(
            self,
            Self::Intersects | Self::Nintersects | Self::IntersectsBbox | Self::NintersectsBbox | Self::Json
        )
    }
}

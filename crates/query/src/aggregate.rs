//! `aggregate` and `groupBy`.

use model::Error;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::values::names;

/// A figure over many items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aggregate {
    /// How it is made.
    pub function: AggregateFunction,
    /// Of what; nothing for the items themselves (`*`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// How a figure is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are Directus's own")]
pub enum AggregateFunction {
    Count,
    CountDistinct,
    CountAll,
    Sum,
    SumDistinct,
    Avg,
    AvgDistinct,
    Min,
    Max,
}

impl AggregateFunction {
    /// Every function with its name on the wire.
    pub const ALL: [(&'static str, Self); 9] = [
        ("count", Self::Count),
        ("countDistinct", Self::CountDistinct),
        ("countAll", Self::CountAll),
        ("sum", Self::Sum),
        ("sumDistinct", Self::SumDistinct),
        ("avg", Self::Avg),
        ("avgDistinct", Self::AvgDistinct),
        ("min", Self::Min),
        ("max", Self::Max),
    ];

    /// The function of a wire name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(wire, _)| *wire == name).map(|(_, function)| *function)
    }

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, function)| *function == self).map_or("count", |(wire, _)| wire)
    }
}

/// The figures that an object asks for: `{"count": ["id"], "sum": "price,words"}`.
pub(crate) fn read(object: &Map<String, Value>) -> Result<Vec<Aggregate>, Error> {
    let mut figures = Vec::new();
    for (name, value) in object {
        let function = AggregateFunction::parse(name).ok_or_else(|| {
            Error::invalid_query(format!("\"{name}\" is not a supported aggregate function"))
        })?;
        // No name is no field that may be read: the planner's to say.
        let fields = match value {
            Value::String(text) if text.is_empty() => vec![String::new()],
            _ => names("aggregate", value)?,
        };
        for field in fields {
            let field = (field != "*").then_some(field);
            let figure = Aggregate { function, field };
            if !figures.contains(&figure) {
                figures.push(figure);
            }
        }
    }
    Ok(figures)
}

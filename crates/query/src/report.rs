//! Reports over a collection: a tree of its items, or figures over windows of them.
//!
//! What a report is asked for is a [`Query`] with a few parameters of its own; those of the language that mean nothing
//! in it are refused.

#[cfg(test)]
mod tests;

use model::Error;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::parameters::{integer, read, sort};
use crate::values::names;
use crate::{Path, Query, Sort, query_string};

/// Levels of a tree: when none are named, and at most.
const DEPTH: (i64, i64) = (10, 50);
/// Items of a tree: when none are named, and at most.
const NODES: (i64, i64) = (1_000, 10_000);
/// Items of a frame, steps back or forth, parts of a window.
const COUNT_LIMIT: u32 = 1_000;
/// Items of figures at most.
const ITEMS: i64 = 10_000;
/// Figures of one report.
const FIGURE_LIMIT: usize = 20;
/// Fields that make the windows, or order them.
const NAME_LIMIT: usize = 8;

/// What is reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// Items below those that they refer to.
    Tree(TreeReport),
    /// Items with figures over those around them.
    Window(WindowReport),
}

/// Items below those that they refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TreeReport {
    /// The field that holds the key of the item above.
    pub parent: String,
    /// Key of the one item that the tree begins with; nothing: all that refer to no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// Levels at most, the first included.
    pub depth: u32,
    /// Items at most.
    pub nodes: u32,
    /// How items are laid out.
    pub shape: Shape,
    /// Which items, and what of them.
    #[serde(default)]
    pub query: Query,
}

/// How the items of a tree are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Each within the one above it.
    Nested,
    /// One list; each after the one above it.
    Flat,
}

/// Items with figures over those around them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowReport {
    /// The figures.
    pub compute: Vec<Compute>,
    /// Fields whose equal values make a window; none: all items are one.
    #[serde(default)]
    pub partition: Vec<String>,
    /// Order within a window.
    pub order: Vec<Sort>,
    /// Which items, in which order, and what of them.
    #[serde(default)]
    pub query: Query,
}

/// One figure of each item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compute {
    /// How it is made.
    pub figure: Figure,
    /// Of which field; nothing for ranks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Items of the frame, steps back or forth, or parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

/// How a figure is made of the items of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it; docs/REPORTS.md has them all")]
pub enum Figure {
    RunningSum,
    RunningAvg,
    RunningMin,
    RunningMax,
    RunningCount,
    MovingSum,
    MovingAvg,
    MovingMin,
    MovingMax,
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    Ntile,
    Lag,
    Lead,
    Difference,
}

/// What stands within the brackets of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Field,
    FieldAndCount,
    FieldPerhapsCount,
    Count,
}

impl Figure {
    const ALL: [(&'static str, Self, Takes); 18] = [
        ("running_sum", Self::RunningSum, Takes::Field),
        ("running_avg", Self::RunningAvg, Takes::Field),
        ("running_min", Self::RunningMin, Takes::Field),
        ("running_max", Self::RunningMax, Takes::Field),
        ("running_count", Self::RunningCount, Takes::Nothing),
        ("moving_sum", Self::MovingSum, Takes::FieldAndCount),
        ("moving_avg", Self::MovingAvg, Takes::FieldAndCount),
        ("moving_min", Self::MovingMin, Takes::FieldAndCount),
        ("moving_max", Self::MovingMax, Takes::FieldAndCount),
        ("row_number", Self::RowNumber, Takes::Nothing),
        ("rank", Self::Rank, Takes::Nothing),
        ("dense_rank", Self::DenseRank, Takes::Nothing),
        ("percent_rank", Self::PercentRank, Takes::Nothing),
        ("cume_dist", Self::CumeDist, Takes::Nothing),
        ("ntile", Self::Ntile, Takes::Count),
        ("lag", Self::Lag, Takes::FieldPerhapsCount),
        ("lead", Self::Lead, Takes::FieldPerhapsCount),
        ("difference", Self::Difference, Takes::FieldPerhapsCount),
    ];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, figure, _)| *figure == self).map_or("rank", |(name, ..)| name)
    }
}

impl Compute {
    /// As an answer names it: `running_sum_amount`, `moving_avg_amount_7`, `rank`.
    pub fn name(&self) -> String {
        let count = self.count.map(|count| count.to_string());
        let parts = [Some(self.figure.as_str()), self.field.as_deref(), count.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join("_")
    }

    /// It has what its figure takes, no more and no less.
    fn check(&self) -> Result<(), Error> {
        let known = Figure::ALL.iter().find(|(_, figure, _)| *figure == self.figure);
        let takes = known.map_or(Takes::Nothing, |(.., takes)| *takes);
        let fits = match (self.field.is_some(), self.count.is_some()) {
            (true, true) => matches!(takes, Takes::FieldAndCount | Takes::FieldPerhapsCount),
            (true, false) => matches!(takes, Takes::Field | Takes::FieldPerhapsCount),
            (false, true) => takes == Takes::Count,
            (false, false) => takes == Takes::Nothing,
        };
        let name = self.figure.as_str();
        if !fits {
            return Err(Error::invalid_query(format!("\"{name}\" does not have what it takes")));
        }
        match self.count {
            Some(count) if !(1..=COUNT_LIMIT).contains(&count) => {
                Err(Error::invalid_query(format!("\"{name}\" takes a number from 1 to {COUNT_LIMIT}")))
            }
            _ => Ok(()),
        }
    }

    /// `running_sum(amount)`, `moving_avg(amount,7)`, `rank`.
    fn parse(text: &str) -> Result<Self, Error> {
        let refused = || Error::invalid_query(format!("\"{text}\" is not a figure of a window"));
        let (name, inner) = match text.split_once('(') {
            Some((name, rest)) => (name.trim(), rest.strip_suffix(')').ok_or_else(refused)?),
            None => (text, ""),
        };
        let known = Figure::ALL.iter().find(|(wire, ..)| *wire == name);
        let (_, figure, takes) = *known.ok_or_else(refused)?;
        let arguments: Vec<&str> = inner.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        // What is no number is none that it takes.
        let count = |text: &str| Some(text.parse::<u32>().unwrap_or_default());
        let (field, count) = match (takes, arguments.as_slice()) {
            (Takes::Nothing, []) => (None, None),
            (Takes::Field | Takes::FieldPerhapsCount, [field]) => (Some(*field), None),
            (Takes::FieldAndCount | Takes::FieldPerhapsCount, [field, number]) => {
                (Some(*field), count(number))
            }
            (Takes::Count, [number]) => (None, count(number)),
            _ => return Err(refused()),
        };
        let compute = Self { figure, field: field.map(str::to_owned), count };
        compute.check()?;
        Ok(compute)
    }
}

impl Report {
    /// The canonical JSON that travels between processes.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Maps have string keys and numbers come from JSON: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The inverse of [`Report::to_bytes`].
    ///
    /// # Errors
    /// `INVALID_QUERY` when the bytes are not a report, or one that goes beyond its bounds.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let report: Self =
            serde_json::from_slice(bytes).map_err(|_| Error::invalid_query("The report is malformed"))?;
        match &report {
            Self::Tree(tree) => {
                within("depth", i64::from(tree.depth), DEPTH)?;
                within("limit", i64::from(tree.nodes), NODES)?;
            }
            Self::Window(window) => window.check()?,
        }
        Ok(report)
    }

    /// Reads a tree from the query part of a URL (without `?`).
    ///
    /// # Errors
    /// `INVALID_QUERY` with a reason.
    pub fn tree(text: &str) -> Result<Self, Error> {
        let parameters = query_string::parse_with(text, &["parent", "root", "depth", "shape"])?;
        let query = of_items(&parameters, &["page", "offset", "meta"])?;
        let number = |name: &str, bounds: (i64, i64)| {
            let given = parameters.get(name).map(|value| integer(name, value, -1)).transpose()?;
            let given = given.map(|number| if number == -1 && name == "limit" { bounds.1 } else { number });
            within(name, given.unwrap_or(bounds.0), bounds)
        };
        let shape = match one(&parameters, "shape")?.as_deref() {
            None | Some("nested") => Shape::Nested,
            Some("flat") => Shape::Flat,
            Some(_) => return Err(Error::invalid_query("\"shape\" must be one of [nested, flat]")),
        };
        let parent = one(&parameters, "parent")?;
        Ok(Self::Tree(TreeReport {
            parent: parent.ok_or_else(|| Error::invalid_query("\"parent\" is required"))?,
            root: one(&parameters, "root")?,
            depth: number("depth", DEPTH)?,
            nodes: number("limit", NODES)?,
            shape,
            query: Query { limit: None, ..query },
        }))
    }

    /// Reads figures over windows from the query part of a URL (without `?`).
    ///
    /// # Errors
    /// `INVALID_QUERY` with a reason.
    pub fn window(text: &str) -> Result<Self, Error> {
        let parameters = query_string::parse_with(text, &["compute", "partition", "order"])?;
        let query = of_items(&parameters, &[])?;
        let get = |name: &str| parameters.get(name).filter(|value| value.as_str() != Some(""));
        let mut compute = Vec::new();
        for text in get("compute").map(|value| names("compute", value)).transpose()?.unwrap_or_default() {
            let figure = Compute::parse(&text)?;
            if !compute.contains(&figure) {
                compute.push(figure);
            }
        }
        let partition =
            get("partition").map(|value| names("partition", value)).transpose()?.unwrap_or_default();
        let order = get("order").map(|value| sort("order", value)).transpose()?.unwrap_or_default();
        let report = WindowReport { compute, partition, order, query };
        report.check()?;
        Ok(Self::Window(report))
    }
}

impl WindowReport {
    /// What can be said without the schema.
    fn check(&self) -> Result<(), Error> {
        for (name, count, most) in [
            ("compute", self.compute.len(), FIGURE_LIMIT),
            ("partition", self.partition.len(), NAME_LIMIT),
            ("order", self.order.len(), NAME_LIMIT),
        ] {
            if count == 0 && name != "partition" {
                return Err(Error::invalid_query(format!("\"{name}\" is required")));
            }
            if count > most {
                return Err(Error::invalid_query(format!("\"{name}\" has more than {most} entries")));
            }
        }
        if self.query.limit.is_some_and(|limit| !(0..=ITEMS).contains(&limit)) {
            return Err(Error::invalid_query(format!("\"limit\" must be a number from 0 to {ITEMS}")));
        }
        if self.query.meta.filter_count_estimate {
            return Err(Error::invalid_query("\"filter_count_estimate\" means nothing in this report"));
        }
        self.partition.iter().try_for_each(|name| Path::parse(name).map(|_| ()))?;
        self.compute.iter().try_for_each(Compute::check)
    }
}

/// A number between 1 and the greater of these.
fn within(name: &str, number: i64, (_, most): (i64, i64)) -> Result<u32, Error> {
    let fits = u32::try_from(number).ok().filter(|_| (1..=most).contains(&number));
    fits.ok_or_else(|| Error::invalid_query(format!("\"{name}\" must be a number from 1 to {most}")))
}

/// The query about the items, without what no report knows and without these.
fn of_items(parameters: &Map<String, Value>, refused: &[&str]) -> Result<Query, Error> {
    let strange = ["cursor", "as_of", "aggregate", "groupBy", "group", "export"];
    let asked = |name: &&&str| parameters.get(**name).is_some_and(|value| value.as_str() != Some(""));
    match strange.iter().chain(refused).find(asked) {
        Some(name) => Err(Error::invalid_query(format!("\"{name}\" means nothing in this report"))),
        None => read(parameters),
    }
}

/// A parameter that is one text.
fn one(parameters: &Map<String, Value>, name: &str) -> Result<Option<String>, Error> {
    match parameters.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok((!text.is_empty()).then(|| text.clone())),
        Some(_) => Err(Error::invalid_query(format!("\"{name}\" must be one text"))),
    }
}

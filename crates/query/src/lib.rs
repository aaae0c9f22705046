//! The items query language: its type and its parsers (query string and JSON).
//!
//! All roads end in one [`Query`]; what it can't express is refused with 400 `INVALID_QUERY`, never ignored.
//! A name is only a name here: whether a field exists and an operator suits its type is the planner's to say.

mod aggregate;
mod as_of;
pub mod budget;
mod export;
mod filter;
mod json;
mod judge;
mod parameters;
mod path;
mod query_string;
mod report;
mod rule;
mod selection;
mod values;

use std::collections::BTreeMap;

pub use aggregate::{Aggregate, AggregateFunction};
pub use as_of::AsOf;
pub use export::Export;
pub use json::parse as parse_json;
pub use judge::{Failure, Item, Judge, Pattern};
use model::{Error, Filter};
pub use path::{Path, Step, json_steps, result_name};
pub use report::{Compute, Figure, Report, Shape, TreeReport, WindowReport};
pub use rule::{fields_of, read_rule};
pub use selection::{Below, Selected, select};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Items that are answered as one document at most; more are streamed.
pub const LARGEST_DOCUMENT: i64 = 1_000;

/// What a reader wants to know of a collection. The default asks for everything the collection gives by itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Query {
    /// Fields of the answer in the order asked; `None` means `*`. When `*` stands beside other names the list
    /// keeps it. Names may be paths: see [`select`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<String>>,
    /// Which items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// A text to look for in every field that can be searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Order; empty means the collection's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sort: Vec<Sort>,
    /// How many at most: `None` means the default page, -1 all of them. Never below -1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// How many to skip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Page from 1, of `limit` items; 0 means the same as `None`. Meaningless with limit -1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u64>,
    /// Pages by place instead of by number: empty for the first, else what the page before gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Counts wanted beside the items.
    #[serde(skip_serializing_if = "Meta::is_empty")]
    pub meta: Meta,
    /// Figures over all items instead of the items; with `group` one row for each group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aggregate: Vec<Aggregate>,
    /// Fields whose equal values make a group; each may be a path with a function.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<String>,
    /// What is asked of related items, by the field that leads to them (`author`, `item:headings`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub deep: BTreeMap<String, Query>,
    /// Further names of fields: alias -> field.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub alias: BTreeMap<String, String>,
    /// The saved version of an item that is meant; `main` is the item itself. Lists don't ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// When; `None` means now. Only of a whole query: what it asks of related items is of the same moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<AsOf>,
    /// Of that version, what it keeps as it was sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub version_raw: bool,
    /// Wildcards don't go back through the relation they came by.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_backlink: bool,
}

/// One key of the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sort {
    /// Field, or a path with a function; with `aggregate` the name of a figure.
    pub field: String,
    /// Greatest first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub descending: bool,
}

/// Counts wanted beside the items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    /// Items of the collection that the caller may read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub total_count: bool,
    /// Those of them that fit the filter.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub filter_count: bool,
    /// About how many fit: what PostgreSQL expects, without counting.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub filter_count_estimate: bool,
}

impl Meta {
    /// Nothing is wanted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Query {
    /// Parses the query part of a URL (without `?`). Parameters that are not part of the language are ignored.
    ///
    /// # Errors
    /// `INVALID_QUERY` with a reason.
    pub fn from_query_string(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        parameters::read(&query_string::parse(text)?)
    }

    /// Reads the `query` object of a request body: the same parameters, as JSON.
    ///
    /// # Errors
    /// `INVALID_QUERY` with a reason.
    pub fn from_json(value: &Value) -> Result<Self, Error> {
        match value {
            Value::Object(parameters) => parameters::read(parameters),
            Value::Null => Ok(Self::default()),
            _ => Err(Error::invalid_query("\"query\" must be of type object")),
        }
    }

    /// As [`Query::from_json`], from text, keeping every digit of long numbers.
    ///
    /// # Errors
    /// `INVALID_QUERY` with a reason.
    pub fn from_json_text(text: &str) -> Result<Self, Error> {
        let value = json::parse(text).ok_or_else(|| Error::invalid_query("Invalid JSON for query object"))?;
        Self::from_json(&value)
    }

    /// The canonical JSON that travels between processes; the default query is no bytes at all.
    pub fn to_bytes(&self) -> Vec<u8> {
        if *self == Self::default() {
            return Vec::new();
        }
        // Maps have string keys and numbers come from JSON: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The inverse of [`Query::to_bytes`].
    ///
    /// # Errors
    /// `INVALID_QUERY` when the bytes are not a query, or one that costs too much.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let query: Self =
            serde_json::from_slice(bytes).map_err(|_| Error::invalid_query("The query is malformed"))?;
        // Who calls by himself may send what no parser of ours has seen.
        budget::Cost::of(&query).check()?;
        Ok(query)
    }
}

#[cfg(test)]
mod tests;

//! SQL text with its bindings, and the one builder that makes them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use uuid::Uuid;

/// Every name that a statement can have, for whoever keeps something per name.
pub const STATEMENT_NAMES: [&str; 17] = [
    "items.create",
    "items.update",
    "items.delete",
    "items.read",
    "items.page",
    "items.estimate",
    "items.figures",
    "items.counts",
    "items.stream",
    "items.read_one",
    "items.read_keys",
    "items.keys",
    "items.lock",
    "items.referring",
    "items.remove",
    "reports.tree",
    "reports.window",
];

/// One SQL statement with the values it is run with.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Name for spans and metrics, one of [`STATEMENT_NAMES`].
    pub name: &'static str,
    /// Text; holds no value of a client. Equal shapes give equal texts, so that prepared statements are found again.
    pub sql: String,
    /// Values of `$1`, `$2` ...
    pub bindings: Vec<Binding>,
}

/// A value of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Binding {
    /// `text`
    Text(Option<String>),
    /// `text[]`
    Texts(Vec<Option<String>>),
    /// `uuid`
    Uuid(Option<Uuid>),
    /// `uuid[]`
    Uuids(Vec<Uuid>),
    /// `boolean[]`
    Bools(Vec<bool>),
    /// `bigint`
    BigInt(i64),
    /// `smallint`
    SmallInt(i16),
    /// `boolean`
    Bool(bool),
}

/// Grows a statement.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    pub(crate) sql: String,
    bindings: Vec<Binding>,
    aliases: u32,
    /// Conditions of rules that stand in the statement already, by the alias and the filters they are of.
    pub(crate) rules: BTreeMap<(String, Vec<usize>), String>,
}

impl Builder {
    /// Appends text that we wrote.
    pub(crate) fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// A name for one more table: `t1`, `t2` ...
    pub(crate) fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("t{}", self.aliases)
    }

    /// Takes a value and gives its placeholder.
    pub(crate) fn bind(&mut self, binding: Binding) -> String {
        self.bindings.push(binding);
        format!("${}", self.bindings.len())
    }

    /// Takes a value and appends its placeholder.
    pub(crate) fn push_bind(&mut self, binding: Binding) -> &mut Self {
        self.bindings.push(binding);
        let number = self.bindings.len();
        // Writing to a String cannot fail.
        let _ = write!(self.sql, "${number}");
        self
    }

    /// The finished statement.
    pub(crate) fn finish(self, name: &'static str) -> Statement {
        debug_assert!(STATEMENT_NAMES.contains(&name), "{name} is not listed");
        Statement { name, sql: self.sql, bindings: self.bindings }
    }
}

//! SQL text with its bindings, and the one builder that makes them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use uuid::Uuid;

/// Every name that a statement can have, for whoever keeps something per name.
pub const STATEMENT_NAMES: [&str; 32] = [
    "permissions.reached",
    "items.agreeing",
    "items.create",
    "items.update",
    "items.delete",
    "items.create_nested",
    "items.update_nested",
    "items.present",
    "items.children",
    "events.append",
    "events.told",
    "items.read",
    "items.page",
    "items.estimate",
    "items.figures",
    "items.counts",
    "items.stream",
    "items.read_one",
    "items.read_keys",
    "items.keys",
    "items.hashes",
    "items.lock",
    "items.order",
    "items.places",
    "items.held",
    "items.referring",
    "items.remove",
    "items.versions",
    "items.explain",
    "items.history",
    "reports.tree",
    "reports.window",
];

/// One SQL statement with the values it is run with.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Name for spans and metrics, one of [`STATEMENT_NAMES`].
    pub name: &'static str,
    /// Text; holds no value of a client. Equal shapes give equal texts, so that prepared statements are found again.
    pub sql: Arc<str>,
    /// Values of `$1`, `$2` ...
    pub bindings: Vec<Binding>,
    /// What text and bindings depend on beside query, schema and access.
    pub uses: Uses,
    /// A write that keeps its own answer under a key.
    pub keeps_answer: bool,
}

/// Dynamic variables that a statement was made with. Who keeps a statement for later must look at them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uses {
    /// The time.
    pub now: bool,
    /// Who asks: user, role, roles or policies.
    pub caller: bool,
}

impl Statement {
    /// How PostgreSQL would run it, as JSON in its one column; with `analyze` it is run, and what it took is told.
    #[must_use]
    pub fn explained(&self, analyze: bool) -> Self {
        let more = if analyze { ", ANALYZE, BUFFERS" } else { "" };
        let sql = format!("EXPLAIN (FORMAT JSON{more}) {}", self.sql).into();
        Self {
            name: "items.explain",
            sql,
            bindings: self.bindings.clone(),
            uses: self.uses,
            keeps_answer: false,
        }
    }
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

impl Binding {
    /// Its type, as PostgreSQL calls it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Texts(_) => "text[]",
            Self::Uuid(_) => "uuid",
            Self::Uuids(_) => "uuid[]",
            Self::Bools(_) => "boolean[]",
            Self::BigInt(_) => "bigint",
            Self::SmallInt(_) => "smallint",
            Self::Bool(_) => "boolean",
        }
    }

    /// About how many bytes its value takes in memory.
    pub fn weight(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let own = match self {
            Self::Text(value) => text(value),
            Self::Texts(values) => values.iter().map(|value| size_of::<Option<String>>() + text(value)).sum(),
            Self::Uuids(values) => size_of_val(values.as_slice()),
            Self::Bools(values) => values.len(),
            Self::Uuid(_) | Self::BigInt(_) | Self::SmallInt(_) | Self::Bool(_) => 0,
        };
        size_of::<Self>() + own
    }
}

/// Grows a statement.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    pub(crate) sql: String,
    bindings: Vec<Binding>,
    aliases: u32,
    pub(crate) uses: Uses,
    pub(crate) keeps_answer: bool,
    /// Conditions of rules that stand in the statement already, by the alias, whose rules they are, and the rules.
    pub(crate) rules: BTreeMap<(String, Option<Uuid>, Vec<usize>), String>,
    /// Rules within rules, here.
    pub(crate) within_rules: usize,
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

    /// How many values it has.
    pub(crate) fn bound(&self) -> usize {
        self.bindings.len()
    }

    /// Forgets the bindings behind the first so many: the text that they were for is not used.
    pub(crate) fn forget(&mut self, bound: usize) {
        self.bindings.truncate(bound);
        self.rules.clear();
    }

    /// The finished statement.
    pub(crate) fn finish(self, name: &'static str) -> Statement {
        debug_assert!(STATEMENT_NAMES.contains(&name), "{name} is not listed");
        let Self { sql, bindings, uses, keeps_answer, .. } = self;
        Statement { name, sql: sql.into(), bindings, uses, keeps_answer }
    }
}

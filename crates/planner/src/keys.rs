//! The keys that a statement is about. One key is a value and several are a list: PostgreSQL keeps the plan for one value,
//! and plans a list of unknown length anew each time, which takes longer than to follow the plan.

use model::Field;

use crate::column::sql_type;
use crate::statement::{Binding, Builder};

/// Keys that are bound to a statement.
#[derive(Debug)]
pub(crate) struct Keys {
    /// The key, or the list of keys, as typed SQL.
    typed: String,
    one: bool,
}

impl Keys {
    /// Binds keys that fit the type of `field`.
    pub(crate) fn bind(keys: &[String], field: &Field, b: &mut Builder) -> Self {
        let kind = sql_type(field);
        match keys {
            [one] => {
                let place = b.bind(Binding::Text(Some(one.clone())));
                Self { typed: format!("{place}::text::{kind}"), one: true }
            }
            several => {
                let place = b.bind(Binding::Texts(several.iter().cloned().map(Some).collect()));
                Self { typed: format!("{place}::text[]::{kind}[]"), one: false }
            }
        }
    }

    /// The condition that a column holds one of them.
    pub(crate) fn hold(&self, column: &str) -> String {
        if self.one {
            format!("{column} = {}", self.typed)
        } else {
            format!("{column} = ANY({})", self.typed)
        }
    }

    /// Rows of the keys in their order, beside what is one per key: `key`, the names of `beside`, and `ord` from 1.
    pub(crate) fn rows(&self, beside: Vec<(String, Beside)>, b: &mut Builder) -> String {
        if self.one {
            let column = |(name, values): (String, Beside)| format!("{} AS {name}, ", values.first(b));
            let beside: String = beside.into_iter().map(column).collect();
            return format!("SELECT {} AS key, {beside}1::bigint AS ord", self.typed);
        }
        let (mut arrays, mut names) = (vec![self.typed.clone()], vec!["key".to_owned()]);
        for (name, values) in beside {
            arrays.push(values.all(b));
            names.push(name);
        }
        format!(
            "SELECT u.* FROM unnest({}) WITH ORDINALITY AS u({}, ord)",
            arrays.join(", "),
            names.join(", ")
        )
    }
}

/// Values that are one per key.
#[derive(Debug)]
pub(crate) enum Beside {
    Ids(Vec<uuid::Uuid>),
    Texts(Vec<Option<String>>),
}

impl Beside {
    fn first(self, b: &mut Builder) -> String {
        match self {
            Self::Ids(ids) => format!("{}::uuid", b.bind(Binding::Uuid(ids.first().copied()))),
            Self::Texts(texts) => {
                format!("{}::text", b.bind(Binding::Text(texts.into_iter().next().flatten())))
            }
        }
    }

    fn all(self, b: &mut Builder) -> String {
        match self {
            Self::Ids(ids) => format!("{}::uuid[]", b.bind(Binding::Uuids(ids))),
            Self::Texts(texts) => format!("{}::text[]", b.bind(Binding::Texts(texts))),
        }
    }
}

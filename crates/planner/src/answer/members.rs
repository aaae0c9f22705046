//! The members of an answer: columns of one object, and how they are written.

use model::{Field, Function, Link, quote_identifier};
use query::{Below, Selected};

use crate::column::ItemJson;
use crate::search::EXCERPT;
use crate::statement::{Binding, Builder};

/// A column of an answer.
pub(super) struct Column<'a> {
    pub(super) name: String,
    pub(super) field: &'a Field,
    pub(super) function: Option<Function>,
    /// What is wanted of the items it leads to; empty for the bare value.
    pub(super) below: Vec<Below>,
    /// A wildcard named it: what is out of reach is left out instead of refused.
    pub(super) wild: bool,
    /// It goes by a name of the client's.
    pub(super) aliased: bool,
}

impl Column<'_> {
    /// It shows other items, or their keys, and no value of this one.
    fn leads_on(&self) -> bool {
        let listed = self.function.is_none() && matches!(self.field.link, Some(Link::Many { .. }));
        listed || !self.below.is_empty()
    }

    /// The name holds what the client wrote.
    fn is_chosen(&self) -> bool {
        self.aliased || matches!(self.function, Some(Function::Json(_)))
    }

    /// Where it stands among the members of an item, as in the original: what the item itself has comes first, then
    /// what it leads to, then what goes by another name.
    pub(super) fn rank(&self) -> u8 {
        match (self.leads_on(), self.aliased) {
            (false, false) => 0,
            (true, _) => 1,
            (false, true) => 2,
        }
    }

    /// The fields that are wanted, of items of this collection.
    pub(super) fn fields(&self, scope: Option<&str>) -> Vec<Selected> {
        let fits = |below: &&Below| below.scope.is_none() || below.scope.as_deref() == scope;
        self.below.iter().filter(fits).flat_map(|below| below.fields.clone()).collect()
    }
}

/// A JSON object of these columns. Names of the schema stand in the statement, names of the client never.
pub(super) fn members(
    columns: &[Column<'_>],
    values: &[String],
    excerpt: Option<String>,
    b: &mut Builder,
) -> ItemJson {
    let names = columns.iter().map(|column| column.name.as_str());
    let own = names.zip(values.iter().map(String::as_str));
    let named: Vec<(&str, &str)> = own.chain(excerpt.as_deref().map(|value| (EXCERPT, value))).collect();
    if named.is_empty() {
        return ItemJson::Expression("'{}'::json".to_owned());
    }
    if columns.iter().all(|column| !column.is_chosen()) {
        let parts = named.iter().map(|(name, value)| format!("{value} AS {}", quote_identifier(name)));
        return ItemJson::Columns(parts.collect::<Vec<_>>().join(", "));
    }
    let mut text = String::new();
    for (at, (name, value)) in named.into_iter().enumerate() {
        let before = if at == 0 { '{' } else { ',' };
        let name = format!("{before}{}:", serde_json::Value::from(name));
        let name = b.bind(Binding::Text(Some(name)));
        text.push_str(&format!("{name}::text || coalesce(to_json({value})::text, 'null') || "));
    }
    ItemJson::Expression(format!("({text}'}}')::json"))
}

/// A column once more: wishes for what it leads to add up.
pub(super) fn put<'c>(columns: &mut Vec<Column<'c>>, column: Column<'c>) {
    let Some(known) = columns.iter_mut().find(|known| known.name == column.name) else {
        columns.push(column);
        return;
    };
    known.wild &= column.wild;
    if !known.leads_on() && column.leads_on() {
        // It becomes what the item leads to, in the place where it is so named.
        let at = columns.iter().position(|known| known.name == column.name).unwrap_or_default();
        let known = columns.remove(at);
        columns.push(Column { wild: known.wild, ..column });
        return;
    }
    for below in column.below {
        match known.below.iter_mut().find(|other| other.scope == below.scope) {
            Some(other) => other.fields.extend(below.fields),
            None => known.below.push(below),
        }
    }
}

//! Which columns an answered item has: names, wildcards, functions, aliases.

use access::Action;
use model::{Collection, Error, Field, Link};
use query::{Path, Selected, result_name};

use super::members::{Column, put};
use super::{Answers, Wish};
use crate::shape::readable_field;

/// The field that led here, by its collection.
pub(super) type Way<'w> = Option<(&'w str, &'w str)>;

impl Answers<'_> {
    /// The columns of an answer in their order on the wire; wildcards are spelled out.
    pub(super) fn columns<'c>(
        &self,
        wish: Wish<'_>,
        collection: &'c Collection,
        way: Way<'_>,
    ) -> Result<Vec<Column<'c>>, Error> {
        let mut columns: Vec<Column<'c>> = Vec::new();
        for selected in wish.fields {
            if selected.name == "*" {
                self.all(selected, wish, collection, way, &mut columns);
                continue;
            }
            if !wish.is_excerpt(selected, collection) && !self.leads_nowhere(selected, wish, collection) {
                put(&mut columns, self.column(selected, wish, collection)?);
            }
        }
        columns.sort_by_key(Column::rank);
        Ok(columns)
    }

    /// What is named lies beyond a field of which the reader may not see the other side, or that has none: he gets the rest
    /// of what he asked for. Administrators are told that there is none; of a field that he may not see at all he is told what he is
    /// told of one that is not there.
    fn leads_nowhere(&self, selected: &Selected, wish: Wish<'_>, collection: &Collection) -> bool {
        if selected.below.is_empty() || self.reader.access.is_admin() {
            return false;
        }
        let name = wish.alias.get(&selected.name).unwrap_or(&selected.name);
        let unseen = |related: &String| self.reader.related(related).is_err();
        let field = collection.field(name);
        let shown =
            |field: &&Field| self.reader.access.allows_field(&collection.name, &field.name, Action::Read);
        let Some(field) = field.filter(shown) else { return false };
        match &field.link {
            Some(Link::One { collection } | Link::Many { collection, .. }) => unseen(collection),
            Some(Link::Any { allowed, .. }) => allowed.iter().all(unseen),
            None => true,
        }
    }

    /// A field that is named, or what an alias stands for.
    fn column<'c>(
        &self,
        selected: &Selected,
        wish: Wish<'_>,
        collection: &'c Collection,
    ) -> Result<Column<'c>, Error> {
        let below = selected.below.clone();
        let alias = wish.alias.get(&selected.name).filter(|_| selected.function.is_none());
        let (field, function, name) = match (alias, &selected.function) {
            (Some(alias), _) => {
                let path = Path::parse(alias).ok().filter(|path| path.steps.is_empty());
                let path = path.ok_or_else(|| Error::forbidden_field(&collection.name, alias))?;
                (path.last.name, path.function, selected.name.clone())
            }
            (None, Some(function)) => {
                (selected.name.clone(), Some(function.clone()), result_name(&selected.name, function))
            }
            (None, None) => (selected.name.clone(), None, selected.name.clone()),
        };
        let field = readable_field(&field, collection, self.reader.access)?;
        Ok(Column { name, field, function, below, wild: false, aliased: alias.is_some() })
    }

    /// What a wildcard stands for.
    fn all<'c>(
        &self,
        star: &Selected,
        wish: Wish<'_>,
        collection: &'c Collection,
        way: Way<'_>,
        columns: &mut Vec<Column<'c>>,
    ) {
        for field in &collection.fields {
            if !self.reader.access.allows_field(&collection.name, &field.name, Action::Read) {
                continue;
            }
            let back = wish.no_backlink && leads_back(field, collection, way);
            let below = if field.link.is_some() && !back { star.below.clone() } else { Vec::new() };
            let name = field.name.clone();
            put(columns, Column { name, field, function: None, below, wild: true, aliased: false });
        }
    }

    /// The items that a field shows may be seen.
    pub(super) fn is_within_reach(&self, field: &Field) -> bool {
        match &field.link {
            Some(Link::Many { collection, .. }) => self.reader.related(collection).is_ok(),
            _ => true,
        }
    }
}

/// The relation is the one by which the items were reached, seen from its other side.
fn leads_back(field: &Field, collection: &Collection, way: Way<'_>) -> bool {
    let Some((from, by)) = way else { return false };
    match &field.link {
        // Reached by `from.by`, a reference: back go those who refer by it.
        Some(Link::Many { collection, field, .. }) => collection == from && field == by,
        // Reached as those who refer by `from.by`, which is this field.
        Some(Link::One { .. }) => collection.name == from && field.name == by,
        _ => false,
    }
}

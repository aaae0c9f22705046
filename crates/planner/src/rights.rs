//! What access comes to in SQL: conditions on items, and masks of fields that are seen of some items only.

use access::{Access, Action, Reach};
use model::{Collection, Error, Field, Filter, quote_identifier};

use crate::condition::{Conditions, Whose};
use crate::limits::Limits;
use crate::reader::Reader;
use crate::shown::Shown;
use crate::statement::Builder;

/// Rules are read with every right.
static EVERYTHING: Access = Access::admin();

impl Reader<'_> {
    /// The condition under which he may do this to an item read as `source`; nothing where he may to every one.
    pub(crate) fn reach(
        &self,
        collection: &Collection,
        action: Action,
        source: &str,
        b: &mut Builder,
    ) -> Option<String> {
        match self.access.items(&collection.name, action) {
            Reach::All => None,
            Reach::Fitting(filters) => Some(self.any(&filters, collection, (source, Some(self.access)), b)),
        }
    }

    /// Of items of which only these fields are shown he sees fewer.
    pub(crate) fn sees_less(&self, collection: &Collection, shown: &Shown) -> bool {
        let (name, access) = (&collection.name, self.access);
        shown.as_ref().is_some_and(|names| {
            access.items_with_any(name, names, Action::Read) != access.items(name, Action::Read)
        })
    }

    /// The condition under which he sees an item of which these fields are shown; nothing where he sees every one.
    pub(crate) fn reach_shown(
        &self,
        collection: &Collection,
        shown: &Shown,
        source: &str,
        b: &mut Builder,
    ) -> Option<String> {
        let reach = match shown {
            Some(names) => self.access.items_with_any(&collection.name, names, Action::Read),
            None => self.access.items(&collection.name, Action::Read),
        };
        match reach {
            Reach::All => None,
            Reach::Fitting(filters) => Some(self.any(&filters, collection, (source, Some(self.access)), b)),
        }
    }

    /// The condition under which he may do this with the field of an item that he may do it to; nothing where he
    /// always may.
    pub(crate) fn reach_with(
        &self,
        field: &str,
        collection: &Collection,
        action: Action,
        source: &str,
        b: &mut Builder,
    ) -> Option<String> {
        match self.access.items_with(&collection.name, field, action) {
            Reach::All => None,
            Reach::Fitting(filters) => Some(self.any(&filters, collection, (source, Some(self.access)), b)),
        }
    }

    /// The condition under which the owner of a rule sees an item that the rule counts. What he sees of others counts no
    /// further: two rules may look at each other.
    pub(crate) fn reach_of_owner(
        &self,
        collection: &Collection,
        source: &str,
        b: &mut Builder,
    ) -> Option<String> {
        match self.access.items(&collection.name, Action::Read) {
            Reach::All => None,
            Reach::Fitting(filters) => Some(self.any(&filters, collection, (source, None), b)),
        }
    }

    /// What is made of a field, of items that are read: null where he may not see the field.
    pub(crate) fn masked(
        &self,
        field: &Field,
        collection: &Collection,
        source: &str,
        sql: String,
        b: &mut Builder,
    ) -> String {
        match self.reach_with(&field.name, collection, Action::Read, source, b) {
            Some(condition) => format!("CASE WHEN {condition} THEN {sql} END"),
            None => sql,
        }
    }

    /// A field's column: null where he may not see the field. Wherever a query names a field, this stands.
    pub(crate) fn column(
        &self,
        field: &Field,
        collection: &Collection,
        source: &str,
        b: &mut Builder,
    ) -> String {
        let column = format!("{source}.{}", quote_identifier(&field.name));
        match self.reach_with(&field.name, collection, Action::Read, source, b) {
            Some(condition) => format!("(CASE WHEN {condition} THEN {column} END)"),
            None => column,
        }
    }

    /// One of these filters of rules fits. A statement has each text once, with its bindings.
    /// `owner` is he whose rules they are, as far as what he sees counts in them.
    fn any(
        &self,
        filters: &[&Filter],
        collection: &Collection,
        (source, owner): (&str, Option<&Access>),
        b: &mut Builder,
    ) -> String {
        let rules: Vec<usize> = filters.iter().map(|filter| std::ptr::from_ref(*filter).addr()).collect();
        let known = (source.to_owned(), rules);
        if let Some(condition) = b.rules.get(&known) {
            return condition.clone();
        }
        // The limits are about what callers ask for.
        let reader = Reader { access: &EVERYTHING, limits: Limits::default(), ..*self };
        let conditions = Conditions {
            reader,
            collection,
            source,
            depth: 0,
            whose: Whose::Rule,
            owner,
            alternative: filters.len() > 1,
        };
        let one = |filter: &&Filter| match conditions.write(filter, b) {
            Ok(condition) => condition,
            // A rule about what is no longer there reaches nothing.
            Err(_) => "false".to_owned(),
        };
        let all: Vec<String> = filters.iter().map(one).collect();
        let condition = match all.as_slice() {
            [] => "false".to_owned(),
            [one] => one.clone(),
            several => format!("({})", several.join(" OR ")),
        };
        b.rules.insert(known, condition.clone());
        condition
    }
}

/// ` AND <condition>` for each of them.
pub(crate) fn and(conditions: impl IntoIterator<Item = String>) -> String {
    conditions.into_iter().map(|condition| format!(" AND {condition}")).collect()
}

/// The collection may be touched so at all.
pub(crate) fn check_collection(
    collection: &Collection,
    access: &Access,
    action: Action,
) -> Result<(), Error> {
    if access.allows(&collection.name, action) {
        Ok(())
    } else {
        Err(Error::forbidden_collection(&collection.name))
    }
}

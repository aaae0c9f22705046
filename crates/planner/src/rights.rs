//! What access comes to in SQL: conditions on items, and masks of fields that are seen of some items only.

use access::{Access, Action, Reach, Which};
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
            Reach::Fitting(filters) => Some(self.any(&filters, collection, source, b)),
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
            Reach::Fitting(filters) => Some(self.any(&filters, collection, source, b)),
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
            Reach::Fitting(filters) => Some(self.any(&filters, collection, source, b)),
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

    /// One of these rules fits. A statement has each text once, with its bindings.
    fn any(&self, rules: &[&Which], collection: &Collection, source: &str, b: &mut Builder) -> String {
        let place = Place { collection, source, alternative: rules.len() > 1 };
        let identities = rules.iter().map(|rule| std::ptr::from_ref(*rule).addr()).collect();
        // Two who hold the same rules may be asked in one statement.
        let known = (source.to_owned(), self.variables.user, identities);
        if let Some(condition) = b.rules.get(&known) {
            return condition.clone();
        }
        let one = |rule: &&Which| {
            let bound = b.bound();
            let condition = match rule {
                Which::Fitting(filter) => self.rule(filter, place, b),
                Which::Shared(shared) => self.shown_by(shared, place, b),
            };
            condition.unwrap_or_else(|_| {
                // A rule about what is no longer there reaches nothing.
                b.forget(bound);
                "false".to_owned()
            })
        };
        let all: Vec<String> = rules.iter().map(one).collect();
        let condition = match all.as_slice() {
            [] => "false".to_owned(),
            [one] => one.clone(),
            several => format!("({})", several.join(" OR ")),
        };
        b.rules.insert(known, condition.clone());
        condition
    }

    /// The condition of a rule's filter.
    pub(crate) fn rule(&self, filter: &Filter, place: Place<'_>, b: &mut Builder) -> Result<String, Error> {
        let Place { collection, source, alternative } = place;
        let conditions = Conditions {
            // The limits are about what callers ask for.
            reader: Reader { access: &EVERYTHING, limits: Limits::default(), ..*self },
            collection,
            source,
            depth: 0,
            whose: Whose::Rule,
            // Two rules may look at each other: what the owner sees of others counts no further.
            owner: Some(self.access).filter(|_| b.within_rules == 0),
            alternative,
        };
        b.within_rules += 1;
        let written = conditions.write(filter, b);
        b.within_rules -= 1;
        written
    }
}

/// Items that a rule is asked about.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) collection: &'a Collection,
    /// What they are read as.
    pub(crate) source: &'a str,
    /// The rule is one of several of which any will do.
    pub(crate) alternative: bool,
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

//! A filter -> SQL over one collection and those it leads to.

mod compare;
mod constant;
mod fits;
mod json;
mod like;
mod nothing;

use access::{Access, Action};
use model::{Collection, Error, Field, Filter, Link, Operator, Quantifier, quote_identifier};
use serde_json::Value;

use crate::limits::Limits;
use crate::link::{target_key, to_any};
use crate::read::{key_field, table};
use crate::reader::Reader;
use crate::rights::and;
use crate::shape::readable_field;
use crate::statement::{Binding, Builder};

pub(crate) use like::escape_like;

/// Writes filters over one collection whose items are read from `source`.
#[derive(Clone, Copy)]
pub(crate) struct Conditions<'a> {
    pub(crate) reader: Reader<'a>,
    pub(crate) collection: &'a Collection,
    pub(crate) source: &'a str,
    /// Relations on the way here.
    pub(crate) depth: usize,
    /// Whose filter it is.
    pub(crate) whose: Whose,
    /// Of a rule: what he may see whose rule it is, as far as it counts.
    pub(crate) owner: Option<&'a Access>,
    /// It is one of several of which any will do.
    pub(crate) alternative: bool,
}

/// Whose filter it is, which says what a variable means that stands for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// A client's: it is null, as in the original.
    Client,
    /// A rule's: the comparison does not hold.
    Rule,
    /// A rule's, where it says which items there must not be: the comparison holds, so that the rule does not.
    RuleAgainst,
}

impl Whose {
    /// The same within "none of them".
    fn against(self) -> Self {
        match self {
            Self::Client => Self::Client,
            Self::Rule => Self::RuleAgainst,
            Self::RuleAgainst => Self::Rule,
        }
    }

    /// A comparison with nothing, as SQL; nothing where null is compared with.
    fn unresolved(self) -> Option<&'static str> {
        match self {
            Self::Client => None,
            Self::Rule => Some("false"),
            Self::RuleAgainst => Some("true"),
        }
    }
}

/// What items read as `t` must fit for this to be done to them, each condition after ` AND `.
pub(crate) fn still_fits(
    filter: Option<&Filter>,
    (collection, action): (&Collection, Action),
    reader: Reader<'_>,
    builder: &mut Builder,
) -> Result<String, Error> {
    let conditions = Conditions {
        reader,
        collection,
        source: "t",
        depth: 0,
        whose: Whose::Client,
        owner: None,
        alternative: false,
    };
    let asked = filter.map(|filter| conditions.write(filter, builder)).transpose()?;
    Ok(and(asked) + &and(reader.reach(collection, action, "t", builder)))
}

impl Conditions<'_> {
    /// The SQL condition of a filter.
    pub(crate) fn write(&self, filter: &Filter, b: &mut Builder) -> Result<String, Error> {
        match filter {
            Filter::And(parts) => self.combine(&together(parts), " AND ", b),
            Filter::Or(parts) => {
                let alternative = self.alternative || parts.len() > 1;
                Conditions { alternative, ..*self }.combine(parts, " OR ", b)
            }
            Filter::Compare { field: name, function, operator, value } => {
                let field = readable_field(name, self.collection, self.reader.access)?;
                match (&field.link, function) {
                    (Some(Link::Many { .. }), None) => self.presence(field, *operator, value, b),
                    _ => self.compare(field, function.as_ref(), *operator, value, b),
                }
            }
            Filter::Related { field: name, scope, quantifier, filter } => {
                let field = readable_field(name, self.collection, self.reader.access)?;
                self.related(field, scope.as_deref(), *quantifier, filter, b)
            }
        }
    }

    fn combine(&self, parts: &[Filter], glue: &str, b: &mut Builder) -> Result<String, Error> {
        if parts.is_empty() {
            return Ok("true".to_owned());
        }
        let parts: Result<Vec<String>, Error> = parts.iter().map(|part| self.write(part, b)).collect();
        Ok(format!("({})", parts?.join(glue)))
    }

    /// A condition on the alias of those who refer: whether there are any, or whether one has this key.
    fn presence(
        &self,
        field: &Field,
        operator: Operator,
        value: &Value,
        b: &mut Builder,
    ) -> Result<String, Error> {
        let Some(Link::Many { collection, .. }) = &field.link else { return Err(Error::internal()) };
        let many = self.reader.related(collection)?;
        let function = None;
        let key =
            Filter::Compare { field: many.primary_key.clone(), function, operator, value: value.clone() };
        self.related(field, None, Quantifier::Any, &key, b)
    }

    fn related(
        &self,
        field: &Field,
        scope: Option<&str>,
        quantifier: Quantifier,
        filter: &Filter,
        b: &mut Builder,
    ) -> Result<String, Error> {
        let held = self.reader.column(field, self.collection, self.source, b);
        match &field.link {
            Some(Link::Many { collection, field: by, .. }) => {
                let many = self.reader.related(collection)?;
                let alias = b.alias();
                let key = target_key(self.collection, self.source);
                let seen = self.reader.reach_with(&field.name, self.collection, Action::Read, self.source, b);
                let own = format!("{alias}.{} = {key}{}", quote_identifier(by), and(seen));
                self.exists(many, &alias, &own, quantifier, filter, b)
            }
            Some(_) if quantifier != Quantifier::Any => Err(Error::invalid_query(format!(
                "\"_some\" and \"_none\" can only be used on fields that hold several items, not on \"{}\"",
                field.name
            ))),
            Some(Link::One { collection }) => {
                let one = self.reader.related(collection)?;
                let alias = b.alias();
                let own = format!("{} = {held}", target_key(one, &alias));
                self.exists(one, &alias, &own, quantifier, filter, b)
            }
            Some(Link::Any { collection_field, allowed }) => {
                let Some(scope) = scope else { return Err(self.no_field(first_name(filter))) };
                let one = self.reader.related(scope)?;
                if !allowed.iter().any(|name| name == scope) {
                    return Ok("false".to_owned());
                }
                let alias = b.alias();
                let which = b.bind(Binding::Text(Some(scope.to_owned())));
                let own = format!(
                    "{} = {} AND {}.{} = {which}::text",
                    target_key(one, &alias),
                    to_any(key_field(one)?, &held),
                    self.source,
                    quote_identifier(collection_field)
                );
                self.exists(one, &alias, &own, quantifier, filter, b)
            }
            None => Err(self.no_field(first_name(filter))),
        }
    }

    /// The field leads nowhere, so what is named below it is no field that may be read.
    fn no_field(&self, name: &str) -> Error {
        Error::forbidden_field(&self.collection.name, name)
    }

    /// Who looks at the related items. A rule by which some of them must fit looks with its owner's eyes, as in the
    /// original; one by which none may fit, or that looks at the fields of a related item, with everybody's.
    fn looks(&self, quantifier: Quantifier) -> Self {
        match self.owner.filter(|_| quantifier == Quantifier::Some && self.whose == Whose::Rule) {
            Some(access) => Self { reader: Reader { access, ..self.reader }, owner: None, ..*self },
            None => *self,
        }
    }

    fn exists(
        &self,
        related: &Collection,
        alias: &str,
        own: &str,
        quantifier: Quantifier,
        filter: &Filter,
        b: &mut Builder,
    ) -> Result<String, Error> {
        self.reader.limits.check_depth(self.depth + 2)?;
        let whose = if quantifier == Quantifier::None { self.whose.against() } else { self.whose };
        let looks = self.looks(quantifier);
        let below = Conditions { collection: related, source: alias, depth: self.depth + 1, whose, ..looks };
        let condition = below.write(filter, b)?;
        let own = format!("{own}{}", and(looks.reader.reach(related, Action::Read, alias, b)));
        let table = table(related);
        // A wall: of rules that are alternatives PostgreSQL would make tables of all related items beforehand, for the
        // few items of a page.
        let wall = if self.whose != Whose::Client && self.alternative { " OFFSET 0" } else { "" };
        let found = format!("EXISTS (SELECT FROM {table} {alias} WHERE {own} AND {condition}{wall})");
        Ok(match quantifier {
            Quantifier::None => format!("NOT {found}"),
            // An outer join gives a row of nulls where there is nothing.
            Quantifier::Any if nothing::holds(filter, related, self.reader.schema) => {
                format!("({found} OR NOT EXISTS (SELECT FROM {table} {alias} WHERE {own}))")
            }
            _ => found,
        })
    }
}

/// A filter that names more relations in a row than may be.
pub(crate) fn check_depth(filter: &Filter, limits: Limits) -> Result<(), Error> {
    fn depth(filter: &Filter) -> usize {
        match filter {
            Filter::And(parts) | Filter::Or(parts) => parts.iter().map(depth).max().unwrap_or(0),
            Filter::Compare { .. } => 1,
            Filter::Related { filter, .. } => 1 + depth(filter),
        }
    }
    limits.check_depth(depth(filter))
}

/// The first field that a filter names.
fn first_name(filter: &Filter) -> &str {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.first().map_or("", first_name),
        Filter::Compare { field, .. } | Filter::Related { field, .. } => field,
    }
}

/// Conditions on the same relation that must hold together are about the same related item.
fn together(parts: &[Filter]) -> Vec<Filter> {
    let mut joined: Vec<Filter> = Vec::with_capacity(parts.len());
    for part in flat(parts) {
        let Filter::Related { field, scope, quantifier: Quantifier::Any, filter } = part else {
            joined.push(part.clone());
            continue;
        };
        let same = joined.iter_mut().find_map(|known| match known {
            Filter::Related { field: other, scope: within, quantifier: Quantifier::Any, filter }
                if other == field && within == scope =>
            {
                Some(filter)
            }
            _ => None,
        });
        match same {
            Some(known) => {
                let first = std::mem::replace(&mut **known, Filter::And(Vec::new()));
                **known = Filter::And(vec![first, (**filter).clone()]);
            }
            None => joined.push(part.clone()),
        }
    }
    joined
}

fn flat(parts: &[Filter]) -> Vec<&Filter> {
    parts
        .iter()
        .flat_map(|part| match part {
            Filter::And(inner) => flat(inner),
            other => vec![other],
        })
        .collect()
}

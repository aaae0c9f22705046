//! What a share shows, in SQL: the items at the end of a way from the shared one, each of which both of its sides may read.

use access::{Action, Shared, Side, Step};
use model::{Collection, Error, Link, quote_identifier};

use crate::keys::Keys;
use crate::link::{target_key, to_any};
use crate::read::{key_field, table};
use crate::reader::{Reader, Variables};
use crate::rights::{Place, and};
use crate::statement::{Binding, Builder};
use crate::value::parse_key;

impl Reader<'_> {
    /// The condition under which an item read at the place is one that the share shows.
    pub(crate) fn shown_by(
        &self,
        shared: &Shared,
        place: Place<'_>,
        b: &mut Builder,
    ) -> Result<String, Error> {
        let who = shared.sides.each_ref().map(|side| Variables::of(&side.who, self.variables.now));
        let sides: Vec<Reader<'_>> =
            shared.sides.iter().zip(&who).map(|(side, who)| self.of(side, who)).collect();
        let mut all = vec![self.at_the_end(shared, place, &sides, b)?];
        for (side, filter) in sides.iter().zip(&shared.items) {
            if let Some(filter) = filter {
                all.push(side.rule(filter, place, b)?);
            }
        }
        Ok(format!("({})", all.join(" AND ")))
    }

    /// One of those who must both be allowed to read.
    fn of<'a>(&'a self, side: &'a Side, variables: &'a Variables) -> Reader<'a> {
        Reader { access: &side.access, variables, ..*self }
    }

    /// The way leads to the item.
    fn at_the_end(
        &self,
        shared: &Shared,
        place: Place<'_>,
        sides: &[Reader<'_>],
        b: &mut Builder,
    ) -> Result<String, Error> {
        let mut from = self.any_collection(&shared.collection)?;
        let field = key_field(from)?;
        let key = Keys::bind(&[parse_key(&shared.key, field)?], field, b);
        if shared.way.is_empty() {
            return Ok(key.hold(&target_key(place.collection, place.source)));
        }
        let mut alias = b.alias();
        let mut tables = format!("{} {alias}", table(from));
        let mut conditions = key.hold(&target_key(from, &alias));
        for step in &shared.way {
            for side in sides {
                conditions += &and(side.reach(from, Action::Read, &alias, b));
                conditions += &and(side.reach_with(&step.field, from, Action::Read, &alias, b));
            }
            let (to, next) = (self.any_collection(&step.collection)?, b.alias());
            tables += &format!(
                " JOIN {} {next} ON {}",
                table(to),
                self.joined(step, (from, &alias), (to, &next), b)?
            );
            (from, alias) = (to, next);
        }
        let (key, own) = (target_key(from, &alias), target_key(place.collection, place.source));
        Ok(format!("{own} IN (SELECT {key} FROM {tables} WHERE {conditions})"))
    }

    /// A collection whoever may read it: what both sides may, stands in the way's conditions.
    fn any_collection(&self, name: &str) -> Result<&Collection, Error> {
        let found = self.schema.collection(name);
        found.map(AsRef::as_ref).ok_or_else(|| Error::forbidden_collection(name))
    }

    /// How the items of a step's two collections belong together.
    fn joined(
        &self,
        step: &Step,
        (from, alias): (&Collection, &str),
        (to, next): (&Collection, &str),
        b: &mut Builder,
    ) -> Result<String, Error> {
        let held = format!("{alias}.{}", quote_identifier(&step.field));
        let gone = || Error::forbidden_field(&from.name, &step.field);
        let link = from.field(&step.field).and_then(|field| field.link.as_ref()).ok_or_else(gone)?;
        Ok(match link {
            Link::One { collection } if *collection == to.name => {
                format!("{} = {held}", target_key(to, next))
            }
            Link::Many { collection, field, .. } if *collection == to.name => {
                format!("{next}.{} = {}", quote_identifier(field), target_key(from, alias))
            }
            Link::Any { collection_field, allowed } if allowed.contains(&to.name) => {
                let which = b.bind(Binding::Text(Some(to.name.clone())));
                let (key, by) = (to_any(key_field(to)?, &held), quote_identifier(collection_field));
                format!("{} = {key} AND {alias}.{by} = {which}::text", target_key(to, next))
            }
            _ => return Err(gone()),
        })
    }
}

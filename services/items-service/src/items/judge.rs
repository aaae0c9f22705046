//! Payloads before they are planned: who may send them, what presets add, what their values are judged by. Where a rule
//! looks at what is not sent, the present items are read under lock, in the transaction that changes them.

use std::collections::HashMap;

use access::Action;
use model::{Collection, Error, Field, Filter};
use planner::{Judgement, Known, LookUp, Payload, Reader, Stamp};
use serde_json::{Map, Value};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use super::update::Group;
use crate::execute;
use crate::failure::Failure;
use crate::system::payload;

/// What payloads of one collection are judged with.
pub struct Judging<'a> {
    pub collection: &'a Collection,
    pub reader: Reader<'a>,
    pub action: Action,
    pub stamp: &'a Stamp,
    known: Known,
}

impl<'a> Judging<'a> {
    /// Looks up what presets and rules ask for, which hardly any do.
    pub async fn init(
        db: &db::Db,
        (collection, action): (&'a Collection, Action),
        reader: Reader<'a>,
        stamp: &'a Stamp,
    ) -> Result<Self, Failure> {
        let mut known = Known::default();
        for look_up in planner::look_ups(collection, reader, action) {
            learn(&mut known, &look_up, &execute::rows_alone(db, &look_up.statement).await?)?;
        }
        Ok(Self { collection, reader, action, stamp, known })
    }

    /// The same, within a transaction.
    pub async fn within(
        conn: &mut PgConnection,
        (collection, action): (&'a Collection, Action),
        reader: Reader<'a>,
        stamp: &'a Stamp,
    ) -> Result<Self, Failure> {
        let mut known = Known::default();
        for look_up in planner::look_ups(collection, reader, action) {
            learn(&mut known, &look_up, &execute::rows(conn, &look_up.statement).await?)?;
        }
        Ok(Self { collection, reader, action, stamp, known })
    }

    fn judgement(&self) -> Judgement<'a> {
        Judgement::new(self.collection, self.reader, self.action, &self.known)
    }

    /// Adds presets and judges what is sent.
    pub fn admit(&self, payloads: &mut [Payload]) -> Result<(), Failure> {
        if self.collection.system {
            payload::check_sent(payloads, self.collection, self.action)?;
            payload::check_credentials(payloads, self.collection, self.stamp)?;
        }
        Ok(self.judgement().admit(payloads, self.stamp)?)
    }

    /// There are rules that may look at what is not sent.
    pub fn has_rules(&self) -> bool {
        !self.reader.access.validations(&self.collection.name, self.action).is_empty()
    }

    /// What must be asked of the present items, if anything. The changes are those that were sent: of a secret what is
    /// stored says nothing.
    pub fn held<'g>(&'g self, groups: Option<Vec<Group>>, filter: Option<&'g Filter>) -> Option<Held<'g>> {
        let groups = groups?;
        let judgement = self.judgement();
        let sent: Vec<Payload> = groups.iter().flat_map(|group| group.payloads.first()).cloned().collect();
        let fields = judgement.looks_at(&sent);
        (!fields.is_empty()).then_some(Held { judging: self, groups, filter, fields })
    }
}

fn learn(known: &mut Known, look_up: &LookUp, rows: &[PgRow]) -> Result<(), Failure> {
    if let Some(row) = rows.first() {
        known.learn(look_up, row.try_get("items")?);
    }
    Ok(())
}

/// Changes that are judged together with what stands there.
pub struct Held<'g> {
    judging: &'g Judging<'g>,
    groups: Vec<Group>,
    filter: Option<&'g Filter>,
    fields: Vec<&'g Field>,
}

impl Held<'_> {
    /// Locks the items, in the order of their keys, and judges each as it will be.
    pub async fn check(&self, conn: &mut PgConnection) -> Result<(), Failure> {
        let Judging { collection, reader, stamp, .. } = self.judging;
        let mut judgement = self.judging.judgement();
        let mut present: HashMap<String, Map<String, Value>> = HashMap::new();
        for group in &self.groups {
            let plan = planner::plan_held(&group.keys, &self.fields, self.filter, collection, *reader)?;
            for row in execute::rows(conn, &plan).await? {
                let held: &str = row.try_get("held")?;
                // What lies deeper than rules are read keeps its shape, if not each of its digits.
                let held = query::parse_json(held).or_else(|| serde_json::from_str(held).ok());
                let Some(Value::Object(held)) = held else {
                    return Err(Error::internal().into());
                };
                // A key that comes twice was changed since, by this very request.
                present.entry(row.try_get("key")?).or_insert(held);
            }
            for (index, key) in group.keys.iter().enumerate() {
                let payload = group.payloads.get(index).filter(|_| group.payloads.len() > 1);
                let Some(payload) = payload.or(group.payloads.first()) else { continue };
                let Some(held) = present.get_mut(key) else { continue };
                judgement.admit_change(payload, held.clone(), stamp)?;
                for field in &self.fields {
                    if let Some(sent) = payload.get(&field.name).and_then(|raw| query::parse_json(raw.get()))
                    {
                        held.insert(field.name.clone(), sent);
                    }
                }
            }
        }
        Ok(())
    }
}

//! What refers to items of system collections and has to let go of them before they can be deleted. What PostgreSQL's
//! constraints take along or set free is `items::cascade`'s.

use access::{Access, Action};
use model::{Collection, Error, Errors, Filter, Operator};
use planner::{Stamp, Statement, UpdateChange};
use query::Query;
use sqlx::{PgConnection, Row as _};

use crate::execute;
use crate::failure::Failure;
use crate::items::{CHUNK, unstamped};
use crate::snapshot::Snapshot;
use crate::state::State;

/// Deleted collection; collection and field that refer to it, by a constraint that refuses or by none at all.
const DEPENDANTS: [(&str, &str, &str); 14] = [
    ("directus_users", "directus_notifications", "sender"),
    ("directus_users", "directus_comments", "user_updated"),
    ("directus_users", "directus_versions", "user_updated"),
    ("directus_users", "directus_files", "uploaded_by"),
    ("directus_users", "directus_files", "modified_by"),
    ("directus_roles", "directus_roles", "parent"),
    ("directus_files", "directus_users", "avatar"),
    ("directus_files", "directus_settings", "project_logo"),
    ("directus_files", "directus_settings", "public_foreground"),
    ("directus_files", "directus_settings", "public_background"),
    ("directus_files", "directus_settings", "public_favicon"),
    ("directus_operations", "directus_operations", "resolve"),
    ("directus_operations", "directus_operations", "reject"),
    ("directus_operations", "directus_flows", "operation"),
];

/// Items that are to be deleted.
#[derive(Debug, Clone, Copy)]
pub struct Doomed<'a> {
    /// Where they are.
    pub collection: &'a str,
    /// Which.
    pub keys: &'a [String],
    /// The schema.
    pub snapshot: &'a Snapshot,
    /// Of the one who deletes.
    pub access: &'a Access,
    /// Of the deletion's events.
    pub stamp: &'a Stamp,
}

impl Doomed<'_> {
    /// Nothing can hang on them.
    pub fn is_alone(&self) -> bool {
        self.keys.is_empty() || !DEPENDANTS.iter().any(|(collection, ..)| *collection == self.collection)
    }

    /// Sets free what refers to them; each change is an event.
    pub async fn release(self, conn: &mut PgConnection, state: &State) -> Result<(), Failure> {
        for (_, dependant, field) in
            DEPENDANTS.iter().filter(|(collection, ..)| *collection == self.collection)
        {
            let Some(dependant) = self.snapshot.schema.collection(dependant) else { continue };
            let keys = self.holders(conn, dependant, field).await?;
            for statement in self.changes(state, dependant, field, &keys)? {
                execute::rows(&mut *conn, &statement).await?;
            }
        }
        Ok(())
    }

    /// Keys of the items that refer to the doomed ones.
    async fn holders(
        &self,
        conn: &mut PgConnection,
        dependant: &Collection,
        field: &str,
    ) -> Result<Vec<String>, Failure> {
        let filter =
            Filter::Compare { field: field.to_owned(), operator: Operator::In, value: self.keys.into() };
        let query = Query { filter: Some(filter), limit: Some(-1), ..Query::default() };
        let statement = planner::plan_keys(&query, dependant, self.access, Action::Update)?;
        let rows = execute::rows(conn, &statement).await?;
        Ok(rows.iter().map(|row| row.try_get("key")).collect::<Result<_, sqlx::Error>>()?)
    }

    fn changes(
        &self,
        state: &State,
        dependant: &Collection,
        field: &str,
        keys: &[String],
    ) -> Result<Vec<Statement>, Errors> {
        let quiet = unstamped(dependant);
        let body = serde_json::json!({ field: null }).to_string();
        let (payloads, _) = planner::parse_payloads(body.as_bytes())?;
        let query = Query { fields: Some(vec![dependant.primary_key.clone()]), ..Query::default() };
        let mut statements = Vec::new();
        for keys in keys.chunks(CHUNK) {
            let event_ids: Vec<_> = keys.iter().map(|_| state.ids.ordered()).collect();
            let change = UpdateChange {
                keys,
                payloads: &payloads,
                event_ids: &event_ids,
                first_index: 0,
                filter: None,
            };
            let plan = planner::plan_update(&change, &query, &quiet, self.access, self.stamp)?;
            statements.push(plan.ok_or_else(Error::internal)?);
        }
        Ok(statements)
    }
}

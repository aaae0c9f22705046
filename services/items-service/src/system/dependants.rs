//! What hangs on items of system collections and goes, or lets go, with them: changed by statements of our own, so that
//! each change is an event. The constraints of the tables stay as a net.

use access::{Access, Action};
use model::{Collection, Error, Errors, Filter, Operator, Special};
use planner::{Stamp, Statement, UpdateChange};
use query::Query;
use sqlx::{PgConnection, Row as _};

use crate::execute;
use crate::failure::Failure;
use crate::items::CHUNK;
use crate::snapshot::Snapshot;
use crate::state::State;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// The dependant is deleted, too.
    Goes,
    /// Its reference becomes null.
    LetsGo,
}

use Effect::{Goes, LetsGo};

/// Deleted collection; collection and field that refer to it; what happens to those.
const DEPENDANTS: [(&str, &str, &str, Effect); 35] = [
    ("directus_users", "directus_access", "user", Goes),
    ("directus_users", "directus_presets", "user", Goes),
    ("directus_users", "directus_notifications", "recipient", Goes),
    ("directus_users", "directus_notifications", "sender", LetsGo),
    ("directus_users", "directus_shares", "user_created", Goes),
    ("directus_users", "directus_comments", "user_created", LetsGo),
    ("directus_users", "directus_comments", "user_updated", LetsGo),
    ("directus_users", "directus_versions", "user_created", LetsGo),
    ("directus_users", "directus_versions", "user_updated", LetsGo),
    ("directus_users", "directus_dashboards", "user_created", LetsGo),
    ("directus_users", "directus_panels", "user_created", LetsGo),
    ("directus_users", "directus_flows", "user_created", LetsGo),
    ("directus_users", "directus_operations", "user_created", LetsGo),
    ("directus_users", "directus_files", "uploaded_by", LetsGo),
    ("directus_users", "directus_files", "modified_by", LetsGo),
    ("directus_roles", "directus_access", "role", Goes),
    ("directus_roles", "directus_presets", "role", Goes),
    ("directus_roles", "directus_shares", "role", Goes),
    ("directus_roles", "directus_users", "role", LetsGo),
    ("directus_roles", "directus_roles", "parent", LetsGo),
    ("directus_roles", "directus_settings", "public_registration_role", LetsGo),
    ("directus_policies", "directus_access", "policy", Goes),
    ("directus_policies", "directus_permissions", "policy", Goes),
    ("directus_folders", "directus_files", "folder", LetsGo),
    ("directus_folders", "directus_settings", "storage_default_folder", LetsGo),
    ("directus_files", "directus_users", "avatar", LetsGo),
    ("directus_files", "directus_settings", "project_logo", LetsGo),
    ("directus_files", "directus_settings", "public_foreground", LetsGo),
    ("directus_files", "directus_settings", "public_background", LetsGo),
    ("directus_files", "directus_settings", "public_favicon", LetsGo),
    ("directus_flows", "directus_operations", "flow", Goes),
    ("directus_operations", "directus_operations", "resolve", LetsGo),
    ("directus_operations", "directus_operations", "reject", LetsGo),
    ("directus_operations", "directus_flows", "operation", LetsGo),
    ("directus_dashboards", "directus_panels", "dashboard", Goes),
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

    /// Deletes or frees what hangs on them.
    pub async fn release(self, conn: &mut PgConnection, state: &State) -> Result<(), Failure> {
        let own = DEPENDANTS.iter().filter(|(collection, ..)| *collection == self.collection);
        for (_, dependant, field, effect) in own {
            let Some(dependant) = self.snapshot.schema.collection(dependant) else { continue };
            let keys = self.holders(conn, dependant, field).await?;
            if keys.is_empty() {
                continue;
            }
            if *effect == Goes {
                let doomed = Doomed { collection: &dependant.name, keys: &keys, ..self };
                Box::pin(doomed.release(&mut *conn, state)).await?;
            }
            let statements = match effect {
                Goes => self.deletions(state, dependant, &keys)?,
                LetsGo => self.changes(state, dependant, field, &keys)?,
            };
            for statement in &statements {
                execute::rows(&mut *conn, statement).await?;
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

    fn deletions(
        &self,
        state: &State,
        dependant: &Collection,
        keys: &[String],
    ) -> Result<Vec<Statement>, Errors> {
        let plan = |keys: &[String]| {
            let event_ids: Vec<_> = keys.iter().map(|_| state.ids.ordered()).collect();
            planner::plan_delete(keys, &event_ids, None, dependant, self.access, self.stamp)
        };
        keys.chunks(CHUNK).map(plan).collect()
    }

    fn changes(
        &self,
        state: &State,
        dependant: &Collection,
        field: &str,
        keys: &[String],
    ) -> Result<Vec<Statement>, Errors> {
        // Nobody edits these items: who and when was the last stays as it is.
        let stamps = |special: &Special| {
            matches!(special, Special::DateUpdated | Special::UserUpdated | Special::RoleUpdated)
        };
        let mut quiet = dependant.clone();
        quiet.fields.iter_mut().for_each(|field| field.special.retain(|special| !stamps(special)));
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

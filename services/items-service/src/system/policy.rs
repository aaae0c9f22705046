//! What passwords have to be: `auth_password_policy` of the settings, a regular expression of JavaScript.
//!
//! It is read for each write that sets a password: hashing the password costs a hundred times as much.

use db::Db;
use model::{Collection, Errors};
use planner::Payload;
use query::{Failure, Pattern};

use super::payload::MASK;

const POLICY: &str = "SELECT nullif(auth_password_policy, '') FROM directus_settings ORDER BY id LIMIT 1";

/// Judges the passwords of users that are to be written.
///
/// # Errors
/// `FAILED_VALIDATION` for one that does not fit; `UNPROCESSABLE_CONTENT` when the policy can't be judged; 503.
pub async fn check(db: &Db, payloads: &[Payload], collection: &Collection) -> Result<(), Errors> {
    if collection.name != "directus_users" {
        return Ok(());
    }
    let passwords: Vec<String> = payloads
        .iter()
        .filter_map(|payload| serde_json::from_str(payload.get("password")?.get()).ok())
        .filter(|password: &String| password != MASK)
        .collect();
    if passwords.is_empty() {
        return Ok(());
    }
    let found: Result<Option<Option<String>>, _> = sqlx::query_scalar(POLICY).fetch_optional(db).await;
    let Some(policy) = found.map_err(|error| db::public(&error))?.flatten() else { return Ok(()) };
    let Some(policy) = Pattern::parse(&policy) else { return Err(Failure::unreadable_policy().into()) };
    if passwords.iter().all(|password| policy.fits(password)) {
        return Ok(());
    }
    Err(Failure::password().error(true).into())
}

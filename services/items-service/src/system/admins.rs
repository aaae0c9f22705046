//! The last admin stays: a change after which nobody could administer is taken back.

use model::Error;
use sqlx::PgConnection;

/// Whether an active user has an admin policy, himself or by his role or one above it. Policies that are bound to
/// addresses don't count, as they don't when somebody comes in.
const HAS: &str = r#"WITH RECURSIVE granting AS (
        SELECT a.role AS id FROM directus_access a JOIN directus_policies p ON p.id = a.policy
        WHERE p.admin_access AND coalesce(p.ip_access, '') = '' AND a.role IS NOT NULL
        UNION SELECT r.id FROM directus_roles r JOIN granting g ON r.parent = g.id
    )
    SELECT EXISTS (SELECT FROM directus_users u WHERE u.status = 'active' AND (
        u.role IN (SELECT id FROM granting) OR EXISTS (
            SELECT FROM directus_access a JOIN directus_policies p ON p.id = a.policy
            WHERE a."user" = u.id AND p.admin_access AND coalesce(p.ip_access, '') = '')))"#;

/// Is there any?
pub async fn any(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(HAS).fetch_one(conn).await
}

/// What the client is told who would take the last one away.
pub fn refused() -> Error {
    Error::unprocessable("Cannot remove the last admin user from the system")
}

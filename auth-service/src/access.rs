//! Who somebody is and what he holds: user, role, role tree, policies and flags, in one statement.
//!
//! Effective policies are the user's own, those of his role and its ancestors, and the public's when he has no role.
//! A policy that is bound to addresses (`ip_access`) is left out: it may only add rights, and the address is not known
//! here.

use model::Accountability;
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::session::Chain;

/// The statement, around the part that says who (`id, role, status, chain, expires`).
macro_rules! who_holds_what {
    ($who:literal) => {
        concat!(
            "WITH RECURSIVE who AS (",
            $who,
            r#"), tree AS (
                SELECT r.id, r.parent, 0 AS depth FROM who JOIN directus_roles r ON r.id = who.role
                UNION ALL
                SELECT r.id, r.parent, tree.depth + 1 FROM tree JOIN directus_roles r ON r.id = tree.parent
            ) CYCLE id SET looped USING path,
            held AS (
                SELECT p.id, p.admin_access, p.app_access
                FROM who CROSS JOIN directus_access a JOIN directus_policies p ON p.id = a.policy
                WHERE coalesce(p.ip_access, '') = ''
                AND (a."user" = who.id OR a.role IN (SELECT id FROM tree)
                    OR (a.role IS NULL AND a."user" IS NULL AND NOT EXISTS (SELECT FROM tree)))
            )
            SELECT who.id, who.role, who.status,
                ARRAY(SELECT id FROM tree WHERE NOT looped ORDER BY depth),
                ARRAY(SELECT DISTINCT id FROM held),
                EXISTS (SELECT FROM held WHERE admin_access),
                EXISTS (SELECT FROM held WHERE app_access),
                who.chain, who.expires
            FROM who"#
        )
    };
}

/// `$1` user, `$2` session.
const OF_SESSION: &str = who_holds_what!(
    r#"SELECT u.id, u.role, u.status, s.next_token AS chain, s.expires
       FROM directus_users u JOIN directus_sessions s ON s."user" = u.id WHERE u.id = $1 AND s.token = $2"#
);

/// `$1`, `$2` the two stored forms of a static token.
const OF_STATIC_TOKEN: &str = who_holds_what!(
    "SELECT u.id, u.role, u.status, NULL::varchar AS chain, NULL::timestamptz AS expires
     FROM directus_users u WHERE u.token IN ($1, $2) LIMIT 1"
);

/// `$1` user.
const OF_USER: &str = who_holds_what!(
    "SELECT u.id, u.role, u.status, NULL::varchar AS chain, NULL::timestamptz AS expires
     FROM directus_users u WHERE u.id = $1"
);

type Columns =
    (Uuid, Option<Uuid>, String, Vec<Uuid>, Vec<Uuid>, bool, bool, Option<String>, Option<OffsetDateTime>);

/// Somebody as the database knows him now.
pub struct Known {
    /// His id.
    pub user: Uuid,
    /// His role.
    pub role: Option<Uuid>,
    /// `active`, `suspended` ...
    pub status: String,
    roles: Vec<Uuid>,
    policies: Vec<Uuid>,
    /// A policy grants everything.
    pub admin: bool,
    /// A policy grants the app's minimal permissions.
    pub app: bool,
    /// The session that was asked for: its chain and end.
    pub session: Option<(Option<Chain>, OffsetDateTime)>,
}

impl Known {
    /// His policies.
    pub fn policies(&self) -> &[Uuid] {
        &self.policies
    }

    /// The same user with these of his policies, and the flags that they give.
    pub fn narrowed(self, policies: Vec<Uuid>, admin: bool, app: bool) -> Self {
        Self { policies, admin, app, ..self }
    }

    /// Who acts when he does.
    pub fn accountability(self, session: Option<String>) -> Accountability {
        Accountability {
            user: Some(self.user),
            role: self.role,
            roles: self.roles,
            policies: self.policies,
            admin: self.admin,
            app: self.app,
            session,
            ..Accountability::default()
        }
    }
}

/// The user of a live session.
pub async fn of_session(
    executor: impl PgExecutor<'_>,
    user: Uuid,
    session: &str,
) -> Result<Option<Known>, Error> {
    Ok(sqlx::query_as(OF_SESSION).bind(user).bind(session).fetch_optional(executor).await?.map(known))
}

/// The user of a static token.
pub async fn of_static_token(
    executor: impl PgExecutor<'_>,
    [hashed, plain]: &[String; 2],
) -> Result<Option<Known>, Error> {
    Ok(sqlx::query_as(OF_STATIC_TOKEN).bind(hashed).bind(plain).fetch_optional(executor).await?.map(known))
}

/// A user by his id.
pub async fn of_user(executor: impl PgExecutor<'_>, user: Uuid) -> Result<Option<Known>, Error> {
    Ok(sqlx::query_as(OF_USER).bind(user).fetch_optional(executor).await?.map(known))
}

fn known((user, role, status, roles, policies, admin, app, chain, expires): Columns) -> Known {
    let session = expires.map(|expires| (chain.as_deref().and_then(Chain::parse), expires));
    Known { user, role, status, roles, policies, admin, app, session }
}

//! Who somebody is and what he holds: user, role, role tree, policies and flags, in one statement.
//!
//! Effective policies are the public's when he has no role, those of his role's ancestors, of his role, and his own, in
//! this order. A policy that is bound to addresses (`ip_access`) is told apart: the address is not known here.

use model::Accountability;
use proto::auth::v1::{AuthenticateResponse, HeldPolicy};
use rpc::convert;
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
            given AS (
                SELECT a.policy, coalesce(a.sort, 0) AS sort,
                    CASE WHEN a."user" IS NOT NULL THEN 1 WHEN a.role IS NOT NULL THEN -tree.depth ELSE -1000 END AS rank
                FROM who CROSS JOIN directus_access a LEFT JOIN tree ON tree.id = a.role AND NOT tree.looped
                WHERE a."user" = who.id OR tree.id IS NOT NULL
                    OR (a.role IS NULL AND a."user" IS NULL AND NOT EXISTS (SELECT FROM tree))
            ),
            held AS (
                SELECT p.id, p.admin_access, p.app_access, coalesce(p.ip_access, '') AS ip_access,
                    row_number() OVER (ORDER BY min(given.rank), min(given.sort), p.id) AS place
                FROM given JOIN directus_policies p ON p.id = given.policy GROUP BY p.id
            )
            SELECT who.id, who.role, who.status,
                ARRAY(SELECT id FROM tree WHERE NOT looped ORDER BY depth),
                ARRAY(SELECT id FROM held ORDER BY place),
                ARRAY(SELECT admin_access FROM held ORDER BY place),
                ARRAY(SELECT app_access FROM held ORDER BY place),
                ARRAY(SELECT ip_access FROM held ORDER BY place),
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

/// `$1` a role, of nobody in particular.
const OF_ROLE: &str = who_holds_what!(
    "SELECT NULL::uuid AS id, r.id AS role, 'active' AS status, NULL::varchar AS chain, NULL::timestamptz AS expires
     FROM directus_roles r WHERE r.id = $1"
);

/// Nobody.
const OF_PUBLIC: &str = who_holds_what!(
    "SELECT NULL::uuid AS id, NULL::uuid AS role, 'active' AS status, NULL::varchar AS chain, NULL::timestamptz AS expires"
);

type Columns = (
    Option<Uuid>,
    Option<Uuid>,
    String,
    Vec<Uuid>,
    Vec<Uuid>,
    Vec<bool>,
    Vec<bool>,
    Vec<String>,
    Option<String>,
    Option<OffsetDateTime>,
);

/// Somebody as the database knows him now.
pub struct Known {
    /// His id; nil for the public.
    pub user: Uuid,
    /// His role.
    pub role: Option<Uuid>,
    /// `active`, `suspended` ...
    pub status: String,
    roles: Vec<Uuid>,
    held: Vec<Held>,
    /// The session that was asked for: its chain and end.
    pub session: Option<(Option<Chain>, OffsetDateTime)>,
}

/// A policy that somebody holds.
struct Held {
    policy: Uuid,
    admin: bool,
    app: bool,
    /// Addresses that it is bound to; none: it holds everywhere.
    ip_access: Vec<String>,
}

impl Known {
    /// He holds this policy, if only at some addresses.
    pub fn holds(&self, policy: &Uuid) -> bool {
        self.held.iter().any(|held| held.policy == *policy)
    }

    /// The same user with no more than these of his policies.
    pub fn narrowed(mut self, policies: &[Uuid]) -> Self {
        self.held.retain(|held| policies.contains(&held.policy));
        self
    }

    /// Who acts when he does, in a session or without.
    pub fn answer(&self, session: Option<String>, valid_until: i64) -> AuthenticateResponse {
        let everywhere = || self.held.iter().filter(|held| held.ip_access.is_empty());
        let accountability = Accountability {
            user: Some(self.user).filter(|user| !user.is_nil()),
            role: self.role,
            roles: self.roles.clone(),
            policies: everywhere().map(|held| held.policy).collect(),
            admin: everywhere().any(|held| held.admin),
            app: everywhere().any(|held| held.app),
            session,
            ..Accountability::default()
        };
        let bound = self.held.iter().any(|held| !held.ip_access.is_empty());
        let held = self.held.iter().filter(|_| bound).map(|held| HeldPolicy {
            policy: held.policy.to_string(),
            admin: held.admin,
            app: held.app,
            ip_access: held.ip_access.clone(),
        });
        let held = held.collect();
        AuthenticateResponse { accountability: Some(convert::to_proto(&accountability)), valid_until, held }
    }

    /// Who acts when he does from this address.
    pub fn at(&self, ip: Option<&str>) -> Result<Accountability, Error> {
        let identity = rpc::Identity::try_new(self.answer(None, 0))?;
        Ok(identity.at(ip.and_then(|ip| ip.parse().ok())))
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

/// Whoever has a role; `None`: there is no such role.
pub async fn of_role(executor: impl PgExecutor<'_>, role: Uuid) -> Result<Option<Known>, Error> {
    Ok(sqlx::query_as(OF_ROLE).bind(role).fetch_optional(executor).await?.map(known))
}

/// The public.
pub async fn of_public(executor: impl PgExecutor<'_>) -> Result<Known, Error> {
    Ok(known(sqlx::query_as(OF_PUBLIC).fetch_one(executor).await?))
}

fn known(columns: Columns) -> Known {
    let (user, role, status, roles, policies, admins, apps, addresses, chain, expires) = columns;
    let session = expires.map(|expires| (chain.as_deref().and_then(Chain::parse), expires));
    let flags = admins.into_iter().zip(apps).zip(addresses);
    let held = policies.into_iter().zip(flags).map(|(policy, ((admin, app), addresses))| {
        let ip_access = addresses.split(',').map(str::trim).filter(|text| !text.is_empty());
        Held { policy, admin, app, ip_access: ip_access.map(str::to_owned).collect() }
    });
    Known { user: user.unwrap_or_default(), role, status, roles, held: held.collect(), session }
}

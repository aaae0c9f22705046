//! The first admin: what a database needs before anybody can log in. Safe to call at each start, side by side.
//!
//! Like Directus it makes the role and the policy Administrator, the public policy, the settings and one user, and only
//! when nobody has an admin policy yet. Generated secrets are given back once, for the caller to print; stored are hashes.

use db::Db;
use model::Ids;
use secrets::{HashCost, Hasher};
use sqlx::PgConnection;
use uuid::{Uuid, uuid};

use crate::config::Secret;
use crate::{Error, events};

/// The public policy's id, fixed as in Directus.
pub const PUBLIC_POLICY: Uuid = uuid!("abf8a154-5b1c-4a46-ac9c-7300570f4f17");

/// Advisory lock that keeps two bootstraps apart.
const LOCK: i64 = 7_306_085_838;

/// Where a secret of the first admin comes from.
#[derive(Debug, Clone, Default)]
pub enum Given {
    /// There is none.
    #[default]
    None,
    /// Make one and give it back.
    Made,
    /// This one.
    Is(Secret),
}

impl From<Option<String>> for Given {
    /// What is not set is absent.
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::None, |text| Self::Is(Secret::new(text)))
    }
}

/// Whom to make when there is no admin.
#[derive(Debug, Clone)]
pub struct FirstAdmin {
    /// `ADMIN_EMAIL`.
    pub email: String,
    /// `ADMIN_PASSWORD`; an absent one is generated, for a user without a password could not log in.
    pub password: Given,
    /// `ADMIN_TOKEN`, his static token.
    pub token: Given,
}

/// What a bootstrap did.
#[derive(Debug, Clone, Default)]
pub struct Bootstrapped {
    /// The admin it made; `None` when there was one.
    pub admin: Option<Uuid>,
    /// The password it generated.
    pub password: Option<Secret>,
    /// The static token it generated.
    pub token: Option<Secret>,
}

/// Makes what is missing.
///
/// # Errors
/// PostgreSQL is away, or the e-mail address belongs to a user who is no admin.
pub async fn bootstrap(db: &Db, admin: &FirstAdmin, ids: &dyn Ids) -> Result<Bootstrapped, Error> {
    let mut transaction = db.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    foundations(&mut transaction, ids.random()).await?;
    let done = if has_admin(&mut transaction).await? {
        Bootstrapped::default()
    } else {
        first_admin(&mut transaction, admin, ids).await?
    };
    transaction.commit().await?;
    Ok(done)
}

/// Settings and public policy.
async fn foundations(connection: &mut PgConnection, access: Uuid) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO directus_settings (id) SELECT 1 WHERE NOT EXISTS (SELECT FROM directus_settings)",
    )
    .execute(&mut *connection)
    .await?;
    // The serial must not give 1 again.
    sqlx::query(
        "SELECT setval(pg_get_serial_sequence('directus_settings', 'id'), max(id)) FROM directus_settings",
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO directus_policies (id, name, icon, description)
         VALUES ($1, '$t:public_label', 'public', '$t:public_description') ON CONFLICT (id) DO NOTHING",
    )
    .bind(PUBLIC_POLICY)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        r#"INSERT INTO directus_access (id, role, "user", policy, sort) SELECT $1, NULL, NULL, $2, 1
           WHERE NOT EXISTS (SELECT FROM directus_access WHERE role IS NULL AND "user" IS NULL)"#,
    )
    .bind(access)
    .bind(PUBLIC_POLICY)
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether any user has an admin policy, himself or by his roles.
pub async fn has_admin(connection: &mut PgConnection) -> Result<bool, Error> {
    const HAS: &str = r#"WITH RECURSIVE granting AS (
            SELECT a.role AS id FROM directus_access a JOIN directus_policies p ON p.id = a.policy
            WHERE p.admin_access AND a.role IS NOT NULL
            UNION SELECT r.id FROM directus_roles r JOIN granting g ON r.parent = g.id
        )
        SELECT EXISTS (SELECT FROM directus_users WHERE role IN (SELECT id FROM granting))
            OR EXISTS (SELECT FROM directus_access a JOIN directus_policies p ON p.id = a.policy
                WHERE p.admin_access AND a."user" IS NOT NULL)"#;
    Ok(sqlx::query_scalar(HAS).fetch_one(connection).await?)
}

async fn first_admin(
    connection: &mut PgConnection,
    admin: &FirstAdmin,
    ids: &dyn Ids,
) -> Result<Bootstrapped, Error> {
    let taken = r#"SELECT EXISTS (SELECT FROM directus_users WHERE lower(email COLLATE "C") = $1)"#;
    let email = admin.email.to_ascii_lowercase();
    if sqlx::query_scalar(taken).bind(email).fetch_one(&mut *connection).await? {
        return Err(Error::EmailTaken);
    }
    let (role, policy, user) = (ids.random(), ids.random(), ids.random());
    let password = match secret(&admin.password)? {
        (Some(password), made) => (password, made),
        (None, _) => {
            let made = Secret::new(secrets::random_text::<18>()?);
            (made.clone(), Some(made))
        }
    };
    let (static_token, made_token) = secret(&admin.token)?;
    let hash = Hasher::try_new(HashCost::default())?.hash(password.0.expose().to_owned()).await?;
    sqlx::query(
        "INSERT INTO directus_roles (id, name, icon, description)
         VALUES ($1, 'Administrator', 'verified', '$t:admin_description')",
    )
    .bind(role)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO directus_policies (id, name, icon, description, admin_access, app_access)
         VALUES ($1, 'Administrator', 'verified', '$t:admin_policy_description', true, true)",
    )
    .bind(policy)
    .execute(&mut *connection)
    .await?;
    sqlx::query("INSERT INTO directus_access (id, role, policy, sort) VALUES ($1, $2, $3, 1)")
        .bind(ids.random())
        .bind(role)
        .bind(policy)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO directus_users (id, first_name, last_name, email, password, token, role)
         VALUES ($1, 'Admin', 'User', $2, $3, $4, $5)",
    )
    .bind(user)
    .bind(&admin.email)
    .bind(hash)
    .bind(static_token.as_ref().map(|token| secrets::hashed_static(token.expose())))
    .bind(role)
    .execute(&mut *connection)
    .await?;
    events::first_user(connection, ids, user).await?;
    Ok(Bootstrapped { admin: Some(user), password: password.1, token: made_token })
}

/// The secret, and the same once more when it was made here.
fn secret(given: &Given) -> Result<(Option<Secret>, Option<Secret>), Error> {
    Ok(match given {
        Given::None => (None, None),
        Given::Is(text) => (Some(text.clone()), None),
        Given::Made => {
            let made = Secret::new(secrets::random_text::<24>()?);
            (Some(made.clone()), Some(made))
        }
    })
}

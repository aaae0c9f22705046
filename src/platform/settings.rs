//! Settings of the roles of a process, read before anything starts.

use std::collections::BTreeSet;
use std::time::Duration;

use chassis::{ConfigError, Env};

use super::Error;
use crate::role::Role;

/// Settings of every role that is to run, read before anything starts.
pub struct Settings {
    pub(super) roles: BTreeSet<Role>,
    pub(super) secret: String,
    pub(super) fleet_secrets: Vec<String>,
    pub(super) db: Option<db::Config>,
    pub(super) bus: bus::Config,
    pub(super) grpc: Option<String>,
    pub(super) tls: Option<rpc::Tls>,
    pub(super) admin: String,
    pub(super) gateway: Option<gateway::Config>,
    pub(super) items: Option<items_service::Config>,
    pub(super) auth: Option<auth_service::Config>,
    pub(super) hooks: Option<hooks_worker::Config>,
    pub(super) analytics: Option<analytics_worker::Config>,
    pub(super) webhooks: Option<webhooks_worker::Config>,
    pub(super) cdn_purge: Option<cdn_purge_worker::Config>,
    pub(super) urls: Vec<(Role, Option<String>)>,
    pub(super) migrate: bool,
    pub(super) reflection: bool,
    pub(super) grace: Duration,
    pub(super) admin_user: Option<auth_service::FirstAdmin>,
}

impl Settings {
    /// Reads the settings of these roles. `dev` opens reflection and loopback defaults.
    pub fn from_env(env: &Env, roles: &[Role], dev: bool) -> Result<Self, Error> {
        let roles: BTreeSet<Role> = roles.iter().copied().collect();
        let has = |role: Role| roles.contains(&role);
        let needs_db = roles.iter().any(|role| *role != Role::Gateway);
        let urls = Role::all().into_iter().filter_map(|role| Some((role, role.url_key()?)));
        let urls = urls.map(|(role, key)| Ok((role, env.get(key)?))).collect::<Result<_, ConfigError>>()?;
        know_all(env);
        let default_grpc = dev.then(|| "127.0.0.1:9090".to_owned());
        let secret = env.required("SECRET")?;
        Ok(Self {
            fleet_secrets: fleet_secrets(env, &secret)?,
            secret,
            db: needs_db.then(|| db::Config::from_env(env)).transpose()?,
            bus: bus::Config::from_env(env)?,
            grpc: env.get("EVENTUS_GRPC_LISTEN")?.or(default_grpc),
            tls: rpc::Tls::from_env(env)?,
            admin: env.get("EVENTUS_ADMIN_LISTEN")?.unwrap_or_else(|| "127.0.0.1:9464".to_owned()),
            gateway: has(Role::Gateway).then(|| gateway::Config::from_env(env)).transpose()?,
            items: has(Role::Items).then(|| items_service::Config::from_env(env)).transpose()?,
            auth: has(Role::Auth).then(|| auth_service::Config::from_env(env)).transpose()?,
            hooks: has(Role::Hooks).then(|| hooks_worker::Config::from_env(env)).transpose()?,
            analytics: has(Role::Analytics).then(|| analytics_worker::Config::from_env(env)).transpose()?,
            webhooks: has(Role::Webhooks).then(|| webhooks_worker::Config::from_env(env)).transpose()?,
            cdn_purge: has(Role::CdnPurge).then(|| cdn_purge_worker::Config::from_env(env)).transpose()?,
            urls,
            migrate: env.flag("MIGRATE_ON_BOOT", true)?,
            reflection: env.flag("EVENTUS_GRPC_REFLECTION", dev)?,
            grace: env.duration("EVENTUS_STOP_GRACE", Duration::from_secs(20))?,
            admin_user: first_admin(env)?,
            roles,
        })
    }

    /// How long a soft stop may take before the hard one.
    pub fn grace(&self) -> Duration {
        self.grace
    }
}

/// What signs calls between processes: the first signs, all verify.
fn fleet_secrets(env: &Env, secret: &str) -> Result<Vec<String>, ConfigError> {
    let given = env.list("EVENTUS_FLEET_SECRETS")?;
    if given.iter().any(|one| one.len() < 32) {
        return Err(ConfigError::invalid(
            "EVENTUS_FLEET_SECRETS",
            "texts of 32 characters or more, between commas",
        ));
    }
    Ok(if given.is_empty() { vec![secret.to_owned()] } else { given })
}

/// Settings of roles that don't run here are known too: a fleet shares one set of them.
fn know_all(env: &Env) {
    let _ = db::Config::from_env(env);
    let _ = gateway::Config::from_env(env);
    let _ = items_service::Config::from_env(env);
    let _ = auth_service::Config::from_env(env);
    let _ = hooks_worker::Config::from_env(env);
    let _ = analytics_worker::Config::from_env(env);
    let _ = webhooks_worker::Config::from_env(env);
    let _ = cdn_purge_worker::Config::from_env(env);
}

/// The first admin, when ADMIN_EMAIL names one.
pub fn first_admin(env: &Env) -> Result<Option<auth_service::FirstAdmin>, ConfigError> {
    let (email, password, token) =
        (env.get("ADMIN_EMAIL")?, env.get("ADMIN_PASSWORD")?, env.get("ADMIN_TOKEN")?);
    Ok(email.map(|email| auth_service::FirstAdmin { email, password: password.into(), token: token.into() }))
}

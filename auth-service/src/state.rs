//! What every operation uses; made once.

use std::sync::Arc;

use bus::Bus;
use chassis::metrics::{self, IntCounterVec};
use db::Db;
use model::{Clock, Ids};
use secrets::{Hasher, Sealer};

use crate::last_access::Seen;
use crate::links::Links as Mailed;
use crate::mail::{Post, Project};
use crate::sso::Providers;
use crate::token::Succession;
use crate::users::Users;
use crate::{Config, Error, Links, tokens};

/// Shared by all operations.
pub struct State {
    /// Configuration.
    pub config: Config,
    /// PostgreSQL.
    pub db: Db,
    /// For pings only: a missed one costs half a second.
    pub bus: Bus,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn Ids>,
    /// Password hashes.
    pub hasher: Hasher,
    /// How often credentials may be tried.
    pub attempts: limits::Attempts,
    /// The first signs access tokens, all verify them.
    pub access_keys: Vec<rpc::jws::Key>,
    /// Makes successors of refresh tokens.
    pub succession: Succession,
    /// Who vouches for users.
    pub providers: Providers,
    /// Seals what browsers carry.
    pub sealer: Sealer,
    /// Users seen since the last write of `last_access`.
    pub seen: Seen,
    /// API keys seen since the last write of `last_used`.
    pub keys_seen: Seen,
    /// Writes users.
    pub users: Users,
    /// Links that are mailed.
    pub links: Mailed,
    /// Mails.
    pub post: Post,
    /// `eventus_logins_total{outcome}`.
    pub logins: IntCounterVec,
}

impl State {
    /// Builds it.
    ///
    /// # Errors
    /// The configured hash cost is out of range.
    pub fn try_new(config: Config, links: &Links) -> Result<Self, Error> {
        Ok(Self {
            hasher: Hasher::try_new(config.hash_cost)?,
            access_keys: tokens::access_keys(&config)?,
            succession: Succession::new(config.secret.expose()),
            providers: Providers::new(&config.sso),
            sealer: Sealer::try_new(config.secret.expose())?,
            attempts: limits::Attempts::new(&config.limits),
            users: Users::new(links.items.clone(), links.signer.clone(), links.clock.clone()),
            links: Mailed::new(config.secret.expose()),
            post: Post::try_new(&config)?,
            config,
            db: links.db.clone(),
            bus: links.bus.clone(),
            clock: links.clock.clone(),
            ids: links.ids.clone(),
            seen: Seen::of_users(),
            keys_seen: Seen::of_keys(),
            logins: metrics::counter(
                "eventus_logins_total",
                "Logins by outcome: success, refused, limited, invalid (request), failed (not decided).",
                &["outcome"],
            ),
        })
    }

    /// Whose project it is.
    pub async fn project(&self) -> Result<Project, Error> {
        const PROJECT: &str = "SELECT project_name, project_color FROM directus_settings ORDER BY id LIMIT 1";
        let found: Option<(String, String)> = sqlx::query_as(PROJECT).fetch_optional(&self.db).await?;
        let (name, color) = found.unwrap_or_else(|| ("Directus".to_owned(), String::new()));
        Ok(Project { name, color })
    }

    /// Wakes the relay after a commit that appended events.
    pub async fn appended(&self) {
        self.bus.ping("log").await;
    }

    /// Wakes the relay and all who remember sessions.
    pub async fn session_ended(&self) {
        self.appended().await;
        self.bus.ping("control").await;
    }
}

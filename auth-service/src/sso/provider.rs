//! One provider as it is now: where it is spoken to, and the keys that it signs with, asked of itself and remembered.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use outbound::{Client, Request, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::config::{Driver, ProviderConfig, WELL_KNOWN};
use super::keys::{self, Key};
use super::{away, settings};
use crate::Error;

/// How long a provider's word about itself is remembered.
const FRESH: Duration = Duration::from_secs(3_600);
/// After a failure nobody asks again for so long.
const PAUSE: Duration = Duration::from_secs(2);
/// So often at most an unknown key makes us ask for the keys again.
const UNKNOWN: Duration = Duration::from_secs(30);

/// A provider.
#[derive(Debug)]
pub struct Provider {
    pub config: ProviderConfig,
    client: Client,
    outbound: outbound::Config,
    endpoints: Kept<Endpoints>,
    keys: Kept<Vec<Key>>,
}

/// Where it is spoken to.
#[derive(Debug)]
pub struct Endpoints {
    /// `iss` of its tokens and answers; `None` of a provider of OAuth 2.0, which has none.
    pub issuer: Option<String>,
    /// Where browsers go.
    pub authorize: String,
    /// Where codes become tokens.
    pub token: Url,
    /// Where it says who the owner of an access token is.
    pub person: Option<Url>,
    /// Its answers always name it (RFC 9207).
    pub names_itself: bool,
    keys: Option<Url>,
}

/// The configuration of a provider (OpenID Connect Discovery 1.0).
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    userinfo_endpoint: Option<String>,
    jwks_uri: String,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl Provider {
    /// Nothing is asked yet.
    pub fn new(config: ProviderConfig, client: Client, outbound: outbound::Config) -> Self {
        Self { config, client, outbound, endpoints: Kept::default(), keys: Kept::default() }
    }

    /// Where it is spoken to.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE`: it does not say, or says what can't be trusted.
    pub async fn endpoints(&self) -> Result<Arc<Endpoints>, Error> {
        self.endpoints.get(false, || self.discover()).await.ok_or_else(|| self.away("no configuration"))
    }

    /// The keys that it signs with; `unknown`: one of them was not among those that are remembered.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE`.
    pub async fn keys(&self, endpoints: &Endpoints, unknown: bool) -> Result<Arc<Vec<Key>>, Error> {
        let fetch = async || {
            let url = endpoints.keys.clone().ok_or("it has no keys")?;
            keys::parse(&self.get(url, HeaderMap::new()).await?).ok_or("its keys can't be read")
        };
        self.keys.get(unknown, fetch).await.ok_or_else(|| self.away("no keys"))
    }

    /// Sends a request and gives its answer.
    ///
    /// # Errors
    /// Why there is none, or only a part of it, for the log.
    pub async fn send(&self, request: Request) -> Result<(StatusCode, Bytes), &'static str> {
        let answer = self.client.send(request).await.map_err(|error| error.class.as_str())?;
        if answer.truncated { Err("its answer is too long") } else { Ok((answer.status, answer.body)) }
    }

    /// A GET that must be answered with 200.
    ///
    /// # Errors
    /// Why it was not, for the log.
    pub async fn get(&self, url: Url, mut headers: HeaderMap) -> Result<Bytes, &'static str> {
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let request = Request { method: Method::GET, url, headers, body: Bytes::new(), deadline: None };
        let (status, body) = self.send(request).await?;
        if status == StatusCode::OK { Ok(body) } else { Err("it answers another status than 200") }
    }

    /// 503.
    pub fn away(&self, why: &str) -> Error {
        away(&self.config.name, why)
    }

    /// 401.
    pub fn refused(&self, why: &str) -> Error {
        super::refused(&self.config.name, why)
    }

    async fn discover(&self) -> Result<Endpoints, &'static str> {
        let trusted = |url: &str| {
            settings::trusted(&self.outbound, url).ok_or("one of its addresses is neither https nor allowed")
        };
        let configuration = match &self.config.driver {
            Driver::OpenId { configuration } => configuration,
            Driver::OAuth2 { authorize, access, profile } => {
                return Ok(Endpoints {
                    issuer: None,
                    authorize: authorize.clone(),
                    token: trusted(access)?,
                    person: Some(trusted(profile)?),
                    names_itself: false,
                    keys: None,
                });
            }
        };
        let body = self.get(trusted(configuration)?, HeaderMap::new()).await?;
        let document: Document = json(&body)?;
        if format!("{}{WELL_KNOWN}", document.issuer.trim_end_matches('/')) != *configuration {
            return Err("its configuration is of another issuer");
        }
        trusted(&document.authorization_endpoint)?;
        Ok(Endpoints {
            issuer: Some(document.issuer),
            authorize: document.authorization_endpoint,
            token: trusted(&document.token_endpoint)?,
            person: document.userinfo_endpoint.as_deref().map(trusted).transpose()?,
            names_itself: document.authorization_response_iss_parameter_supported,
            keys: Some(trusted(&document.jwks_uri)?),
        })
    }
}

/// A JSON answer.
///
/// # Errors
/// For the log.
pub fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, &'static str> {
    serde_json::from_slice(body).map_err(|_| "its answer is not what it should be")
}

/// What is asked of a provider now and then. Of many who want it at once one asks.
#[derive(Debug)]
struct Kept<T>(Mutex<Slot<T>>);

#[derive(Debug)]
struct Slot<T> {
    value: Option<(Arc<T>, Instant)>,
    failed: Option<Instant>,
    forced: Option<Instant>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new(Slot { value: None, failed: None, forced: None }))
    }
}

impl<T> Kept<T> {
    /// What is remembered, if it is young enough, else what `fetch` brings; when that fails, what is there. `force`: even
    /// if it is young, but not all the time.
    async fn get<F>(&self, force: bool, fetch: impl FnOnce() -> F) -> Option<Arc<T>>
    where
        F: Future<Output = Result<T, &'static str>>,
    {
        let mut slot = self.0.lock().await;
        let within = |at: Option<Instant>, span| at.is_some_and(|at| at.elapsed() < span);
        let force = force && !within(slot.forced, UNKNOWN);
        let present = slot.value.as_ref().map(|(value, at)| (value.clone(), at.elapsed() < FRESH));
        let fresh = present.as_ref().is_some_and(|(_, fresh)| *fresh);
        let present = present.map(|(value, _)| value);
        if (fresh && !force) || within(slot.failed, PAUSE) {
            return present;
        }
        if force {
            slot.forced = Some(Instant::now());
        }
        match fetch().await {
            Ok(value) => {
                let value = Arc::new(value);
                slot.value = Some((value.clone(), Instant::now()));
                Some(value)
            }
            Err(why) => {
                tracing::warn!(why, "single sign-on: a provider said nothing of itself");
                slot.failed = Some(Instant::now());
                present
            }
        }
    }
}

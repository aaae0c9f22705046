//! Single sign-on: whoever a provider vouches for (OpenID Connect, OAuth 2.0) gets a session like any other.
//!
//! Nothing is kept here between the two halves of a login (`begin`, `finish`): what has to be remembered travels
//! sealed in a cookie of the browser that began (`flight`). A user is who the provider says by (provider, identifier);
//! an account of another provider is never taken over, whatever its address.

mod account;
mod begin;
mod config;
mod enter;
mod exchange;
mod finish;
mod flight;
mod id_token;
mod keys;
mod person;
mod provider;
mod redirect;
mod settings;

use model::{Error as Told, ErrorCode};
use proto::auth::v1::{Provider as Listed, ProvidersResponse};

pub use begin::begin;
pub use config::SsoConfig;
pub use finish::finish;

use crate::Error;
use crate::state::State;
use provider::Provider;

/// The providers of this installation, made once.
#[derive(Debug)]
pub struct Providers {
    all: Vec<Provider>,
}

impl Providers {
    /// Those of the settings.
    pub fn new(config: &SsoConfig) -> Self {
        let client = outbound::Client::new(config.outbound.clone());
        let of = |provider| Provider::new(provider, client.clone(), config.outbound.clone());
        Self { all: config.providers.iter().cloned().map(of).collect() }
    }

    /// The provider of this name.
    ///
    /// # Errors
    /// `ROUTE_NOT_FOUND`: an unknown provider is an unknown route.
    fn named(&self, name: &str) -> Result<&Provider, Error> {
        let found = self.all.iter().find(|provider| provider.config.name == name);
        found.ok_or_else(|| no_route(&format!("/auth/login/{name}")).into())
    }
}

/// Who can vouch for users.
pub fn list(state: &State) -> ProvidersResponse {
    let config = &state.config.sso;
    let listed = config.providers.iter().map(|provider| Listed {
        name: provider.name.clone(),
        driver: provider.driver.name().to_owned(),
        icon: provider.icon.clone(),
        label: provider.label.clone(),
        session: provider.session,
    });
    ProvidersResponse { providers: listed.collect(), disable_default: config.disable_default }
}

/// 404 for a way to log in that is not there.
pub fn no_route(path: &str) -> Told {
    Told::new(ErrorCode::RouteNotFound)
        .with_message(format!("Route {path} doesn't exist."))
        .with("path", path)
}

/// Not believed, or nobody we know: the caller learns no more than that, the log says why.
fn refused(provider: &str, why: &str) -> Error {
    tracing::info!(provider, why, "single sign-on refused");
    Told::new(ErrorCode::InvalidCredentials).into()
}

/// The provider is no help now: 503, the log says why.
fn away(provider: &str, why: &str) -> Error {
    tracing::warn!(provider, why, "single sign-on: the provider can't be asked");
    Told::unavailable(provider).into()
}

//! Who makes the request: its credential turned into accountability, with what the request says of the client.

use std::ops::Deref;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, Method};
use model::{Error, ErrorCode};
use rpc::Identity;

use crate::client::{self, Peer};
use crate::edge::RequestId;
use crate::failure::Failure;
use crate::state::Gateway;
use crate::{cookie, origin, token};

/// Who calls, for `Gateway::call`. A bad credential refuses the request; none is the public.
#[derive(Debug, Clone)]
pub struct Caller(pub rpc::Caller);

/// As [`Caller`], but whatever credential the request carries is not looked at.
#[derive(Debug, Clone)]
pub struct Anyone(pub Caller);

impl Deref for Caller {
    type Target = rpc::Caller;

    fn deref(&self) -> &rpc::Caller {
        &self.0
    }
}

impl Caller {
    /// Nobody in particular: what he is told may be told to everybody.
    pub fn is_public(&self) -> bool {
        let who = &self.accountability;
        who.user.is_none()
            && who.role.is_none()
            && who.process.is_none()
            && who.session.is_none()
            && !who.admin
    }

    /// Refuses all but admins.
    ///
    /// # Errors
    /// 403.
    pub fn require_admin(&self) -> Result<(), Error> {
        if self.accountability.admin { Ok(()) } else { Err(Error::forbidden()) }
    }
}

impl FromRequestParts<Gateway> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Failure> {
        let config = &gateway.config;
        let credential = token::find(&parts.headers, parts.uri.query(), &config.session_cookie.name)?;
        let identity = match credential {
            None => gateway.authenticator.authenticate("").await?,
            Some(credential) => {
                if credential.from_cookie && changes_something(&parts.method) {
                    require_home(&parts.headers, gateway)?;
                }
                let known = gateway.authenticator.authenticate(&credential.token).await;
                known.map_err(|errors| {
                    let failure = Failure::from(errors);
                    let dead = credential.from_cookie && failure.code() != ErrorCode::ServiceUnavailable;
                    let forget = dead.then(|| cookie::clear(&config.session_cookie)).flatten();
                    failure.with_cookie(forget)
                })?
            }
        };
        let caller = describe(&identity, parts, gateway);
        if let (Some(limits), Some(user)) = (&gateway.limits, caller.accountability.user) {
            limits.user(user, &*gateway.clock).await?;
        }
        Ok(caller)
    }
}

impl FromRequestParts<Gateway> for Anyone {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Failure> {
        Ok(Self(describe(&Identity::default(), parts, gateway)))
    }
}

/// A cookie comes along by itself: a page elsewhere must not use it.
///
/// # Errors
/// 403.
pub fn require_home(headers: &HeaderMap, gateway: &Gateway) -> Result<(), Error> {
    if origin::is_trusted(headers, gateway.public_origin.as_deref(), &gateway.config.cors) {
        return Ok(());
    }
    Err(Error::forbidden())
}

fn describe(identity: &Identity, parts: &Parts, gateway: &Gateway) -> Caller {
    let peer = parts.extensions.get::<Peer>();
    let address = client::address_of(&parts.headers, peer, gateway.config.trust_proxy);
    let mut accountability = identity.at(address);
    client::describe(&mut accountability, &parts.headers, address);
    let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
    Caller(rpc::Caller { request_id, accountability, silent: false })
}

fn changes_something(method: &Method) -> bool {
    !(method.is_safe() || method.as_str() == "SEARCH")
}

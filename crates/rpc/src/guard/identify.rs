//! Who calls? Signed for by a process of the fleet, known by a bearer token, or the public.

use http::request::Parts;
use http::{HeaderMap, header};
use model::{Accountability, Error, ErrorCode};
use tonic::transport::server::TcpConnectInfo;

use super::Inner;
use crate::{ACCOUNTABILITY, Caller, Identity, REQUEST_ID};

/// Longest request id and user agent that are taken over, in bytes.
const LONGEST: usize = 256;

impl Inner {
    /// A signed accountability that does not verify is refused, whatever else there is.
    pub(super) async fn identify(&self, request: &Parts) -> Result<Caller, Error> {
        let headers = &request.headers;
        let request_id = text(headers, REQUEST_ID);
        let accountability = match only(headers, ACCOUNTABILITY)? {
            Some(signed) => self.signer.verify(signed, self.clock.now()).map_err(|error| {
                tracing::warn!(error = &error as &dyn std::error::Error, "accountability refused");
                Error::new(ErrorCode::InvalidToken)
            })?,
            None => self.outsider(request).await?,
        };
        Ok(Caller { request_id, accountability, silent: false })
    }

    /// Someone who is not of the fleet; what the connection says of him is noted.
    async fn outsider(&self, request: &Parts) -> Result<Accountability, Error> {
        let headers = &request.headers;
        let peer = request.extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
        let known = match only(headers, header::AUTHORIZATION.as_str())? {
            Some(value) => self.bearer(value).await?,
            None => self.public().await?,
        };
        let known = known.at(peer.map(|peer| peer.ip()));
        Ok(Accountability {
            // Only a signature makes a process.
            process: None,
            ip: peer.map(|peer| peer.ip().to_canonical().to_string()),
            user_agent: text(headers, header::USER_AGENT.as_str()),
            origin: None,
            ..known
        })
    }

    /// Nobody in particular. Where nobody can be asked he holds nothing.
    async fn public(&self) -> Result<Identity, Error> {
        match &self.authenticator {
            Some(authenticator) => authenticator.authenticate("").await,
            None => Ok(Identity::default()),
        }
    }

    async fn bearer(&self, value: &str) -> Result<Identity, Error> {
        let refused = || Error::new(ErrorCode::InvalidCredentials);
        let (scheme, token) = value.split_once(' ').ok_or_else(refused)?;
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
            return Err(refused());
        }
        match &self.authenticator {
            Some(authenticator) => authenticator.authenticate(token).await,
            None => Err(refused()),
        }
    }
}

/// The value of a header that must not be there twice.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Error> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match (value.to_str(), values.next()) {
        (Ok(value), None) => Ok(Some(value)),
        _ => Err(Error::new(ErrorCode::InvalidToken)),
    }
}

/// The value of a header that is only noted: visible ASCII, not too long.
fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    (!value.is_empty() && value.len() <= LONGEST).then(|| value.to_owned())
}

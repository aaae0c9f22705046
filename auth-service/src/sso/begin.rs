//! The first half of a login: where the browser goes, and what it keeps until it comes back.

use model::Error as Told;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proto::auth::v1::{BeginSsoRequest, BeginSsoResponse};

use super::config::Driver;
use super::flight::{self, Flight};
use super::redirect;
use crate::Error;
use crate::state::State;

/// What stands for itself in a query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Longest one-time password that is carried along.
const LONGEST_OTP: usize = 64;

/// Begins a login.
pub async fn begin(state: &State, request: BeginSsoRequest) -> Result<BeginSsoResponse, Error> {
    let provider = state.providers.named(&request.provider)?;
    let (sso, config) = (&state.config.sso, &provider.config);
    let to = request.redirect.unwrap_or_else(|| "/".to_owned());
    if !redirect::is_allowed(&to, sso, config) {
        let reason = format!("URL \"{to}\" can't be used to redirect after login");
        return Err(Told::invalid_payload(reason).into());
    }
    if request.otp.as_ref().is_some_and(|otp| otp.len() > LONGEST_OTP) {
        return Err(Told::invalid_payload("\"otp\" is too long").into());
    }
    let authorize = provider.endpoints().await?.authorize.clone();
    let flight = Flight::begun(to, request.otp, state.clock.now())?;
    let callback = sso.callback(&config.name);
    let challenge = flight.challenge();
    let mut pairs = vec![
        ("client_id", config.client_id.as_str()),
        ("response_type", "code"),
        ("scope", &config.scope),
        ("redirect_uri", &callback),
        ("state", &flight.state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    if let Driver::OpenId { .. } = config.driver {
        pairs.push(("nonce", &flight.nonce));
    }
    if request.prompt {
        pairs.push(("prompt", "consent"));
    }
    let given = config.params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let given = given.filter(|(name, _)| !(request.prompt && *name == "prompt"));
    let pairs: Vec<(&str, &str)> = pairs.iter().copied().chain(given).collect();
    let join = if authorize.contains('?') { '&' } else { '?' };
    Ok(BeginSsoResponse {
        url: format!("{authorize}{join}{}", form(&pairs)),
        flight: flight.sealed(&state.sealer, &config.name)?,
        lifetime: model::milliseconds(flight::LIFETIME),
    })
}

/// Pairs as a query or a form has them.
pub(super) fn form(pairs: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{}={}", encoded(name), encoded(value));
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// One text of them.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

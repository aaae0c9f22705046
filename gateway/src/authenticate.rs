//! Token -> accountability, asked of the auth service and remembered while that is provably still true.
//!
//! What is remembered counts only while the versions of `access` and `sessions` are the ones it was asked under, and
//! only while the last proof of those versions is younger than a second. Without proof every request asks.

mod cache;
mod freshness;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bus::Bus;
use chassis::Component;
use model::{Clock, Error, Errors};
use proto::auth::v1::auth_service_client::AuthServiceClient;
use proto::auth::v1::{AuthenticateRequest, ControlRequest};
use ring::digest;
use rpc::{Channel, Identity, Signer};
use tokio::sync::watch;

use cache::{Cache, Entry};
use freshness::Freshness;

/// How long an answer is good when nothing is heard, in milliseconds: what others revoke in the database moves no
/// version.
const REMEMBERED: i64 = 5_000;

/// How long the auth service may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Knows who is behind a token.
#[derive(Debug)]
pub struct Authenticator {
    client: AuthServiceClient<Channel>,
    signer: Signer,
    clock: Arc<dyn Clock>,
    process: rpc::Caller,
    cache: Cache,
    freshness: Freshness,
}

impl Authenticator {
    /// Remembers up to `size` tokens.
    pub fn new(channel: Channel, signer: Signer, clock: Arc<dyn Clock>, size: usize) -> Self {
        Self {
            client: AuthServiceClient::new(channel),
            signer,
            clock,
            process: rpc::Caller::process("gateway"),
            cache: Cache::new(size),
            freshness: Freshness::default(),
        }
    }

    /// Who acts by a token; by none the public.
    ///
    /// # Errors
    /// INVALID_CREDENTIALS, TOKEN_EXPIRED, INVALID_TOKEN; SERVICE_UNAVAILABLE when it can't be found out now.
    pub async fn authenticate(&self, token: &str) -> Result<Identity, Errors> {
        let mut key = [0; 32];
        key.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        // Taken before asking: what changes meanwhile makes the answer old.
        let generation = self.freshness.generation();
        let now = self.now();
        if let Some(known) = generation.and_then(|generation| self.cache.get(&key, generation, now)) {
            return Ok(known);
        }
        let (identity, valid_until) = self.ask(token).await?;
        if let Some(generation) = generation {
            let known_until = now + REMEMBERED;
            let valid_until = if valid_until == 0 { known_until } else { valid_until.min(known_until) };
            self.cache.put(key, Entry { identity: identity.clone(), valid_until, generation });
        }
        Ok(identity)
    }

    /// Says so when tokens may have changed their meaning: long-lived streams ask again.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.freshness.subscribe()
    }

    /// Watches the control versions for as long as it is polled: every 500 ms and at every ping. `known` is up from
    /// the first answer on.
    pub async fn keep_fresh(&self, bus: &Bus, known: Component) -> Infallible {
        let (me, known) = (self, &known);
        let ask = move || async move {
            let mut request = rpc::outgoing(&me.signer, &*me.clock, &me.process, ControlRequest {});
            request.set_timeout(freshness::PROOF);
            let versions = me.client.clone().control(request).await?.into_inner().versions;
            known.up();
            Ok(versions)
        };
        self.freshness.keep(bus, ask).await
    }

    async fn ask(&self, token: &str) -> Result<(Identity, i64), Errors> {
        let message = AuthenticateRequest { token: token.to_owned() };
        let mut request = rpc::outgoing(&self.signer, &*self.clock, &self.process, message);
        request.set_timeout(PATIENCE);
        let answer = self.client.clone().authenticate(request).await.map_err(rpc::errors)?.into_inner();
        let valid_until = answer.valid_until;
        let identity = Identity::try_new(answer).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "the auth service's answer");
            Error::internal()
        })?;
        Ok((identity, valid_until))
    }

    fn now(&self) -> i64 {
        // A present instant is far from i64's range.
        i64::try_from(self.clock.now().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
    }
}

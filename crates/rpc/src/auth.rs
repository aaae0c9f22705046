//! Credentials of callers from outside the fleet: asked of the auth service, remembered for a second at most.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use model::{Clock, Error, ErrorCode};
use proto::auth::v1::AuthenticateRequest;
use proto::auth::v1::auth_service_client::AuthServiceClient;
use ring::digest;
use tokio::sync::OnceCell;

use crate::{Caller, Channel, Identity, Signer, errors, outgoing};

/// Turns a bearer token into who acts.
pub trait Authenticator: Send + Sync + std::fmt::Debug {
    /// Who acts by a token; by none the public. INVALID_CREDENTIALS, TOKEN_EXPIRED or INVALID_TOKEN when it is no good,
    /// SERVICE_UNAVAILABLE when that can't be found out now.
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Identity, Error>>;
}

/// How long an answer is believed.
const FRESH: Duration = Duration::from_secs(1);
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most answers remembered.
const MOST: usize = 10_000;

/// Asks the auth service. Cheap to clone; clones share what they remember. Many calls with one token at a time ask
/// once. Tokens are remembered as hashes.
#[derive(Debug, Clone)]
pub struct AuthClient {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: AuthServiceClient<Channel>,
    signer: Signer,
    clock: Arc<dyn Clock>,
    caller: Caller,
    answers: Mutex<HashMap<[u8; 32], Arc<Answer>>>,
}

#[derive(Debug)]
struct Answer {
    /// When it was asked: what it says may be that old.
    asked: Instant,
    cell: OnceCell<Result<Known, Error>>,
}

#[derive(Debug, Clone)]
struct Known {
    identity: Identity,
    /// Milliseconds since the Unix epoch; 0 = no end.
    valid_until: i64,
}

impl AuthClient {
    /// Asks over `channel`, as the process `name`.
    pub fn new(channel: Channel, signer: Signer, clock: Arc<dyn Clock>, name: &str) -> Self {
        let client = AuthServiceClient::new(channel);
        let caller = Caller::process(name);
        Self { inner: Arc::new(Inner { client, signer, clock, caller, answers: Mutex::default() }) }
    }

    /// Forgets everything (sessions or access have changed).
    pub fn forget(&self) {
        self.inner.answers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Authenticator for AuthClient {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Identity, Error>> {
        Box::pin(self.inner.authenticate(token))
    }
}

impl Inner {
    async fn authenticate(&self, token: &str) -> Result<Identity, Error> {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        let answer = self.answer(hash);
        let known = answer.cell.get_or_init(|| self.ask(token)).await.clone();
        let known = match known {
            Ok(known) => known,
            Err(error) => {
                self.drop_answer(&hash, &answer);
                return Err(error);
            }
        };
        let now = self.clock.now().unix_timestamp_nanos() / 1_000_000;
        if known.valid_until != 0 && now >= i128::from(known.valid_until) {
            return Err(Error::new(ErrorCode::TokenExpired));
        }
        Ok(known.identity)
    }

    /// The answer that is fresh or being asked for, or a new one to be filled.
    fn answer(&self, hash: [u8; 32]) -> Arc<Answer> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answers.get(&hash).filter(|answer| answer.asked.elapsed() < FRESH) {
            return answer.clone();
        }
        if answers.len() >= MOST {
            answers.retain(|_, answer| answer.asked.elapsed() < FRESH);
            if answers.len() >= MOST {
                answers.clear();
            }
        }
        let answer = Arc::new(Answer { asked: Instant::now(), cell: OnceCell::new() });
        answers.insert(hash, answer.clone());
        answer
    }

    /// A refusal is told to those who waited with us and not remembered.
    fn drop_answer(&self, hash: &[u8; 32], answer: &Arc<Answer>) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.get(hash).is_some_and(|kept| Arc::ptr_eq(kept, answer)) {
            answers.remove(hash);
        }
    }

    async fn ask(&self, token: &str) -> Result<Known, Error> {
        let message = AuthenticateRequest { token: token.to_owned() };
        let mut request = outgoing(&self.signer, &*self.clock, &self.caller, message);
        request.set_timeout(PATIENCE);
        let answer = match self.client.clone().authenticate(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return Err(errors(status).0.into_iter().next().unwrap_or_else(Error::internal)),
        };
        let valid_until = answer.valid_until;
        let identity = Identity::try_new(answer).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "the auth service's answer");
            Error::internal()
        })?;
        Ok(Known { identity, valid_until })
    }
}

//! What a listener from outside the fleet came in by: looked at again whenever sessions or access have moved, and now and
//! then, as credentials expire. Of the gateway's listeners the gateway looks after.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use db::control::Versions;
use model::{Accountability, Error, ErrorCode};
use rpc::Authenticator;
use tokio::sync::watch;
use tokio::time::{Instant, interval_at};

/// Access tokens expire without anybody saying so; and an answer may have been a moment too old.
const EVERY: Duration = Duration::from_secs(1);

/// A token, and who came in by it.
pub struct Credential {
    pub auth: Arc<dyn Authenticator>,
    pub token: String,
    pub who: Accountability,
    pub versions: watch::Receiver<Versions>,
}

impl Credential {
    /// Returns when it no longer means what it meant.
    pub async fn ended(mut self) -> Error {
        let address = self.who.ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok());
        let was = means(self.who.clone());
        let mut ticks = interval_at(Instant::now() + EVERY, EVERY);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                changed = self.versions.changed() => if changed.is_err() {
                    return Error::unavailable("events");
                },
            }
            match self.auth.authenticate(&self.token).await {
                Ok(identity) if means(identity.at(address)) == was => {}
                Ok(_) => return Error::new(ErrorCode::InvalidCredentials),
                Err(error) => return error,
            }
        }
    }
}

/// What counts of somebody, beside where he calls from.
fn means(who: Accountability) -> Accountability {
    Accountability { ip: None, user_agent: None, origin: None, process: None, ..who }
}

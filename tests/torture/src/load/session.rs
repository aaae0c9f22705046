//! Logs in, works, logs out, and tries what is left of the session at both gateways.

use std::time::Duration;

use http::Method;
use serde_json::json;

use super::Shared;
use crate::ground::{EMAIL, PASSWORD};
use crate::records::Session;

/// What is promised: nobody is let in later than this after a logout was acknowledged.
const STALE: Duration = Duration::from_secs(1);

pub async fn run(shared: Shared) {
    while !shared.over() {
        if one(&shared).await.is_none() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// One session from its beginning to its end; nothing when an outage came between.
async fn one(shared: &Shared) -> Option<()> {
    let nobody = shared.ground.http.with_token(None);
    let body = json!({"email": EMAIL, "password": PASSWORD});
    let login = nobody.ask(0, Method::POST, "/auth/login", &[], Some(&body)).await?;
    if login.status != 200 {
        return None;
    }
    let data = login.data();
    let (access, refresh) = (data["access_token"].as_str()?, data["refresh_token"].as_str()?);
    let user = shared.ground.http.with_token(Some(access));
    for gateway in 0..2 {
        // Both remember the token.
        user.ask(gateway, Method::GET, "/users/me?fields=id", &[], None).await;
    }
    let body = json!({"refresh_token": refresh});
    let logout = nobody.ask(1, Method::POST, "/auth/logout", &[], Some(&body)).await?;
    if logout.status != 204 {
        return None;
    }
    let ended = shared.history.now();
    tokio::time::sleep(STALE).await;
    for gateway in 0..2 {
        let asked = shared.history.now();
        let answer = user.ask(gateway, Method::GET, "/users/me?fields=id", &[], None).await;
        let session = Session { ended, asked, status: answer.map(|answer| answer.status) };
        shared.history.note("session", &session);
        shared.history.records().sessions.push(session);
    }
    Some(())
}

//! What people do with their accounts, through the public door.

mod invitations;
mod limiter;
mod mails;
mod passwords;
mod registrations;
mod second_factor;
mod timing;
mod tools;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::api::{Answer, Api};
use crate::world::{Options, World};

/// The first admin's address and password in every world.
const ADMIN: &str = "admin@example.com";
const PASSWORD: &str = crate::world::PASSWORD;

/// A fleet that sends its mails to a server of the test's own.
async fn mailing(smtp: &testkit::Smtp, more: &[(&str, &str)]) -> World {
    let options = Options::default()
        .set("EMAIL_TRANSPORT", "smtp")
        .set("EMAIL_SMTP_HOST", "127.0.0.1")
        .set("EMAIL_SMTP_PORT", smtp.port().to_string())
        .set("EMAIL_SMTP_IGNORE_TLS", "true")
        .set("EMAIL_FROM", "no-reply@example.com")
        .set("PUBLIC_URL", "https://data.example.com")
        .set("LOGIN_STALL_TIME", "100")
        .set("REGISTER_STALL_TIME", "150");
    let options = more.iter().fold(options, |options, (key, value)| options.set(key, *value));
    World::with(shape!(), options).await
}

async fn login(api: &Api, email: &str, password: &str) -> Answer {
    api.with_token(None).post("/auth/login", json!({"email": email, "password": password})).await
}

async fn login_with(api: &Api, email: &str, password: &str, otp: &str) -> Answer {
    let body = json!({"email": email, "password": password, "otp": otp});
    api.with_token(None).post("/auth/login", body).await
}

/// Changes settings of the project.
async fn settings(world: &World, changes: Value) {
    world.api.patch("/settings", changes).await.expect(200);
}

/// What an access or mailed token says.
fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// The user of an address, as an administrator sees him.
async fn user(world: &World, email: &str) -> Value {
    let found =
        world.api.get(&format!("/users?filter[email][_eq]={}", email.replace('+', "%2B"))).await.expect(200);
    found.data()[0].clone()
}

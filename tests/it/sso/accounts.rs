//! Whose account it is: found by provider and identifier only, never taken over, kept up to date where settings say so.

use serde_json::{Value, json};

use super::super::accounts::second_factor::otp;
use super::{ADMINS, House, STAFF, ended, person};

/// The place that a login of a new browser ends at.
async fn ends(house: &House, provider: &str, who: &str) -> String {
    let answer = house.browser().log_in(provider, who, "?redirect=/in").await.expect(302);
    answer.header("location").unwrap().to_owned()
}

const IN: &str = "/in";
const NOBODY: &str = "/in?reason=INVALID_CREDENTIALS";
const ASKED: &str = "/in?reason=INVALID_OTP";
const TAKEN: &str = "/in?reason=INVALID_PROVIDER";

#[tokio::test]
async fn no_account_is_taken_over() {
    let house = House::start(shape!()).await;
    let api = &house.world.api;
    let local =
        api.post("/users", json!({"email": "Local@example.com", "password": "x"})).await.expect(200).data();
    house.provider.knows("local", person("Local", "local@example.com")).await;
    house.provider.knows("admin", person("Admin", "admin@example.com")).await;
    let before = house.counted().await;
    for provider in ["acme", "ed", "plain", "ec"] {
        assert_eq!(ends(&house, provider, "local").await, TAKEN, "{provider}");
        assert_eq!(ends(&house, provider, "admin").await, TAKEN, "{provider}");
    }
    assert_eq!(house.counted().await, before);
    let still = api.get(&format!("/users/{}", local["id"].as_str().unwrap())).await.expect(200).data();
    assert_eq!((&still["provider"], &still["external_identifier"]), (&json!("default"), &Value::Null));
    assert_eq!(still["email"], "Local@example.com");

    // The same identifier of another provider is somebody else.
    house.provider.knows("alice", person("Alice", "alice@example.com")).await;
    assert_eq!(ends(&house, "acme", "alice").await, IN);
    house.provider.knows("alice", person("Mallory", "mallory@example.com")).await;
    assert_eq!(ends(&house, "twin", "alice").await, TAKEN);
    assert_eq!(house.user("twin", "alice").await, Value::Null);
    // The same person, whatever his address is now; it is not synchronised unless settings say so.
    assert_eq!(ends(&house, "acme", "alice").await, IN);
    assert_eq!(house.user("acme", "alice").await["email"], "alice@example.com");
}

#[tokio::test]
async fn only_active_users_come_in_and_all_others_are_alike() {
    let house = House::start(shape!()).await;
    house.provider.knows("alice", person("Alice", "alice@example.com")).await;
    assert_eq!(ends(&house, "closed", "alice").await, NOBODY, "nobody registers there");
    let made = json!({"provider": "closed", "external_identifier": "alice", "email": "alice@example.com"});
    let id = house.world.api.post("/users", made).await.expect(200).data()["id"].as_str().unwrap().to_owned();
    let browser = house.browser();
    assert_eq!(browser.log_in("closed", "alice", "?redirect=/in").await.header("location"), Some(IN));
    browser.home("/users/me").await.expect(200);
    for status in ["suspended", "archived", "draft", "invited", "unverified"] {
        house.world.api.patch(&format!("/users/{id}"), json!({"status": status})).await.expect(200);
        ended(async || browser.home("/users/me").await).await;
        let before = house.counted().await;
        assert_eq!(ends(&house, "closed", "alice").await, NOBODY, "{status}");
        assert_eq!(ends(&house, "closed", "nobody").await, NOBODY);
        assert_eq!(house.counted().await, before, "{status}");
    }
    house.world.api.patch(&format!("/users/{id}"), json!({"status": "active"})).await.expect(200);
    assert_eq!(ends(&house, "closed", "alice").await, IN);
    // Whoever has a second factor here is asked for it.
    let sql = "UPDATE directus_users SET tfa_secret = 'JBSWY3DPEHPK3PXP' WHERE id = $1::uuid";
    sqlx::query(sql).bind(&id).execute(&house.world.pool().await).await.unwrap();
    assert_eq!(ends(&house, "closed", "alice").await, ASKED);
    let with = async |otp: &str| {
        let answer = house.browser().log_in("closed", "alice", &format!("?redirect=/in&otp={otp}")).await;
        answer.expect(302).header("location").unwrap().to_owned()
    };
    assert_eq!(with("000000").await, ASKED);
    let right = otp("JBSWY3DPEHPK3PXP", 0);
    assert_eq!(with(&right).await, IN);
    assert_eq!(with(&right).await, ASKED, "it is good once");
}

#[tokio::test]
async fn an_address_that_is_not_verified_is_none() {
    let house = House::start(shape!()).await;
    let unverified = json!({"email": "admin@example.com", "email_verified": false, "given_name": "Mallory"});
    house.provider.knows("mallory", unverified).await;
    let before = house.counted().await;
    for provider in ["strict", "ed", "plain"] {
        assert_eq!(ends(&house, provider, "mallory").await, NOBODY, "{provider}");
    }
    assert_eq!(house.counted().await, before);
    assert_eq!(ends(&house, "acme", "mallory").await, IN);
    assert_eq!(house.user("acme", "mallory").await["email"], Value::Null);
    house.provider.knows("silent", json!({"email": "silent@example.com"})).await;
    assert_eq!(ends(&house, "strict", "silent").await, NOBODY);
    house.provider.knows("silent", person("Silent", "silent@example.com")).await;
    assert_eq!(ends(&house, "strict", "silent").await, IN);
}

#[tokio::test]
async fn roles_and_names_follow_the_provider() {
    let house = House::start(shape!()).await;
    let knows = async |groups: Value, name: &str, email: &str| {
        let mut claims = person(name, email);
        claims["groups"] = groups;
        house.provider.knows("gina", claims).await;
    };
    knows(json!(["other", "staff", "admins"]), "Gina", "gina@example.com").await;
    assert_eq!(ends(&house, "ec", "gina").await, IN);
    let gina = house.user("ec", "gina").await;
    assert_eq!((&gina["role"], &gina["first_name"]), (&json!(ADMINS), &json!("Gina")));

    // Out of the group: out of the role, and what she had is over.
    let browser = house.browser();
    browser.log_in("ec", "gina", "").await.expect(302);
    let refresh = json!({"refresh_token": browser.cookie("directus_refresh_token"), "mode": "json"});
    let old = house.world.api.with_token(None).post("/auth/refresh", refresh).await.expect(200).data();
    knows(json!([]), "Regina", "regina@example.com").await;
    assert_eq!(ends(&house, "ec", "gina").await, IN);
    let gina = house.user("ec", "gina").await;
    assert_eq!((&gina["role"], &gina["first_name"]), (&json!(STAFF), &json!("Regina")));
    assert_eq!(gina["email"], "regina@example.com");
    let with_old = house.world.api.with_token(old["access_token"].as_str());
    ended(async || with_old.get("/users/me").await).await;

    // An address that somebody else has, or one that is not verified, is not taken.
    knows(Value::Null, "Regina", "admin@example.com").await;
    assert_eq!(ends(&house, "ec", "gina").await, TAKEN);
    let mut claims = person("Regina", "other@example.com");
    claims["email_verified"] = json!(false);
    house.provider.knows("gina", claims).await;
    assert_eq!(ends(&house, "ec", "gina").await, IN);
    assert_eq!(house.user("ec", "gina").await["email"], "regina@example.com");
}

#[tokio::test]
async fn of_many_at_once_one_is_made() {
    let house = House::start(shape!()).await;
    house.provider.knows("alice", person("Alice", "alice@example.com")).await;
    let browsers: Vec<_> = (0..6).map(|_| house.browser()).collect();
    let walks = browsers.iter().map(|browser| browser.walk("acme", "alice", "?redirect=/in"));
    let backs = futures_util::future::join_all(walks).await;
    let before = house.counted().await;
    let gets = browsers.iter().zip(&backs).map(|(browser, back)| browser.get(back));
    for answer in futures_util::future::join_all(gets).await {
        assert_eq!(answer.expect(302).header("location"), Some(IN));
    }
    assert_eq!(house.counted().await, (before.0 + 1, before.1 + 6));
}

//! Every way to cheat ends with nothing: no user, no session, and an answer that says no more than that.

use std::time::Duration;

use super::browser::{Browser, HOME};
use super::{House, person};

const REFUSED: &str = "/in?reason=INVALID_CREDENTIALS";
const START: &str = "https://eventus.test/admin/login?reason=INVALID_CREDENTIALS";

/// Where a browser that comes back so is sent.
async fn sent(browser: &Browser, back: &str) -> String {
    let answer = browser.get(back).await.expect(302);
    assert!(browser.cookie("directus_session_token").is_none(), "{back}");
    answer.header("location").unwrap().to_owned()
}

#[tokio::test]
async fn wrong_id_tokens_are_not_believed() {
    let house = House::start(shape!()).await;
    house.provider.knows("alice", person("Alice", "alice@example.com")).await;
    house.browser().log_in("acme", "alice", "").await.expect(302);
    let before = house.counted().await;
    for wrong in [
        "nonce",
        "no_nonce",
        "audience",
        "audiences",
        "party",
        "issuer",
        "expired",
        "future",
        "not_yet",
        "person",
        "owner",
        "none",
        "none_kid",
        "hmac_key",
        "hmac_secret",
        "stray",
        "unknown",
        "algorithm",
    ] {
        house.provider.wrong(wrong).await;
        let browser = house.browser();
        let back = browser.walk("acme", "alice", "?redirect=/in").await;
        assert_eq!(sent(&browser, &back).await, REFUSED, "{wrong}");
        assert_eq!(house.counted().await, before, "{wrong}");
    }
    house.provider.right().await;
    house.browser().log_in("acme", "alice", "").await.expect(302);
    assert_eq!(house.counted().await, (before.0, before.1 + 1));
}

#[tokio::test]
async fn an_answer_is_good_once_in_the_browser_that_asked() {
    let house = House::start(shape!()).await;
    house.provider.knows("alice", person("Alice", "alice@example.com")).await;
    let before = house.counted().await;
    let flight = "__Host-eventus_login_acme";

    // Login CSRF: the attacker's answer in a browser that has begun nothing, or something else.
    let (attacker, victim) = (house.browser(), house.browser());
    let back = attacker.walk("acme", "alice", "?redirect=/in").await;
    assert_eq!(sent(&victim, &back).await, START);
    victim.home("/auth/login/acme?redirect=/in").await.expect(302);
    assert_eq!(sent(&victim, &back).await, REFUSED, "the state is another login's");

    // What was carried is sealed, for one provider.
    let carried = attacker.cookie(flight).unwrap();
    for (name, value) in
        [("acme", format!("{carried}x")), ("acme", carried[..40].to_owned()), ("twin", carried.clone())]
    {
        let browser = house.browser();
        browser.set_cookie(&format!("__Host-eventus_login_{name}"), &value);
        let back = back.replace("/acme/", &format!("/{name}/"));
        assert_eq!(sent(&browser, &back).await, START);
    }

    // Bent answers.
    let code = back.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let state = back.split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let issuer = super::encoded(&house.provider.issuer);
    let at = |query: String| format!("{HOME}/auth/login/acme/callback?{query}");
    for bent in [
        at(String::new()),
        at(format!("code={code}")),
        at(format!("state={state}")),
        at(format!("state={state}&iss={issuer}")),
        at(format!("code={code}&state={state}")),
        at(format!("code={code}&state={state}&iss=https%3A%2F%2Fanother.example")),
        at(format!("code={code}&state={state}x&iss={issuer}")),
        at(format!("code=&state={state}&iss={issuer}")),
        at(format!("code=other&state={state}&iss={issuer}")),
        at(format!("code={code}&error=access_denied&state={state}&iss={issuer}")),
    ] {
        let browser = house.browser();
        browser.set_cookie(flight, &carried);
        assert_eq!(sent(&browser, &bent).await, REFUSED, "{bent}");
        assert!(browser.cookie(flight).is_none(), "what was carried is used up");
    }
    assert_eq!(house.counted().await, before);
    once(&house, &attacker, &back, &carried).await;
}

/// The true answer is still good, in its browser; and then it is not.
async fn once(house: &House, browser: &Browser, back: &str, carried: &str) {
    let before = house.counted().await;
    let answer = browser.get(back).await.expect(302);
    assert_eq!(answer.header("location"), Some("/in"));
    assert_eq!(house.counted().await, (before.0 + 1, before.1 + 1));
    let again = browser.get(back).await.expect(302);
    assert_eq!(again.header("location"), Some(START));
    let thief = house.browser();
    thief.set_cookie("__Host-eventus_login_acme", carried);
    assert_eq!(sent(&thief, back).await, REFUSED, "the code was used");
    assert_eq!(house.counted().await.0, before.0 + 1);
    let browser = house.browser();
    let denied = browser.walk("acme", "denied", "?redirect=/in").await;
    assert_eq!(sent(&browser, &denied).await, REFUSED);
}

#[tokio::test]
async fn keys_turn_and_are_not_asked_for_all_the_time() {
    let house = House::start(shape!()).await;
    house.provider.knows("alice", person("Alice", "alice@example.com")).await;
    for _ in 0..2 {
        house.browser().log_in("acme", "alice", "").await.expect(302);
    }
    assert_eq!(house.provider.keys_asked().await, 1);
    house.provider.wrong("turned").await;
    house.browser().log_in("acme", "alice", "").await.expect(302);
    assert_eq!(house.provider.keys_asked().await, 2);
    house.provider.wrong("unknown").await;
    for _ in 0..3 {
        let answer = house.browser().log_in("acme", "alice", "").await.expect(302);
        assert_eq!(answer.header("location"), Some("/?reason=INVALID_CREDENTIALS"));
    }
    assert_eq!(house.provider.keys_asked().await, 2);
    // A configuration of another issuer is none; the one that is known already goes on.
    house.provider.wrong("discovery").await;
    house.browser().log_in("acme", "alice", "").await.expect(302);
    house.browser().home("/auth/login/twin").await.refused(503, "SERVICE_UNAVAILABLE");
}

#[tokio::test]
async fn a_provider_that_is_away_is_a_503() {
    let house = House::with(
        shape!(),
        &[("AUTH_CLOSED_ISSUER_URL", "http://127.0.0.1:1"), ("AUTH_TWIN_CLIENT_SECRET", "wrong")],
    )
    .await;
    house.provider.knows("alice", person("Alice", "alice@example.com")).await;
    let answer = house.browser().home("/auth/login/closed").await;
    assert_eq!(answer.header("retry-after"), Some("1"));
    answer.refused(503, "SERVICE_UNAVAILABLE");
    let browser = house.browser();
    let back = browser.walk("twin", "alice", "?redirect=/in").await;
    assert_eq!(sent(&browser, &back).await, "/in?reason=SERVICE_UNAVAILABLE");
    // In the middle of a login.
    let browser = house.browser();
    let back = browser.walk("acme", "alice", "?redirect=/in").await;
    drop(house.provider);
    let answer = tokio::time::timeout(Duration::from_secs(20), browser.get(&back)).await.unwrap().expect(302);
    assert_eq!(answer.header("location"), Some("/in?reason=SERVICE_UNAVAILABLE"));
}

#[tokio::test]
async fn a_login_ends_at_home_or_at_a_listed_place() {
    let house = House::start(shape!()).await;
    let browser = house.browser();
    let begin = async |redirect: &str| {
        browser.home(&format!("/auth/login/acme?redirect={}", super::encoded(redirect))).await
    };
    for good in [
        "/",
        "/a?b=c",
        HOME,
        "https://EVENTUS.test:443/a",
        "https://app.example/done",
        "https://app.example/done?x=1",
    ] {
        begin(good).await.expect(302);
    }
    for bad in [
        "//evil.example",
        "/\\evil.example",
        "\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "https:evil.example",
        "hTTps://eViL.example",
        "https://eventus.test@evil.example/",
        "https://user:word@eventus.test/",
        "https://eventus.test\\@evil.example",
        "https://eventus.test.evil.example",
        "http://eventus.test/",
        "https://eventus.test:8443/",
        "https://app.example/other",
        "https://app.example",
        "javascript:alert(1)",
        "evil",
        "",
        "/\r\nset-cookie: a=b",
    ] {
        let answer = begin(bad).await;
        assert!(answer.headers.get("location").is_none() && answer.headers.get("set-cookie").is_none());
        answer.refused(400, "INVALID_PAYLOAD");
    }
    browser.home(&format!("/auth/login/acme?otp={}", "1".repeat(65))).await.refused(400, "INVALID_PAYLOAD");
}

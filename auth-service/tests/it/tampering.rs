//! Forged, altered and foreign access tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::ErrorCode;
use serde_json::{Value, json};

use crate::world::{ADMIN, PASSWORD, SECRET, World, code};

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn signed(secret: &str, header: &Value, claims: &Value) -> String {
    let body = format!("{}.{}", part(header), part(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = ring::hmac::sign(&key, body.as_bytes());
    format!("{body}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_our_own_signature_is_taken() {
    let world = World::new().await;
    let tokens = world.login(ADMIN, PASSWORD).await.unwrap();
    let good = tokens.access_token.clone();
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    for name in ["id", "role", "app_access", "admin_access", "iat", "exp", "iss", "sid"] {
        assert!(claims.get(name).is_some(), "{name}");
    }
    assert_eq!(claims["iss"], "directus");
    let hs256 = json!({"alg": "HS256", "typ": "JWT"});
    // Made by anyone who knows the secret: the very same form is taken.
    world.authenticate(&signed(SECRET, &hs256, &claims)).await.unwrap();

    let mut other = claims.clone();
    other["id"] = json!("00000000-0000-0000-0000-000000000001");
    let cases = [
        ("bad signature", format!("{header}.{payload}.AAAA"), ErrorCode::InvalidCredentials),
        ("another secret", signed("another", &hs256, &claims), ErrorCode::InvalidCredentials),
        ("another payload", format!("{header}.{}.{signature}", part(&other)), ErrorCode::InvalidCredentials),
        ("alg none", format!("{}.{payload}.", part(&json!({"alg": "none"}))), ErrorCode::InvalidToken),
        ("alg none, signed", signed(SECRET, &json!({"alg": "none"}), &claims), ErrorCode::InvalidToken),
        ("alg HS512", signed(SECRET, &json!({"alg": "HS512"}), &claims), ErrorCode::InvalidToken),
        ("alg RS256", signed(SECRET, &json!({"alg": "RS256"}), &claims), ErrorCode::InvalidToken),
        ("no claims", signed(SECRET, &hs256, &json!({"id": "1"})), ErrorCode::InvalidToken),
        ("no JSON", format!("{header}.AAAA.{signature}"), ErrorCode::InvalidCredentials),
        ("a session of another", signed(SECRET, &hs256, &other), ErrorCode::InvalidCredentials),
        ("of no form", "a.b.c".to_owned(), ErrorCode::InvalidCredentials),
    ];
    for (what, token, expected) in cases {
        assert_eq!(code(world.authenticate(&token).await), expected, "{what}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn issuer_and_session_are_checked_and_rights_in_the_claims_are_not_believed() {
    let world = World::new().await;
    world.user("plain@example.com", PASSWORD).await;
    let tokens = world.login("plain@example.com", PASSWORD).await.unwrap();
    let payload = tokens.access_token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let hs256 = json!({"alg": "HS256", "typ": "JWT"});

    let mut boastful = claims.clone();
    boastful["admin_access"] = json!(true);
    let who = world.authenticate(&signed(SECRET, &hs256, &boastful)).await.unwrap();
    assert!(!who.accountability.unwrap().admin);

    let mut foreign = claims.clone();
    foreign["iss"] = json!("somebody");
    assert_eq!(code(world.authenticate(&signed(SECRET, &hs256, &foreign)).await), ErrorCode::InvalidToken);

    let mut homeless = claims;
    homeless["sid"] = json!("0".repeat(64));
    let refused = world.authenticate(&signed(SECRET, &hs256, &homeless)).await;
    assert_eq!(code(refused), ErrorCode::InvalidCredentials);
    // An access token is no refresh token.
    assert_eq!(code(world.refresh(&tokens.access_token).await), ErrorCode::InvalidCredentials);
    world.stop().await;
}

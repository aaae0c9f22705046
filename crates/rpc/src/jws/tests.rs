use base64::Engine as _;
use ring::hmac;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{BASE64, Error, Expected, Key, sign, verify};

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_000_000).unwrap()
}

fn expected() -> Expected<'static> {
    Expected { now: now(), issuer: None, audience: None }
}

fn key() -> Key {
    Key::new(b"secret", "JWT")
}

/// A token with any header and claims, rightly signed with `secret`.
fn forged(header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"secret"), signed.as_bytes());
    format!("{signed}.{}", BASE64.encode(tag))
}

fn refused(token: &str) -> Error {
    verify::<Value>(&key(), token, &expected()).unwrap_err()
}

#[test]
fn what_was_signed_comes_back() {
    let claims = json!({ "exp": 1_000_001, "id": "x" });
    let token = sign(&key(), &claims).unwrap();
    assert_eq!(verify::<Value>(&key(), &token, &expected()), Ok(claims));
}

#[test]
fn agrees_with_the_standard() {
    // The example of jwt.io with `exp` far away, made by another implementation.
    let header = json!({ "typ": "JWT", "alg": "HS256" });
    let token = forged(&header, &json!({ "exp": 4_102_444_800_i64, "sub": "1234567890" }));
    assert_eq!(verify::<Value>(&key(), &token, &expected()).unwrap()["sub"], "1234567890");
}

#[test]
fn the_token_has_no_say_in_the_algorithm() {
    let claims = json!({ "exp": 2_000_000 });
    for alg in ["none", "None", "HS384", "HS512", "RS256", "EdDSA", ""] {
        let header = json!({ "alg": alg, "typ": "JWT" });
        assert_eq!(refused(&forged(&header, &claims)), Error::Algorithm, "{alg}");
        let unsigned =
            format!("{}.{}.", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        assert_eq!(refused(&unsigned), Error::Algorithm, "{alg}");
    }
    let critical = json!({ "alg": "HS256", "typ": "JWT", "crit": ["b64"], "b64": false });
    assert_eq!(refused(&forged(&critical, &claims)), Error::Algorithm);
}

#[test]
fn the_type_must_fit() {
    let claims = json!({ "exp": 2_000_000 });
    assert_eq!(refused(&forged(&json!({ "alg": "HS256", "typ": "acc" }), &claims)), Error::Type);
    assert_eq!(refused(&forged(&json!({ "alg": "HS256" }), &claims)), Error::Type);
}

#[test]
fn another_key_and_every_changed_byte_are_seen() {
    let token = sign(&key(), &json!({ "exp": 2_000_000, "admin": false })).unwrap();
    let other = Key::new(b"secreT", "JWT");
    assert_eq!(verify::<Value>(&other, &token, &expected()), Err(Error::Signature));
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(verify::<Value>(&key(), &changed, &expected()).is_err(), "byte {at}");
    }
    let (signed, _) = token.rsplit_once('.').unwrap();
    assert_eq!(refused(&format!("{signed}.")), Error::Signature);
}

#[test]
fn times_are_kept() {
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    assert_eq!(refused(&forged(&header, &json!({ "exp": 1_000_000 }))), Error::Expired);
    assert_eq!(refused(&forged(&header, &json!({ "exp": 2e6, "nbf": 1_000_100 }))), Error::NotYet);
    assert_eq!(refused(&forged(&header, &json!({ "exp": 2e6, "iat": 1_000_100 }))), Error::NotYet);
    assert_eq!(refused(&forged(&header, &json!({}))), Error::Claims, "exp is a must");
    assert_eq!(refused(&forged(&header, &json!({ "exp": "never" }))), Error::Claims);
    let skewed = json!({ "exp": 1_000_100.5, "iat": 1_000_003 });
    assert!(verify::<Value>(&key(), &forged(&header, &skewed), &expected()).is_ok());
}

#[test]
fn audience_and_issuer_must_fit_when_asked_for() {
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    let wanted = Expected { now: now(), issuer: Some("directus"), audience: Some("eventus") };
    let verdict = |claims: Value| verify::<Value>(&key(), &forged(&header, &claims), &wanted).map(drop);
    let fine = json!({ "exp": 2e6, "iss": "directus", "aud": "eventus" });
    assert_eq!(verdict(fine), Ok(()));
    assert_eq!(verdict(json!({ "exp": 2e6, "iss": "directus", "aud": ["a", "eventus"] })), Ok(()));
    assert_eq!(verdict(json!({ "exp": 2e6, "iss": "directus", "aud": "event" })), Err(Error::Audience));
    assert_eq!(verdict(json!({ "exp": 2e6, "iss": "directus" })), Err(Error::Audience));
    assert_eq!(verdict(json!({ "exp": 2e6, "aud": "eventus" })), Err(Error::Issuer));
    assert_eq!(verdict(json!({ "exp": 2e6, "iss": "me", "aud": "eventus" })), Err(Error::Issuer));
}

#[test]
fn what_is_no_token_is_malformed() {
    let token = sign(&key(), &json!({ "exp": 2_000_000 })).unwrap();
    for text in ["", ".", "..", "...", "a.b", "a.b.c", "\u{e9}.\u{e9}.\u{e9}"] {
        assert_eq!(refused(text), Error::Malformed, "{text}");
    }
    assert_eq!(refused(&format!("{token}.x")), Error::Malformed);
    assert_eq!(refused(&"a".repeat(20_000)), Error::Malformed);
}

const ED25519: &str = include_str!("../../../../tests/fixtures/keys/a.pem");
const RSA: &str = include_str!("../../../../tests/fixtures/keys/b.pem");

fn keys(pem: &str) -> Vec<Key> {
    Key::from_pem(pem, "JWT").unwrap()
}

#[test]
fn keys_of_pairs_sign_and_verify_by_name() {
    let claims = json!({ "exp": 1_000_001, "id": "x" });
    let both = keys(&format!("{ED25519}{RSA}"));
    for (key, alg) in both.iter().zip(["EdDSA", "RS256"]) {
        let token = sign(key, &claims).unwrap();
        let header = BASE64.decode(token.split('.').next().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!((&header["alg"], &header["typ"]), (&json!(alg), &json!("JWT")));
        let public = key.jwk().unwrap();
        assert_eq!((&header["kid"], &public["alg"]), (&public["kid"], &json!(alg)));
        assert!(public.get("d").is_none() && public.get("k").is_none());
        assert_eq!(super::verify_by::<Value>(&both, &token, &expected()), Ok(claims.clone()));
        assert_eq!(
            super::verify_by::<Value>(&[super::Key::new(b"secret", "JWT")], &token, &expected()),
            Err(Error::Signature)
        );
        let mut changed = token.clone();
        changed.replace_range(token.len() - 8..token.len() - 4, "AAAA");
        assert_eq!(super::verify_by::<Value>(&both, &changed, &expected()), Err(Error::Signature));
    }
    assert!(Key::new(b"secret", "JWT").jwk().is_none());
}

/// The public key is known to everybody: it must not be taken for a secret, and no other algorithm for the key's own.
#[test]
fn algorithms_can_not_be_confused() {
    let both = keys(&format!("{ED25519}{RSA}"));
    let claims = json!({ "exp": 2_000_000 });
    for key in &both {
        let public = key.jwk().unwrap();
        let known = public["x"].as_str().or(public["n"].as_str()).unwrap();
        for alg in
            ["none", "HS256", "HS512", "RS512", "ES256", if key.alg == "EdDSA" { "RS256" } else { "EdDSA" }]
        {
            for kid in [json!(public["kid"]), Value::Null, json!("another")] {
                let header = json!({ "alg": alg, "typ": "JWT", "kid": kid });
                let signed =
                    format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
                for secret in [known.as_bytes(), &BASE64.decode(known).unwrap()] {
                    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
                    for token in [format!("{signed}.{}", BASE64.encode(tag)), format!("{signed}.")] {
                        assert!(super::verify_by::<Value>(&both, &token, &expected()).is_err(), "{header}");
                    }
                }
            }
        }
    }
}

#[test]
fn only_private_keys_are_taken() {
    let cut = &ED25519[..ED25519.len() - 30];
    let certificate = ED25519.replace("PRIVATE KEY", "CERTIFICATE");
    for wrong in ["", "secret", cut, &certificate, &format!("{ED25519}{certificate}"), &RSA.replace('M', "N")]
    {
        assert!(Key::from_pem(wrong, "JWT").is_err(), "{wrong}");
    }
    assert_eq!(keys(&ED25519.replace('\n', "\\n")).len(), 1);
}

//! Every way to be wrong, with keys of both kinds that can be made here; RS256 is what the provider of the system suite
//! signs with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Expected, Refused, verify};
use crate::sso::keys::{self, Key};

struct Signers {
    p256: EcdsaKeyPair,
    ed: Ed25519KeyPair,
    keys: Vec<Key>,
}

fn signers() -> Signers {
    let random = SystemRandom::new();
    let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let p256 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
    let p256 = EcdsaKeyPair::from_pkcs8(kind, p256.as_ref(), &random).unwrap();
    let ed = Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()).unwrap();
    let point = p256.public_key().as_ref();
    let set = json!({"keys": [
        {"kty": "EC", "crv": "P-256", "kid": "p", "use": "sig", "x": BASE64.encode(&point[1..33]), "y": BASE64.encode(&point[33..])},
        {"kty": "OKP", "crv": "Ed25519", "kid": "e", "alg": "EdDSA", "x": BASE64.encode(ed.public_key())},
        {"kty": "oct", "kid": "o", "k": BASE64.encode("secret")},
        {"kty": "RSA", "kid": "enc", "use": "enc", "n": "AQAB", "e": "AQAB"},
        {"kty": 1},
    ]});
    let keys = keys::parse(set.to_string().as_bytes()).unwrap();
    assert_eq!(keys.len(), 2);
    Signers { p256, ed, keys }
}

impl Signers {
    fn token(&self, header: Value, claims: &Value) -> String {
        let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let signature = match header["kid"].as_str() {
            Some("e") => self.ed.sign(signed.as_bytes()).as_ref().to_vec(),
            _ => self.p256.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{signed}.{}", BASE64.encode(signature))
    }
}

const NOW: i64 = 1_800_000_000;

fn claims() -> Value {
    json!({"iss": "https://id.example", "sub": "alice", "aud": "eventus", "exp": NOW + 60, "iat": NOW, "nonce": "n"})
}

fn verified(token: &str, keys: &[Key]) -> Result<String, Refused> {
    let now = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
    let expected = Expected { issuer: "https://id.example", client_id: "eventus", nonce: "n", now };
    verify(token, keys, &expected).map(|claims| claims["sub"].as_str().unwrap().to_owned())
}

#[test]
fn good_tokens_of_both_kinds() {
    let signers = signers();
    for header in [
        json!({"alg": "ES256", "kid": "p"}),
        json!({"alg": "ES256"}),
        json!({"alg": "EdDSA", "kid": "e", "typ": "JWT"}),
    ] {
        assert_eq!(verified(&signers.token(header, &claims()), &signers.keys).unwrap(), "alice");
    }
    for (name, value) in [("aud", json!(["eventus"])), ("azp", json!("eventus")), ("nbf", json!(NOW))] {
        let mut claims = claims();
        claims[name] = value;
        let token = signers.token(json!({"alg": "ES256", "kid": "p"}), &claims);
        assert_eq!(verified(&token, &signers.keys).unwrap(), "alice", "{name}");
    }
}

#[test]
fn wrong_claims_are_refused() {
    let signers = signers();
    for (name, value) in [
        ("iss", json!("https://evil.example")),
        ("iss", json!("https://id.example/")),
        ("iss", Value::Null),
        ("sub", json!("")),
        ("sub", json!(1)),
        ("aud", json!("other")),
        ("aud", json!(["other"])),
        ("aud", json!([])),
        ("aud", json!(["eventus", "other"])),
        ("azp", json!("other")),
        ("exp", json!(NOW)),
        ("exp", json!("never")),
        ("exp", Value::Null),
        ("iat", json!(NOW + 31)),
        ("iat", Value::Null),
        ("nbf", json!(NOW + 31)),
        ("nonce", json!("other")),
        ("nonce", json!("")),
        ("nonce", Value::Null),
    ] {
        let mut claims = claims();
        claims[name] = value;
        let token = signers.token(json!({"alg": "ES256", "kid": "p"}), &claims);
        let refused = verified(&token, &signers.keys).unwrap_err();
        assert!(matches!(refused, Refused::Because(_)), "{claims}");
    }
}

#[test]
fn the_key_says_the_algorithm() {
    let signers = signers();
    let token = |header: Value| signers.token(header, &claims());
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "None", "kid": "p"}),
        json!({"alg": "HS256", "kid": "p"}),
        json!({"alg": "HS256", "kid": "o"}),
        json!({"alg": "RS256", "kid": "p"}),
        json!({"alg": "EdDSA", "kid": "p"}),
        json!({"alg": "ES256", "kid": "e"}),
        json!({"alg": "RS256", "kid": "enc-or-not"}),
        json!({"alg": "ES256", "kid": "p", "crit": ["b64"]}),
    ] {
        let refused = verified(&token(header.clone()), &signers.keys).unwrap_err();
        let unknown = header["kid"] == "enc-or-not";
        assert_eq!(refused == Refused::UnknownKey, unknown, "{header}");
    }
    // Without a signature, with another one's, or changed afterwards.
    let good = token(json!({"alg": "ES256", "kid": "p"}));
    let (signed, _) = good.rsplit_once('.').unwrap();
    let none = format!("{}.{}", BASE64.encode(r#"{"alg":"none"}"#), good.split('.').nth(1).unwrap());
    let other = self::signers().token(json!({"alg": "ES256", "kid": "p"}), &claims());
    let mut bob = claims();
    bob["sub"] = json!("bob");
    let swapped = {
        let parts: Vec<&str> = good.split('.').collect();
        format!("{}.{}.{}", parts[0], BASE64.encode(bob.to_string()), parts[2])
    };
    for bad in [
        format!("{signed}."),
        format!("{none}."),
        none,
        other,
        swapped,
        String::new(),
        "a.b".into(),
        "a.b.c".into(),
    ] {
        assert!(verified(&bad, &signers.keys).is_err(), "{bad}");
    }
    assert_eq!(keys::parse(b"{}").map(|keys| keys.len()), None);
}

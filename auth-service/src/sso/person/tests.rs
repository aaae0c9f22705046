//! Whose claims are believed, and what of them.

use chassis::Env;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Claims, Person, of};
use crate::sso::SsoConfig;

const ROLE: &str = "00000000-0000-4000-8000-000000000001";
const OTHER: &str = "00000000-0000-4000-8000-000000000002";

fn read(driver: &str, more: &[(&str, &str)], sources: &[Value]) -> Result<Person, &'static str> {
    let plain = [
        ("AUTH_PROVIDERS", "acme"),
        ("PUBLIC_URL", "https://api.example.com"),
        ("AUTH_ACME_DRIVER", driver),
        ("AUTH_ACME_CLIENT_ID", "eventus"),
        ("AUTH_ACME_ISSUER_URL", "https://id.example"),
        ("AUTH_ACME_AUTHORIZE_URL", "https://id.example/auth"),
        ("AUTH_ACME_ACCESS_URL", "https://id.example/token"),
        ("AUTH_ACME_PROFILE_URL", "https://id.example/me"),
    ];
    let pairs = plain.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let pairs: std::collections::BTreeMap<String, String> = pairs.collect();
    let config = SsoConfig::from_env(&Env::from_pairs(pairs)).unwrap();
    let sources: Vec<Claims> = sources.iter().map(|source| source.as_object().unwrap().clone()).collect();
    of(&config.providers[0], &sources)
}

#[test]
fn an_address_counts_when_its_own_source_says_that_it_is_verified() {
    let email = |driver, sources: &[Value]| {
        read(driver, &[("AUTH_ACME_IDENTIFIER_KEY", "sub")], sources).unwrap().email
    };
    let of = |verified: Value| json!({"sub": "1", "email": "a@b.example", "email_verified": verified});
    let silent = json!({"sub": "1", "email": "a@b.example"});
    let known = Some("a@b.example".to_owned());
    assert_eq!(email("openid", &[of(json!(true))]), known);
    assert_eq!(email("openid", &[of(json!("true"))]), known);
    for not in [json!(false), json!("false"), json!(1), json!("yes"), json!({}), Value::Null] {
        assert_eq!(email("openid", &[of(not.clone())]), None, "{not}");
    }
    assert_eq!(email("openid", std::slice::from_ref(&silent)), None);
    assert_eq!(email("oauth2", std::slice::from_ref(&silent)), known);
    assert_eq!(email("oauth2", &[of(json!(false))]), None);
    // One source's word does not count for the address of another.
    let other = json!({"sub": "1", "email": "victim@b.example"});
    assert_eq!(email("openid", &[other.clone(), of(json!(true))]), None);
    assert_eq!(email("openid", &[silent.clone(), of(json!(true))]), known);
    for odd in ["a", "@b", "a@", "a@b@c", "a @b.example", "a@b.example\n"] {
        assert_eq!(
            email("openid", &[json!({"sub": "1", "email": odd, "email_verified": true})]),
            None,
            "{odd:?}"
        );
    }
}

#[test]
fn nobody_is_made_of_what_does_not_fit() {
    let unverified = json!({"sub": "1", "email": "a@b.example", "email_verified": false});
    for (driver, more, source) in [
        ("openid", vec![("AUTH_ACME_REQUIRE_VERIFIED_EMAIL", "true")], unverified.clone()),
        ("openid", vec![("AUTH_ACME_IDENTIFIER_KEY", "email")], unverified.clone()),
        ("oauth2", vec![], unverified),
        ("oauth2", vec![("AUTH_ACME_REQUIRE_VERIFIED_EMAIL", "true")], json!({"email": "a@b.example"})),
        ("openid", vec![], json!({"email": "a@b.example", "email_verified": true})),
        ("openid", vec![], json!({"sub": {"a": 1}})),
        ("openid", vec![], json!({"sub": "a".repeat(256)})),
        ("openid", vec![], json!({"sub": "a\u{0}"})),
    ] {
        assert!(read(driver, &more, std::slice::from_ref(&source)).is_err(), "{driver} {more:?} {source}");
    }
}

#[test]
fn names_and_nested_claims() {
    let source = json!({"data": {"id": 42, "name": "n".repeat(60)}, "a.b": "plain", "a": {"b": "deep"}});
    let more = [
        ("AUTH_ACME_IDENTIFIER_KEY", "data.id"),
        ("AUTH_ACME_FIRST_NAME_KEY", "data.name"),
        ("AUTH_ACME_LAST_NAME_KEY", "a.b"),
    ];
    let person = read("oauth2", &more, &[source]).unwrap();
    assert_eq!((person.identifier.as_str(), person.folded, person.email), ("42", false, None));
    assert_eq!(person.first_name.unwrap().len(), 50);
    assert_eq!(person.last_name.as_deref(), Some("plain"));
}

#[test]
fn the_first_mapping_that_fits_is_the_role() {
    let mapping = format!(r#"{{"staff":"{ROLE}","admins":"{OTHER}"}}"#);
    let role = |groups: Value, default: &str| {
        let more = [("AUTH_ACME_ROLE_MAPPING", mapping.as_str()), ("AUTH_ACME_DEFAULT_ROLE_ID", default)];
        read("openid", &more, &[json!({"sub": "1", "groups": groups})]).unwrap().role
    };
    let id = |text: &str| Some(Some(Uuid::parse_str(text).unwrap()));
    assert_eq!(role(json!(["admins", "staff"]), ""), id(ROLE));
    assert_eq!(role(json!(["x", "admins"]), ROLE), id(OTHER));
    assert_eq!(role(json!("admins"), ""), id(OTHER));
    assert_eq!(role(json!("admins,staff"), ""), Some(None));
    assert_eq!(role(json!({"staff": true}), ""), Some(None));
    assert_eq!(role(Value::Null, ROLE), id(ROLE));
    assert_eq!(read("openid", &[], &[json!({"sub": "1", "groups": ["staff"]})]).unwrap().role, None);
}

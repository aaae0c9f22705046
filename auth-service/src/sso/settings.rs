//! The settings of one provider, `AUTH_<NAME>_<PART>`: how each is read.

use std::fmt;

use chassis::{ConfigError, Env};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use uuid::Uuid;

macro_rules! parts {
    ($($name:ident $key:literal),+ $(,)?) => {
        /// What is said of a provider; docs/OPERATIONS.md says what each is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Part { $($name),+ }

        impl Part {
            /// Its part of the variable's name.
            fn key(self) -> &'static str { match self { $(Self::$name => $key),+ } }
        }
    };
}

parts! {
    Driver "DRIVER", Mode "MODE", Label "LABEL", Icon "ICON", ClientId "CLIENT_ID", ClientSecret "CLIENT_SECRET",
    ClientTokenEndpointAuthMethod "CLIENT_TOKEN_ENDPOINT_AUTH_METHOD", Scope "SCOPE", IssuerUrl "ISSUER_URL",
    AuthorizeUrl "AUTHORIZE_URL", AccessUrl "ACCESS_URL", ProfileUrl "PROFILE_URL", IdentifierKey "IDENTIFIER_KEY",
    EmailKey "EMAIL_KEY", FirstNameKey "FIRST_NAME_KEY", LastNameKey "LAST_NAME_KEY",
    AllowPublicRegistration "ALLOW_PUBLIC_REGISTRATION", RequireVerifiedEmail "REQUIRE_VERIFIED_EMAIL",
    DefaultRoleId "DEFAULT_ROLE_ID", SyncUserInfo "SYNC_USER_INFO", RoleMapping "ROLE_MAPPING",
    GroupClaimName "GROUP_CLAIM_NAME", Params "PARAMS", RedirectAllowList "REDIRECT_ALLOW_LIST",
}

/// Parameters of the authorization request that are ours to give.
const OURS: [&str; 9] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
];

/// The settings of one provider.
pub struct Of<'a> {
    pub env: &'a Env,
    pub name: &'a str,
    pub outbound: &'a outbound::Config,
}

impl Of<'_> {
    /// The name of a variable.
    pub fn key(&self, part: Part) -> String {
        format!("AUTH_{}_{}", self.name.to_ascii_uppercase(), part.key())
    }

    pub fn invalid(&self, part: Part, expected: &str) -> ConfigError {
        ConfigError::invalid(&self.key(part), expected)
    }

    pub fn text(&self, part: Part) -> Result<Option<String>, ConfigError> {
        self.env.get(&self.key(part))
    }

    pub fn required(&self, part: Part) -> Result<String, ConfigError> {
        self.env.required(&self.key(part))
    }

    pub fn flag(&self, part: Part) -> Result<bool, ConfigError> {
        self.env.flag(&self.key(part), false)
    }

    pub fn one_of<T: Copy>(&self, part: Part, known: &[(&str, T)], default: T) -> Result<T, ConfigError> {
        let Some(text) = self.text(part)? else { return Ok(default) };
        let names = || known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let found = known.iter().find(|(name, _)| *name == text.trim()).map(|(_, value)| *value);
        found.ok_or_else(|| self.invalid(part, &format!("one of {}", names())))
    }

    pub fn role(&self, part: Part) -> Result<Option<Uuid>, ConfigError> {
        let read = |text: String| Uuid::parse_str(text.trim()).map_err(|_| self.invalid(part, "a role's id"));
        self.text(part)?.map(read).transpose()
    }

    /// An address of the provider.
    pub fn url(&self, part: Part) -> Result<String, ConfigError> {
        let text = self.required(part)?;
        let fits = trusted(self.outbound, &text).is_some();
        let expected = "an https URL (http only at an address that EVENTUS_OUTBOUND_ALLOW names)";
        if fits { Ok(text) } else { Err(self.invalid(part, expected)) }
    }

    /// `{"group": "role's id"}`, in this order.
    pub fn role_mapping(&self) -> Result<Option<Vec<(String, Uuid)>>, ConfigError> {
        let wrong = || self.invalid(Part::RoleMapping, "a JSON object of groups and ids of roles");
        let Some(pairs) = self.pairs(Part::RoleMapping)? else { return Ok(None) };
        let role = |value: Value| value.as_str().and_then(|text| Uuid::parse_str(text).ok());
        let pairs = pairs.into_iter().map(|(group, value)| role(value).map(|role| (group, role)));
        pairs.collect::<Option<Vec<_>>>().map(Some).ok_or_else(wrong)
    }

    /// More parameters of the authorization request.
    pub fn params(&self) -> Result<Vec<(String, String)>, ConfigError> {
        let text = |(name, value): (String, Value)| match value {
            _ if OURS.contains(&name.as_str()) => None,
            Value::String(text) => Some((name, text)),
            Value::Number(_) | Value::Bool(_) => Some((name, value.to_string())),
            _ => None,
        };
        let pairs = self.pairs(Part::Params)?.unwrap_or_default();
        let expected = "a JSON object of texts, none of them of a name that the login itself gives";
        pairs.into_iter().map(text).collect::<Option<_>>().ok_or_else(|| self.invalid(Part::Params, expected))
    }

    /// URLs that a login may end at.
    pub fn allow_list(&self) -> Result<Vec<String>, ConfigError> {
        let list = self.env.list(&self.key(Part::RedirectAllowList))?;
        if list.iter().any(|url| outbound::Url::parse(url).is_err()) {
            return Err(self.invalid(Part::RedirectAllowList, "whole URLs between commas"));
        }
        Ok(list)
    }

    /// A JSON object, with `json:` before it or not.
    fn pairs(&self, part: Part) -> Result<Option<Vec<(String, Value)>>, ConfigError> {
        let Some(text) = self.text(part)? else { return Ok(None) };
        let text = text.trim();
        let json = text.strip_prefix("json:").unwrap_or(text);
        let pairs: Result<Pairs, _> = serde_json::from_str(json);
        pairs.map(|pairs| Some(pairs.0)).map_err(|_| self.invalid(part, "a JSON object"))
    }
}

/// An address that may be spoken to as a provider: what it says decides who comes in, so nobody on the way may change
/// it.
pub fn trusted(config: &outbound::Config, url: &str) -> Option<outbound::Url> {
    let url = config.check(url).ok()?;
    let address = url.host().trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    let allowed = address.is_ok_and(|address| config.allow.iter().any(|net| net.contains(&address)));
    (url.uri().scheme_str() == Some("https") || allowed).then_some(url)
}

/// The members of an object, in their order.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use chassis::Env;
    use uuid::Uuid;

    use crate::sso::SsoConfig;

    const PLAIN: [(&str, &str); 8] = [
        ("AUTH_PROVIDERS", "acme"),
        ("PUBLIC_URL", "https://api.example.com/"),
        ("AUTH_ACME_DRIVER", "openid"),
        ("AUTH_ACME_CLIENT_ID", "eventus"),
        ("AUTH_ACME_CLIENT_SECRET", "shh"),
        ("AUTH_ACME_ISSUER_URL", "https://id.example/realm/.well-known/openid-configuration"),
        (
            "AUTH_ACME_ROLE_MAPPING",
            r#"json:{"z":"00000000-0000-4000-8000-000000000001","a":"00000000-0000-4000-8000-000000000002"}"#,
        ),
        ("AUTH_ACME_PARAMS", r#"{"hd":"example.com","max_age":60}"#),
    ];

    fn read(more: &[(&str, &str)]) -> Result<SsoConfig, String> {
        let pairs = PLAIN.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let pairs: std::collections::BTreeMap<String, String> = pairs.collect();
        SsoConfig::from_env(&Env::from_pairs(pairs)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_provider_is_read_with_its_defaults() {
        let config = read(&[]).unwrap();
        let acme = &config.providers[0];
        assert_eq!(config.callback("acme"), "https://api.example.com/auth/login/acme/callback");
        assert_eq!((acme.identifier_key.as_str(), acme.session), ("sub", true));
        let first = acme.role_mapping.as_ref().unwrap()[0].clone();
        assert_eq!(first, ("z".to_owned(), Uuid::from_u128(0x4000_8000_0000_0000_0001)));
        let params = [("hd", "example.com"), ("max_age", "60")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(acme.params, params);
        assert!(!format!("{config:?}").contains("shh"));
        assert!(SsoConfig::from_env(&Env::from_pairs([("A", "b")])).unwrap().providers.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        for (key, value) in [
            ("AUTH_PROVIDERS", "acme,ACME"),
            ("AUTH_PROVIDERS", "default"),
            ("AUTH_PROVIDERS", "a.b"),
            ("PUBLIC_URL", "/"),
            ("AUTH_ACME_DRIVER", "ldap"),
            ("AUTH_ACME_DRIVER", ""),
            ("AUTH_ACME_MODE", "json"),
            ("AUTH_ACME_CLIENT_ID", ""),
            ("AUTH_ACME_CLIENT_TOKEN_ENDPOINT_AUTH_METHOD", "private_key_jwt"),
            ("AUTH_ACME_ISSUER_URL", "http://id.example/"),
            ("AUTH_ACME_ISSUER_URL", "http://127.0.0.1/"),
            ("AUTH_ACME_ISSUER_URL", ""),
            ("AUTH_ACME_SCOPE", "email"),
            ("AUTH_ACME_DEFAULT_ROLE_ID", "admin"),
            ("AUTH_ACME_ROLE_MAPPING", r#"["a"]"#),
            ("AUTH_ACME_ROLE_MAPPING", r#"{"a":"b"}"#),
            ("AUTH_ACME_PARAMS", r#"{"state":"x"}"#),
            ("AUTH_ACME_PARAMS", "x"),
            ("AUTH_ACME_REDIRECT_ALLOW_LIST", "example.com"),
            ("AUTH_ACME_ALLOW_PUBLIC_REGISTRATION", "yes"),
            ("AUTH_DISABLE_DEFAULT", "maybe"),
        ] {
            let error = read(&[(key, value)]).unwrap_err();
            assert!(error.contains(key), "{key}={value}: {error}");
        }
        for driver in ["ldap", "saml"] {
            let error = read(&[("AUTH_ACME_DRIVER", driver)]).unwrap_err();
            assert!(error.contains("AUTH_ACME_DRIVER") && error.contains("LDAP and SAML"), "{error}");
        }
        read(&[("EVENTUS_OUTBOUND_ALLOW", "127.0.0.1"), ("AUTH_ACME_ISSUER_URL", "http://127.0.0.1:9/")])
            .unwrap();
        let without = read(&[("AUTH_ACME_CLIENT_SECRET", "")]).unwrap();
        assert_eq!(without.providers[0].client_auth, super::super::config::ClientAuth::None);
    }
}

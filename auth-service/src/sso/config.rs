//! `AUTH_*`: who may vouch for users, by Directus's names. What does not fit is refused at the start.

use chassis::{ConfigError, Env};
use uuid::Uuid;

use super::settings::{self, Part};
use crate::config::Secret;

/// Configuration of single sign-on.
#[derive(Debug, Clone, Default)]
pub struct SsoConfig {
    /// `AUTH_DISABLE_DEFAULT`: nobody logs in by e-mail and password.
    pub disable_default: bool,
    /// `AUTH_PROVIDERS` and what belongs to each.
    pub(super) providers: Vec<ProviderConfig>,
    /// `PUBLIC_URL`, without a slash at the end: providers send browsers back there, never to what a request says.
    pub(super) public_url: String,
    /// How providers are reached.
    pub(super) outbound: outbound::Config,
}

/// One provider.
#[derive(Debug, Clone)]
pub(super) struct ProviderConfig {
    pub name: String,
    pub driver: Driver,
    /// `MODE`: after a redirect the browser has a session token (else a refresh token).
    pub session: bool,
    pub label: Option<String>,
    pub icon: Option<String>,
    pub client_id: String,
    pub client_secret: Option<Secret>,
    pub client_auth: ClientAuth,
    pub scope: String,
    pub identifier_key: String,
    pub email_key: String,
    pub first_name_key: Option<String>,
    pub last_name_key: Option<String>,
    pub allow_registration: bool,
    pub require_verified_email: bool,
    pub default_role: Option<Uuid>,
    pub sync: bool,
    /// Groups with their roles; the first that fits counts.
    pub role_mapping: Option<Vec<(String, Uuid)>>,
    pub group_claim: String,
    /// More parameters of the authorization request.
    pub params: Vec<(String, String)>,
    /// `REDIRECT_ALLOW_LIST`: whole URLs.
    pub allow_list: Vec<String>,
}

/// What a provider speaks.
#[derive(Debug, Clone)]
pub(super) enum Driver {
    /// OpenID Connect; `ISSUER_URL`, the address of its configuration.
    OpenId { configuration: String },
    /// OAuth 2.0: `AUTHORIZE_URL`, `ACCESS_URL`, `PROFILE_URL`.
    OAuth2 { authorize: String, access: String, profile: String },
}

impl Driver {
    /// Its name in the settings.
    pub fn name(&self) -> &'static str {
        match self {
            Self::OpenId { .. } => "openid",
            Self::OAuth2 { .. } => "oauth2",
        }
    }
}

/// How we prove to a provider who we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientAuth {
    /// `client_secret_basic`
    Basic,
    /// `client_secret_post`
    Post,
    /// `none`: PKCE alone.
    None,
}

/// Where every provider's configuration stands below its issuer.
pub(super) const WELL_KNOWN: &str = "/.well-known/openid-configuration";

impl SsoConfig {
    /// Reads the environment.
    ///
    /// # Errors
    /// A value does not fit; the error names the variable.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let names = env.list("AUTH_PROVIDERS")?;
        let outbound = outbound::Config {
            // Providers with many keys list them all, with their certificates.
            max_response_bytes: 512 * 1024,
            user_agent: "Eventus-SSO".to_owned(),
            ..outbound::Config::default()
        };
        let outbound = outbound::Config::from_env(env, outbound)?;
        let mut providers: Vec<ProviderConfig> = Vec::new();
        for name in names {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let same = |other: &ProviderConfig| other.name.eq_ignore_ascii_case(&name);
            if name.len() > 64 || !name.chars().all(plain) || name == "default" || providers.iter().any(same)
            {
                let expected = "different names of letters, digits and _, none of them \"default\"";
                return Err(ConfigError::invalid("AUTH_PROVIDERS", expected));
            }
            providers.push(provider(&settings::Of { env, name: &name, outbound: &outbound })?);
        }
        let public_url = env.get("PUBLIC_URL")?.unwrap_or_default();
        let is_whole = outbound::Url::parse(&public_url).is_ok_and(|url| url.query().is_none());
        if !providers.is_empty() && !is_whole {
            return Err(ConfigError::invalid("PUBLIC_URL", "a whole URL where AUTH_PROVIDERS names some"));
        }
        let public_url = public_url.trim_end_matches('/').to_owned();
        Ok(Self {
            disable_default: env.flag("AUTH_DISABLE_DEFAULT", false)?,
            providers,
            public_url,
            outbound,
        })
    }

    /// Where somebody goes whose login has no other place to end at: the original's page for it.
    pub(super) fn start(&self) -> String {
        format!("{}/admin/login", self.public_url)
    }

    /// Where the browser comes back from a provider.
    pub(super) fn callback(&self, provider: &str) -> String {
        format!("{}/auth/login/{provider}/callback", self.public_url)
    }
}

fn provider(of: &settings::Of<'_>) -> Result<ProviderConfig, ConfigError> {
    let driver = driver(of)?;
    let openid = matches!(driver, Driver::OpenId { .. });
    let email_key = of.text(Part::EmailKey)?.unwrap_or_else(|| "email".to_owned());
    let identifier = if openid { "sub" } else { &email_key };
    let scope = if openid { "openid profile email" } else { "email" };
    let client_secret = of.text(Part::ClientSecret)?.map(Secret::new);
    let name = |default: &str| openid.then(|| default.to_owned());
    let config = ProviderConfig {
        name: of.name.to_owned(),
        session: of.one_of(Part::Mode, &[("session", true), ("cookie", false)], true)?,
        label: of.text(Part::Label)?,
        icon: of.text(Part::Icon)?,
        client_id: of.required(Part::ClientId)?,
        client_auth: client_auth(of, client_secret.is_some())?,
        client_secret,
        scope: of.text(Part::Scope)?.unwrap_or_else(|| scope.to_owned()),
        identifier_key: of.text(Part::IdentifierKey)?.unwrap_or_else(|| identifier.to_owned()),
        email_key,
        first_name_key: of.text(Part::FirstNameKey)?.or_else(|| name("given_name")),
        last_name_key: of.text(Part::LastNameKey)?.or_else(|| name("family_name")),
        allow_registration: of.flag(Part::AllowPublicRegistration)?,
        require_verified_email: of.flag(Part::RequireVerifiedEmail)?,
        default_role: of.role(Part::DefaultRoleId)?,
        sync: of.flag(Part::SyncUserInfo)?,
        role_mapping: of.role_mapping()?,
        group_claim: of.text(Part::GroupClaimName)?.unwrap_or_else(|| "groups".to_owned()),
        params: of.params()?,
        allow_list: of.allow_list()?,
        driver,
    };
    if openid && !config.scope.split_whitespace().any(|scope| scope == "openid") {
        return Err(of.invalid(Part::Scope, "a list with openid in it"));
    }
    Ok(config)
}

fn driver(of: &settings::Of<'_>) -> Result<Driver, ConfigError> {
    if matches!(of.required(Part::Driver)?.trim(), "ldap" | "saml") {
        return Err(of.invalid(Part::Driver, "openid or oauth2: LDAP and SAML are not spoken"));
    }
    if of.one_of(Part::Driver, &[("openid", true), ("oauth2", false)], true)? {
        let issuer = of.url(Part::IssuerUrl)?;
        let issuer = issuer.strip_suffix(WELL_KNOWN).unwrap_or(&issuer).trim_end_matches('/');
        return Ok(Driver::OpenId { configuration: format!("{issuer}{WELL_KNOWN}") });
    }
    Ok(Driver::OAuth2 {
        authorize: of.url(Part::AuthorizeUrl)?,
        access: of.url(Part::AccessUrl)?,
        profile: of.url(Part::ProfileUrl)?,
    })
}

fn client_auth(of: &settings::Of<'_>, has_secret: bool) -> Result<ClientAuth, ConfigError> {
    use ClientAuth::{Basic, None, Post};
    let known = [("client_secret_basic", Basic), ("client_secret_post", Post), ("none", None)];
    let default = if has_secret { Basic } else { None };
    let chosen = of.one_of(Part::ClientTokenEndpointAuthMethod, &known, default)?;
    if chosen != None && !has_secret {
        return Err(ConfigError::Missing(of.key(Part::ClientSecret)));
    }
    Ok(chosen)
}

//! The roles that a process can play.

use std::str::FromStr;

/// One process of the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// HTTP and SSE in, gRPC out.
    Gateway,
    /// Items, schema, the event log and its relay.
    Items,
    /// Credentials -> accountability.
    Auth,
    /// Filter, action and schedule hooks.
    Hooks,
    /// Aggregates and reports.
    Analytics,
    /// Webhook deliveries.
    Webhooks,
    /// CDN purges.
    CdnPurge,
}

impl Role {
    /// All roles with their names on the command line.
    pub const ALL: [(&'static str, Self); 7] = [
        ("gateway", Self::Gateway),
        ("items", Self::Items),
        ("auth", Self::Auth),
        ("hooks", Self::Hooks),
        ("analytics", Self::Analytics),
        ("webhooks", Self::Webhooks),
        ("cdn-purge", Self::CdnPurge),
    ];

    /// Every role.
    pub fn all() -> Vec<Self> {
        Self::ALL.iter().map(|(_, role)| *role).collect()
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, role)| *role == self).map_or("", |(name, _)| name)
    }

    /// The environment key of its gRPC address; `None` for roles that serve no gRPC.
    pub fn url_key(self) -> Option<&'static str> {
        match self {
            Self::Items => Some("EVENTUS_ITEMS_URL"),
            Self::Auth => Some("EVENTUS_AUTH_URL"),
            Self::Hooks => Some("EVENTUS_HOOKS_URL"),
            Self::Analytics => Some("EVENTUS_ANALYTICS_URL"),
            Self::Webhooks => Some("EVENTUS_WEBHOOKS_URL"),
            Self::Gateway | Self::CdnPurge => None,
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(|(name, _)| name).join(", ");
        let found = Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, role)| *role);
        found.ok_or_else(|| format!("\"{text}\" is no role; roles are {}", names()))
    }
}

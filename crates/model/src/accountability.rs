//! Who acts. Made by the auth service from a credential, carried signed between processes.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The one who acts and what the request itself says of him.
///
/// `Default` is the public accountability: nobody, no role, no rights. `null` is never admin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Accountability {
    /// `directus_users.id`; `None` for the public and for the fleet's own processes.
    pub user: Option<Uuid>,
    /// The user's role.
    pub role: Option<Uuid>,
    /// The role and its ancestors, nearest first.
    pub roles: Vec<Uuid>,
    /// Policies that apply, by id.
    pub policies: Vec<Uuid>,
    /// Any policy grants everything.
    pub admin: bool,
    /// Any policy grants the app's minimal permissions.
    pub app: bool,
    /// Name of the fleet's own process that acts by itself (`"hooks"`, `"webhooks"` ...).
    pub process: Option<String>,
    /// The session the credential belongs to (hash of its refresh token), when there is one.
    pub session: Option<String>,
    /// He may change nothing, whatever his policies say.
    pub read_only: bool,
    /// The API key by which he calls: it stands for no login, so nothing that opens one is done by it.
    pub api_key: Option<Uuid>,
    /// Client address, never on the bus.
    pub ip: Option<String>,
    /// Client's `User-Agent`, never on the bus.
    pub user_agent: Option<String>,
    /// Client's `Origin` header.
    pub origin: Option<String>,
    /// The share that he came in by: he is a guest, with no rights of his own.
    pub share: Option<Uuid>,
    /// What that share lets him see.
    pub share_scope: Option<Box<ShareScope>>,
}

/// What a share lets its guests see: of one item, and of what it leads to, what both its role and its creator may read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct ShareScope {
    /// Collection of the item.
    pub collection: String,
    /// Its key.
    pub item: String,
    /// Whoever has the share's role; of a share without one, the public.
    pub role: Accountability,
    /// Whoever made the share: its guests never see more than he does.
    pub creator: Accountability,
}

impl Accountability {
    /// A process of the fleet acting by itself, with every right.
    pub fn process(name: &str) -> Self {
        Self { admin: true, process: Some(name.to_owned()), ..Self::default() }
    }

    /// Nobody is logged in.
    pub fn is_public(&self) -> bool {
        self.user.is_none() && self.process.is_none()
    }
}

//! What hangs on items of system collections and goes, or lets go, with them: changed by statements of our own, so that
//! each change is an event. The constraints of the tables stay as a net.

/// What happens to an item that refers to a deleted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The dependant is deleted, too.
    Goes,
    /// Its reference becomes null.
    LetsGo,
}

use Effect::{Goes, LetsGo};

/// Deleted collection; collection and field that refer to it; what happens to those.
const DEPENDANTS: [(&str, &str, &str, Effect); 35] = [
    ("directus_users", "directus_access", "user", Goes),
    ("directus_users", "directus_presets", "user", Goes),
    ("directus_users", "directus_notifications", "recipient", Goes),
    ("directus_users", "directus_notifications", "sender", LetsGo),
    ("directus_users", "directus_shares", "user_created", Goes),
    ("directus_users", "directus_comments", "user_created", LetsGo),
    ("directus_users", "directus_comments", "user_updated", LetsGo),
    ("directus_users", "directus_versions", "user_created", LetsGo),
    ("directus_users", "directus_versions", "user_updated", LetsGo),
    ("directus_users", "directus_dashboards", "user_created", LetsGo),
    ("directus_users", "directus_panels", "user_created", LetsGo),
    ("directus_users", "directus_flows", "user_created", LetsGo),
    ("directus_users", "directus_operations", "user_created", LetsGo),
    ("directus_users", "directus_files", "uploaded_by", LetsGo),
    ("directus_users", "directus_files", "modified_by", LetsGo),
    ("directus_roles", "directus_access", "role", Goes),
    ("directus_roles", "directus_presets", "role", Goes),
    ("directus_roles", "directus_shares", "role", Goes),
    ("directus_roles", "directus_users", "role", LetsGo),
    ("directus_roles", "directus_roles", "parent", LetsGo),
    ("directus_roles", "directus_settings", "public_registration_role", LetsGo),
    ("directus_policies", "directus_access", "policy", Goes),
    ("directus_policies", "directus_permissions", "policy", Goes),
    ("directus_folders", "directus_files", "folder", LetsGo),
    ("directus_folders", "directus_settings", "storage_default_folder", LetsGo),
    ("directus_files", "directus_users", "avatar", LetsGo),
    ("directus_files", "directus_settings", "project_logo", LetsGo),
    ("directus_files", "directus_settings", "public_foreground", LetsGo),
    ("directus_files", "directus_settings", "public_background", LetsGo),
    ("directus_files", "directus_settings", "public_favicon", LetsGo),
    ("directus_flows", "directus_operations", "flow", Goes),
    ("directus_operations", "directus_operations", "resolve", LetsGo),
    ("directus_operations", "directus_operations", "reject", LetsGo),
    ("directus_operations", "directus_flows", "operation", LetsGo),
    ("directus_dashboards", "directus_panels", "dashboard", Goes),
];

/// What hangs on items of a system collection: collection and field, and what happens to them.
pub fn of(collection: &str) -> impl Iterator<Item = (&'static str, &'static str, Effect)> {
    let own = DEPENDANTS.iter().filter(move |(name, ..)| *name == collection);
    own.map(|(_, dependant, field, effect)| (*dependant, *field, *effect))
}

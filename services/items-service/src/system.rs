//! System collections as collections: who may be written how, and what a write does beside its statements.

use access::Action;
use model::Collection;

pub mod admins;
pub mod dependants;
pub mod payload;
pub mod policy;
pub mod rules;
pub mod sessions;
pub mod shares;
pub mod translations;
pub mod versions;

/// System collections that are written as items, and how. All others are read only here: the schema has calls of its
/// own, activity and revisions come from the log.
const WRITABLE: [(&str, &[Action]); 19] = [
    ("directus_access", ALL),
    ("directus_comments", ALL),
    ("directus_dashboards", ALL),
    ("directus_extensions", &[Action::Update]),
    ("directus_files", ALL),
    ("directus_flows", ALL),
    ("directus_folders", ALL),
    ("directus_notifications", ALL),
    ("directus_operations", ALL),
    ("directus_panels", ALL),
    ("directus_permissions", ALL),
    ("directus_policies", ALL),
    ("directus_presets", ALL),
    ("directus_roles", ALL),
    // Created only when there is none.
    ("directus_settings", &[Action::Create, Action::Update]),
    ("directus_shares", ALL),
    ("directus_translations", ALL),
    ("directus_users", ALL),
    ("directus_versions", ALL),
];

const ALL: &[Action] = &[Action::Create, Action::Update, Action::Delete];

/// Whether items of the collection are written so at all.
pub fn is_writable(collection: &Collection, action: Action) -> bool {
    let listed = || WRITABLE.iter().find(|(name, _)| *name == collection.name);
    !collection.system || listed().is_some_and(|(_, actions)| actions.contains(&action))
}

/// Whether fields of one's own may be added to a system collection: to those that people work with.
pub fn takes_fields(collection: &str) -> bool {
    let without = ["directus_access", "directus_permissions", "directus_extensions"];
    WRITABLE.iter().any(|(name, _)| *name == collection) && !without.contains(&collection)
}

//! Query or payload + schema + access -> plan -> SQL: decides everything, does nothing.
//!
//! The only place where SQL over the user's collections is written. Names come from the schema and are quoted;
//! every value of a client is a binding. Nothing here reads a clock, a database or the network.

mod answer;
mod append;
mod column;
mod condition;
mod create;
mod delete;
mod figures;
mod function;
mod geojson;
mod geometry;
mod history;
mod judgement;
mod keys;
mod keyset;
mod limits;
mod link;
mod nested;
mod once;
mod order;
mod page;
mod past;
mod payload;
mod reached;
mod read;
mod reader;
mod references;
mod report;
mod rights;
mod search;
mod shape;
mod shared;
mod shown;
mod sort;
mod stamp;
mod statement;
mod stream;
mod told;
mod tree;
mod update;
mod upsert;
mod value;
mod version;

pub use answer::sees_itself;
pub use append::{Appended, in_order, plan_append};
pub use column::{answer_value, sql_type};
pub use create::{CreateNeeds, plan_create, plan_create_unlogged};
pub use delete::{Deletion, Hanging, plan_delete, plan_removal};
pub use geometry::default_geometry;
pub use history::{HistoryPage, plan_history};
pub use judgement::{Judgement, Known, LookUp, look_ups, plan_held};
pub use keyset::{Place, plan_page};
pub use limits::Limits;
pub use nested::{Entry, ManyChange, NestedMany, NestedOne, Split, apart, is_nested, own_key, split};
pub use once::Once;
pub use past::as_of;
pub use payload::{Payload, parse_payloads};
pub use reached::plan_reached;
pub use read::{ReadOne, ReadPlan, plan_estimate, plan_keys, plan_read, plan_read_keys, plan_read_one};
pub use reader::{Reader, Variables};
pub use references::{Reference, plan_children, plan_lock, plan_present, plan_referring};
pub use report::{plan_tree, plan_window};
pub use search::search_index_parts;
pub use sort::{plan_order, plan_places, sort_field};
pub use stamp::Stamp;
pub use statement::{Binding, STATEMENT_NAMES, Statement, Uses};
pub use stream::{StreamPlan, is_large, plan_stream};
pub use told::{ItemState, Telling, plan_told, telling};
pub use tree::{Tree, tree};
pub use update::{Unlogged, UpdateChange, plan_untouched, plan_update, plan_update_unlogged};
pub use upsert::{plan_agreeing, plan_read_ordered};
pub use value::{KeyText, has_nul, parse_key};
pub use version::{check_draft, plan_hashes, plan_read_version, plan_versions_of};

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod measured;
#[cfg(test)]
mod snapshots;

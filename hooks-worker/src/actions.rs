//! The bundled action hooks, one per file; each has one line in `registry::bundled`.

pub mod log_change;
#[cfg(feature = "mutants")]
pub mod poisoned;

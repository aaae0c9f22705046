//! The bundled schedule hooks, one per file; each has one line in `registry::bundled`.

pub mod prune;

//! The bundled filter hooks, one per file; each has one line in `registry::bundled`.

pub mod derive_article;

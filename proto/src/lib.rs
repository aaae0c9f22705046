//! The contracts between Eventus processes, as generated types: one module per domain, named as its folder.

/// Everything under `eventus/<domain>/v1` as modules.
macro_rules! domains {
    ($($domain:ident),+) => {
        $(
            pub mod $domain {
                pub mod v1 {
                    include!(concat!(env!("OUT_DIR"), "/eventus.", stringify!($domain), ".v1.rs"));
                }
            }
        )+
    };
}

domains!(
    common, items, schema, auth, hooks, analytics, webhooks, events, history, imports, accounts, upkeep,
    calls
);

/// The compiled descriptors of all services, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

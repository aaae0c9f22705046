//! Ids are handed in, so that tests can foresee them.

use uuid::Uuid;

/// Makes ids.
pub trait Ids: Send + Sync + std::fmt::Debug {
    /// A time-ordered id (UUIDv7): events, deliveries, requests.
    fn ordered(&self) -> Uuid;
    /// A random id (UUIDv4): keys of items.
    fn random(&self) -> Uuid;
}

/// Ids from the machine's clock and random source.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

#[expect(clippy::disallowed_methods, reason = "the one home of ids")]
impl Ids for RandomIds {
    fn ordered(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn random(&self) -> Uuid {
        Uuid::new_v4()
    }
}

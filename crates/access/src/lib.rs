//! Which fields and items an accountability may touch.
//!
//! An [`Access`] is a value that the planner compiles into its plans. Until policies are evaluated there are
//! two: an administrator's, who may do everything, and everybody else's, who may do nothing. A user who is
//! not an administrator is never served as one, nor as the public.

use model::Accountability;

/// What is done to a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Make items.
    Create,
    /// See items.
    Read,
    /// Change items.
    Update,
    /// Remove items.
    Delete,
}

/// The rules of one accountability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Access {
    full: bool,
}

impl Access {
    /// The rules of one who acts.
    pub fn of(accountability: &Accountability) -> Self {
        Self { full: accountability.admin }
    }

    /// Everything.
    pub const fn admin() -> Self {
        Self { full: true }
    }

    /// Nothing.
    pub const fn none() -> Self {
        Self { full: false }
    }

    /// May he do this to any item of the collection at all?
    pub fn allows(&self, _collection: &str, _action: Action) -> bool {
        self.full
    }

    /// May he do this with the field?
    pub fn allows_field(&self, _collection: &str, _field: &str, _action: Action) -> bool {
        self.full
    }

    /// Are keys of missing items skipped in writes (as the original does for admins), or refused?
    pub fn skips_missing(&self) -> bool {
        self.full
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, Action};
    use model::Accountability;

    #[test]
    fn only_an_admin_may_do_anything() {
        let user = Accountability { user: Some(uuid_of(1)), app: true, ..Accountability::default() };
        for nobody in [Accountability::default(), user] {
            let access = Access::of(&nobody);
            assert!(!access.allows("articles", Action::Read));
            assert!(!access.allows_field("articles", "id", Action::Read));
        }
        assert!(Access::of(&Accountability::process("hooks")).allows("articles", Action::Delete));
    }

    fn uuid_of(n: u128) -> uuid::Uuid {
        uuid::Uuid::from_u128(n)
    }
}

//! Mutants: known ways to break what Eventus promises, each at the one place that keeps it. The torture harness switches
//! them on to show that it notices. Without the feature `mutants` every question is the constant `false`, and the
//! compiler takes the branch out; with it a release build is refused.

#[cfg(all(feature = "mutants", not(debug_assertions)))]
compile_error!("the feature `mutants` is for the self-test of tests/torture and never for a release build");

/// A way to break the program. The harness names them as `name` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// A consumer counts what it has taken up as done, and takes its time for the effect.
    MarkBeforeEffect,
    /// A counter adds without looking whether it has counted the event before.
    NoInbox,
    /// The tail of the log steps over positions whose transaction is still under way.
    NoGapRule,
    /// The relay moves its mark before the broker has acknowledged, and believes the mark.
    MarkBeforeAck,
    /// What a consumer gives up is not written down.
    DropDeadLetters,
    /// `Idempotency-Key` is ignored.
    NoIdempotency,
    /// `If-Match` is ignored.
    NoIfMatch,
    /// A gateway never doubts what it knows of sessions.
    StaleSessions,
    /// Events of one item run side by side.
    NoOrder,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::MarkBeforeEffect,
        Self::NoInbox,
        Self::NoGapRule,
        Self::MarkBeforeAck,
        Self::DropDeadLetters,
        Self::NoIdempotency,
        Self::NoIfMatch,
        Self::StaleSessions,
        Self::NoOrder,
    ];

    /// How it is called outside.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MarkBeforeEffect => "mark-before-effect",
            Self::NoInbox => "no-inbox",
            Self::NoGapRule => "no-gap-rule",
            Self::MarkBeforeAck => "mark-before-ack",
            Self::DropDeadLetters => "drop-dead-letters",
            Self::NoIdempotency => "no-idempotency",
            Self::NoIfMatch => "no-if-match",
            Self::StaleSessions => "stale-sessions",
            Self::NoOrder => "no-order",
        }
    }
}

/// Whether this process is broken in this way. Never, without the feature.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn is_on(_: Mutant) -> bool {
    false
}

/// Whether this process is broken in this way.
#[cfg(feature = "mutants")]
pub fn is_on(mutant: Mutant) -> bool {
    use std::sync::LazyLock;
    #[expect(
        clippy::disallowed_methods,
        reason = "asked from places that know no settings, in no build that ships"
    )]
    static CHOSEN: LazyLock<Option<Mutant>> = LazyLock::new(|| {
        let name = std::env::var("TORTURE_MUTANT").ok().filter(|name| !name.is_empty())?;
        let chosen = Mutant::ALL.into_iter().find(|mutant| mutant.name() == name);
        Some(chosen.unwrap_or_else(|| panic!("TORTURE_MUTANT: there is no {name:?}")))
    });
    *CHOSEN == Some(mutant)
}

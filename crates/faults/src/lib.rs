//! Mutants: known ways to break what Eventus promises, each at the one place that keeps it. The torture harness switches
//! them on to show that it notices. Points: steps at which it lets a process die, to show that nothing is lost.
//! Without the feature `mutants` every question is the constant `false`, and the compiler takes the branch out; with it a
//! release build is refused.

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

/// A step at which a process can be made to die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Everything of a transaction of items is done, but for its commit.
    BeforeCommit,
    /// It is committed, and nobody knows.
    AfterCommit,
    /// The same of a write that is one statement.
    AfterStatement,
    /// The broker has acknowledged what the relay has sent.
    AfterPublish,
    /// The relay is about to store its mark.
    BeforeMark,
    /// It has stored it.
    AfterMark,
    /// A consumer has taken up events.
    BeforeEffect,
    /// Their effects are durable, and the broker does not know.
    AfterEffect,
    /// An inbox has claimed events within the transaction of their effect.
    AfterClaim,
    /// A consumer is about to raise its mark.
    BeforeRaise,
    /// A delivery was taken and nothing sent.
    BeforeAttempt,
    /// The receiver has answered, and it is not written down.
    AfterAttempt,
}

impl Point {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::AfterStatement,
        Self::AfterPublish,
        Self::BeforeMark,
        Self::AfterMark,
        Self::BeforeEffect,
        Self::AfterEffect,
        Self::AfterClaim,
        Self::BeforeRaise,
        Self::BeforeAttempt,
        Self::AfterAttempt,
    ];

    /// How it is called outside.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeforeCommit => "before-commit",
            Self::AfterCommit => "after-commit",
            Self::AfterStatement => "after-statement",
            Self::AfterPublish => "after-publish",
            Self::BeforeMark => "before-mark",
            Self::AfterMark => "after-mark",
            Self::BeforeEffect => "before-effect",
            Self::AfterEffect => "after-effect",
            Self::AfterClaim => "after-claim",
            Self::BeforeRaise => "before-raise",
            Self::BeforeAttempt => "before-attempt",
            Self::AfterAttempt => "after-attempt",
        }
    }
}

/// Here a process may be made to die. Nothing, without the feature.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn point(_: Point) {}

/// Here the process dies, if `TORTURE_POINT` says so: `after-commit:3` is the third time that it comes by.
#[cfg(feature = "mutants")]
pub fn point(point: Point) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static PASSED: AtomicU64 = AtomicU64::new(0);
    #[expect(
        clippy::disallowed_methods,
        reason = "asked from places that know no settings, in no build that ships"
    )]
    static CHOSEN: LazyLock<Option<(Point, u64)>> = LazyLock::new(|| {
        let text = std::env::var("TORTURE_POINT").ok().filter(|text| !text.is_empty())?;
        let (name, time) = text.split_once(':').unwrap_or((&text, "1"));
        let chosen = Point::ALL.into_iter().find(|point| point.name() == name);
        let time = time.parse().unwrap_or(1);
        Some((chosen.unwrap_or_else(|| panic!("TORTURE_POINT: there is no {name:?}")), time))
    });
    let Some((chosen, time)) = *CHOSEN else { return };
    if chosen == point && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == time {
        std::process::abort();
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

//! Events that are given to one consumer once more, because an operator says so.

use uuid::Uuid;

use crate::Event;

/// What is done with the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayKind {
    /// They have their effect again, whatever was done before.
    Replay,
    /// Dead letters: what was not done is done now, what was done before stays done.
    Requeue,
    /// A read model is made from its beginning, beside the live one, and takes its place.
    Rebuild,
}

impl ReplayKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Replay, Self::Requeue, Self::Rebuild];

    /// Its name in the database and for clients.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Requeue => "requeue",
            Self::Rebuild => "rebuild",
        }
    }

    /// The kind of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A replay that a process works on. While it does, nobody else does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Its id.
    pub id: Uuid,
    /// Whose events.
    pub consumer: String,
    /// What is done with them.
    pub kind: ReplayKind,
    /// Everything up to this position is done.
    pub done: i64,
    /// The last position that it is about.
    pub upto: i64,
    /// Says that it is ours.
    pub claim: Uuid,
}

impl Replay {
    /// Name of its inbox: the consumer's own already holds most of the events.
    pub fn inbox(&self) -> String {
        format!("{}/{}", self.consumer, self.id)
    }

    /// Whether effects that were there before are to be had again.
    pub fn again(&self) -> bool {
        self.kind == ReplayKind::Replay
    }
}

/// Some events of a replay.
#[derive(Debug, Default)]
pub struct ReplayPage {
    /// In the order of the log.
    pub events: Vec<Event>,
    /// Nothing of the replay at or below this position is missing from the pages so far.
    pub reached: i64,
    /// The consumer itself has not come so far yet: what is behind is read later.
    pub waits: bool,
}

/// What came of a page.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ReplayStep {
    /// Everything up to this position is done now.
    pub reached: i64,
    /// Positions of events that had their effect.
    pub applied: Vec<i64>,
    /// How many became dead letters.
    pub buried: u64,
}

#[cfg(test)]
mod tests {
    use super::ReplayKind;

    #[test]
    fn kinds_are_known_by_their_names() {
        for kind in ReplayKind::ALL {
            assert_eq!(ReplayKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(ReplayKind::parse("again"), None);
    }
}

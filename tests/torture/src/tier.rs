//! How long and how hard a run is, and what it has to show at least: a run that did less than it planned fails.

use std::time::Duration;

/// The three sizes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// A minute and a half, for every commit.
    Smoke,
    /// A quarter of an hour, before a release.
    Standard,
    /// As long as `--minutes` says.
    Long,
}

/// The settings of a run.
#[derive(Debug, Clone)]
pub struct Tier {
    /// How it is called in the report.
    pub name: &'static str,
    /// Load and faults.
    pub load: Duration,
    /// Between two faults, on average.
    pub gap: Duration,
    /// A fault lasts from and to.
    pub fault: (Duration, Duration),
    /// A process stands still for so long at most.
    pub freeze: Duration,
    /// Clients that write.
    pub writers: usize,
    /// What a writer waits after each write.
    pub think: Duration,
    /// Everything must be well again within.
    pub quiesce: Duration,
    /// Writes that must have been answered with success. On a machine that has much else to do the load goes on until
    /// they have, for as long again at most.
    pub writes: usize,
}

impl Tier {
    /// The settings of a tier; `minutes` is for `long`.
    pub fn of(name: Name, minutes: u64) -> Self {
        let seconds = Duration::from_secs;
        let smoke = Self {
            name: "smoke",
            load: seconds(50),
            gap: Duration::from_millis(1_200),
            fault: (Duration::from_millis(300), seconds(3)),
            freeze: seconds(8),
            writers: 10,
            think: Duration::from_millis(60),
            quiesce: seconds(120),
            writes: 300,
        };
        let standard = Self {
            name: "standard",
            load: seconds(840),
            gap: seconds(10),
            fault: (Duration::from_millis(500), seconds(12)),
            freeze: seconds(40),
            writers: 16,
            think: Duration::from_millis(120),
            quiesce: seconds(120),
            writes: 20_000,
        };
        match name {
            Name::Smoke => smoke,
            Name::Standard => standard,
            Name::Long => {
                let load = seconds(minutes * 60);
                Self { name: "long", load, writes: usize::try_from(minutes * 1_000).unwrap_or(1), ..standard }
            }
        }
    }
}

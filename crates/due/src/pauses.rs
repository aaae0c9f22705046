//! Pauses between tries of what has to happen in the end.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// Pauses between tries to write down what has happened: what was sent must not be sent again because of us.
/// 50 ms at first, doubled each time, a second at most.
#[derive(Debug)]
pub struct Pauses {
    next: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Pauses {
    /// One pause.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.step()).await;
    }

    fn step(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(LONGEST);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::Pauses;

    #[test]
    fn pauses_grow_to_a_second() {
        let mut pauses = Pauses::default();
        let steps: Vec<u128> = (0..7).map(|_| pauses.step().as_millis()).collect();
        assert_eq!(steps, [50, 100, 200, 400, 800, 1_000, 1_000]);
    }
}

//! Forgets what ended long ago, in small steps. Every process does it; they pass over each other's rows.

use std::convert::Infallible;
use std::time::Duration;

use chassis::{ConfigError, Env, Runtime};

use crate::Work;

const EVERY: Duration = Duration::from_secs(600);
/// Between two steps when the one before may have left something.
const BREATH: Duration = Duration::from_millis(100);
const STEP: i64 = 1_000;

const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

/// How long what ended is kept, by this setting.
///
/// # Errors
/// No duration, or more than a century.
pub fn retention(env: &Env, key: &str, default: Duration) -> Result<Duration, ConfigError> {
    let retention = env.duration(key, default)?;
    if retention > LONGEST {
        return Err(ConfigError::invalid(key, "at most 36500d"));
    }
    Ok(retention)
}

/// Forgets what ended longer ago than `retention`, until the soft stop.
///
/// # Errors
/// None: what is not forgotten now is forgotten later.
pub async fn forget<W: Work>(work: W, retention: Duration, runtime: Runtime) -> Result<(), Infallible> {
    let soft = runtime.shutdown.soft();
    let mut full = false;
    loop {
        let pause = if full { BREATH } else { EVERY };
        if tokio::time::timeout(pause, soft.cancelled()).await.is_ok() {
            return Ok(());
        }
        full = match step(&work, retention, STEP).await {
            Ok(full) => full,
            Err(error) => {
                tracing::warn!(%error, "old {} are not yet forgotten", W::NAME);
                false
            }
        };
    }
}

/// One step; whether there may be more to forget.
pub(crate) async fn step<W: Work>(work: &W, retention: Duration, most: i64) -> Result<bool, sqlx::Error> {
    let statement = sqlx::query(W::FORGET).bind(model::milliseconds(retention)).bind(most);
    Ok(statement.execute(work.db()).await?.rows_affected() == most.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chassis::Env;

    use super::retention;

    #[test]
    fn nothing_is_kept_longer_than_a_century() {
        let read = |text: &str| retention(&Env::from_pairs([("KEEP", text)]), "KEEP", Duration::ZERO);
        assert_eq!(read("36500d").unwrap(), super::LONGEST);
        assert!(read("36501d").is_err() && read("long").is_err());
        let bare = Env::from_pairs([("A", "b")]);
        assert_eq!(retention(&bare, "KEEP", Duration::from_secs(7)).unwrap(), Duration::from_secs(7));
    }
}

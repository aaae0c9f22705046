//! Settings of the webhooks worker.

use std::time::Duration;

use chassis::{ConfigError, Env};
use outbound::Schedule;

/// Settings of the webhooks worker.
#[derive(Debug, Clone)]
pub struct Config {
    /// `EVENTUS_OUTBOUND_ALLOW`: networks and addresses that may be reached although they are private; default none.
    /// `EVENTUS_OUTBOUND_PORTS`: ports that may be reached elsewhere (`80,443,8080,8443`; `*` = all).
    /// `EVENTUS_OUTBOUND_TIMEOUT`: an attempt may take so long (`15s`).
    pub outbound: outbound::Config,
    /// `EVENTUS_WEBHOOK_SCHEDULE`: delays between attempts (`5s,5m,30m,2h,5h,10h,14h,20h,24h`).
    /// `EVENTUS_WEBHOOK_OVERLOAD_DELAY`: least delay after a sign of overload (`1m`; with a schedule of its own, its
    /// longest delay if that is less).
    pub schedule: Schedule,
    /// `EVENTUS_WEBHOOK_CONCURRENCY`: attempts that run side by side (64).
    pub concurrency: usize,
    /// `EVENTUS_WEBHOOK_ENDPOINT_CONCURRENCY`: of these for one endpoint (16).
    pub endpoint_concurrency: usize,
    /// `EVENTUS_WEBHOOK_RETENTION`: deliveries that ended longer ago are forgotten (`30d`).
    pub retention: Duration,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Default for Config {
    fn default() -> Self {
        Self {
            outbound: outbound::Config { user_agent: "Eventus-Webhooks".to_owned(), ..Default::default() },
            schedule: Schedule::standard(),
            concurrency: 64,
            endpoint_concurrency: 16,
            retention: 30 * DAY,
        }
    }
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// A malformed or senseless value.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let default = Self::default();
        let config = Self {
            outbound: outbound::Config::from_env(env, default.outbound)?,
            schedule: Schedule::from_env(
                env,
                "EVENTUS_WEBHOOK_SCHEDULE",
                "EVENTUS_WEBHOOK_OVERLOAD_DELAY",
                &default.schedule,
            )?,
            concurrency: env.parse("EVENTUS_WEBHOOK_CONCURRENCY", default.concurrency)?,
            endpoint_concurrency: env
                .parse("EVENTUS_WEBHOOK_ENDPOINT_CONCURRENCY", default.endpoint_concurrency)?,
            retention: due::retention(env, "EVENTUS_WEBHOOK_RETENTION", default.retention)?,
        };
        for (key, value) in [
            ("EVENTUS_WEBHOOK_CONCURRENCY", config.concurrency),
            ("EVENTUS_WEBHOOK_ENDPOINT_CONCURRENCY", config.endpoint_concurrency),
        ] {
            if !(1..=4_096).contains(&value) {
                return Err(ConfigError::invalid(key, "1 to 4096"));
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chassis::Env;

    use super::Config;

    #[test]
    fn settings_are_read_and_checked() {
        let env = Env::from_pairs([
            ("EVENTUS_OUTBOUND_ALLOW", "127.0.0.1/32, ::1"),
            ("EVENTUS_OUTBOUND_TIMEOUT", "2s"),
            ("EVENTUS_WEBHOOK_SCHEDULE", "100,200, 1s"),
            ("EVENTUS_WEBHOOK_CONCURRENCY", "8"),
        ]);
        let config = Config::from_env(&env).unwrap();
        assert_eq!(config.outbound.allow.len(), 2);
        assert_eq!(config.outbound.timeout, Duration::from_secs(2));
        assert_eq!(config.schedule.delays, [100, 200, 1_000].map(Duration::from_millis));
        assert_eq!(config.schedule.overload, Duration::from_secs(1));
        assert_eq!((config.concurrency, config.endpoint_concurrency), (8, 16));
        assert!(env.unknown().is_empty());
        let standard = Config::from_env(&Env::from_pairs([("A", "b")])).unwrap();
        assert_eq!(standard.schedule.overload, Duration::from_secs(60));
        for (key, bad) in [
            ("EVENTUS_OUTBOUND_ALLOW", "localhost"),
            ("EVENTUS_OUTBOUND_PORTS", "http"),
            ("EVENTUS_OUTBOUND_TIMEOUT", "0"),
            ("EVENTUS_WEBHOOK_SCHEDULE", "soon"),
            ("EVENTUS_WEBHOOK_CONCURRENCY", "0"),
        ] {
            assert!(Config::from_env(&Env::from_pairs([(key, bad)])).is_err(), "{key}");
        }
    }
}

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
            outbound: outbound(env, default.outbound)?,
            schedule: schedule(env, &default.schedule)?,
            concurrency: env.parse("EVENTUS_WEBHOOK_CONCURRENCY", default.concurrency)?,
            endpoint_concurrency: env
                .parse("EVENTUS_WEBHOOK_ENDPOINT_CONCURRENCY", default.endpoint_concurrency)?,
            retention: env.duration("EVENTUS_WEBHOOK_RETENTION", default.retention)?,
        };
        for (key, value) in [
            ("EVENTUS_WEBHOOK_CONCURRENCY", config.concurrency),
            ("EVENTUS_WEBHOOK_ENDPOINT_CONCURRENCY", config.endpoint_concurrency),
        ] {
            if !(1..=4_096).contains(&value) {
                return Err(ConfigError::invalid(key, "1 to 4096"));
            }
        }
        if config.retention > 36_500 * DAY {
            return Err(ConfigError::invalid("EVENTUS_WEBHOOK_RETENTION", "at most 36500d"));
        }
        Ok(config)
    }
}

fn outbound(env: &Env, default: outbound::Config) -> Result<outbound::Config, ConfigError> {
    let (allow, ports) = ("EVENTUS_OUTBOUND_ALLOW", "EVENTUS_OUTBOUND_PORTS");
    let timeout = env.duration("EVENTUS_OUTBOUND_TIMEOUT", default.timeout)?;
    if !(Duration::from_millis(100)..=Duration::from_secs(60)).contains(&timeout) {
        return Err(ConfigError::invalid("EVENTUS_OUTBOUND_TIMEOUT", "100ms to 60s"));
    }
    Ok(outbound::Config {
        allow: outbound::Config::parse_allow(&env.list(allow)?)
            .map_err(|_| ConfigError::invalid(allow, "networks and addresses between commas"))?,
        ports: outbound::Config::parse_ports(&env.list(ports)?)
            .map_err(|_| ConfigError::invalid(ports, "port numbers between commas, or *"))?,
        timeout,
        ..default
    })
}

fn schedule(env: &Env, default: &Schedule) -> Result<Schedule, ConfigError> {
    let key = "EVENTUS_WEBHOOK_SCHEDULE";
    let delays = env.durations(key, &default.delays)?;
    let longest = delays.iter().copied().max().unwrap_or_default();
    if delays.len() > 50 || longest > 30 * DAY {
        return Err(ConfigError::invalid(key, "at most 50 delays of at most 30d"));
    }
    let overload = env.duration("EVENTUS_WEBHOOK_OVERLOAD_DELAY", default.overload.min(longest))?;
    if overload > DAY {
        return Err(ConfigError::invalid("EVENTUS_WEBHOOK_OVERLOAD_DELAY", "at most 1d"));
    }
    Ok(Schedule { delays, overload })
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

//! Settings of accounts: where links lead, how long they hold, how mail goes out.

use std::time::Duration;

use chassis::{ConfigError, Env};
use lettre::message::Mailbox;
use outbound::Schedule;

use super::Secret;
use crate::links::Allowed;

/// Links in mails.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    /// `PUBLIC_URL`, `/`: where clients reach us. Links lead there, whatever a request's headers say.
    pub public_url: String,
    /// `PASSWORD_RESET_URL_ALLOW_LIST`: pages that links of passwords may lead to beside the app.
    pub reset: Allowed,
    /// `USER_INVITE_URL_ALLOW_LIST`: the same of invitations.
    pub invite: Allowed,
    /// `USER_REGISTER_URL_ALLOW_LIST`: the same of registrations.
    pub register: Allowed,
    /// `EMAIL_VERIFICATION_TOKEN_TTL`, 7 days: how long the link of a registration holds.
    pub verification: Duration,
    /// `REGISTER_STALL_TIME`, 750 ms: a registration takes this long, or a multiple of it.
    pub register_stall: Duration,
}

/// How mail goes out.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// `EMAIL_FROM`, `no-reply@example.com`.
    pub from: String,
    /// `EMAIL_TRANSPORT`: `smtp`. Not set: mails are kept, none is sent.
    pub smtp: Option<SmtpConfig>,
    /// `RATE_LIMITER_EMAIL_ENABLED`, `RATE_LIMITER_EMAIL_POINTS`, `RATE_LIMITER_EMAIL_DURATION`: so many mails within so
    /// long, of the whole fleet; more wait.
    pub limit: Option<(u32, Duration)>,
    /// `EVENTUS_MAIL_SCHEDULE`: pauses between attempts, and `EVENTUS_MAIL_OVERLOAD_DELAY`.
    pub schedule: Schedule,
    /// `EVENTUS_MAIL_RETENTION`, 7 days: how long mails that were sent or given up are remembered.
    pub retention: Duration,
    /// `EVENTUS_MAIL_PREVIEW`: administrators may read the texts of mails.
    pub preview: bool,
}

/// A server that takes mail.
#[derive(Debug, Clone)]
pub struct SmtpConfig {
    /// `EMAIL_SMTP_HOST`.
    pub host: String,
    /// `EMAIL_SMTP_PORT`, 587, or 465 where the connection is encrypted from the beginning.
    pub port: u16,
    /// `EMAIL_SMTP_USER`, `EMAIL_SMTP_PASSWORD`.
    pub login: Option<(String, Secret)>,
    /// `EMAIL_SMTP_SECURE`: encrypted from the beginning.
    pub secure: bool,
    /// `EMAIL_SMTP_IGNORE_TLS`: never encrypted.
    pub ignore_tls: bool,
    /// `EMAIL_SMTP_NAME`: what we call ourselves.
    pub name: Option<String>,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            public_url: "/".to_owned(),
            reset: Allowed::default(),
            invite: Allowed::default(),
            register: Allowed::default(),
            verification: Duration::from_secs(7 * 24 * 3600),
            register_stall: Duration::from_millis(750),
        }
    }
}

impl Default for MailConfig {
    /// Mails are kept, none is sent.
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let delays = vec![Duration::from_secs(10), minutes(1), minutes(5), minutes(15), minutes(30)];
        Self {
            from: "no-reply@example.com".to_owned(),
            smtp: None,
            limit: None,
            schedule: Schedule { delays, overload: minutes(1) },
            retention: Duration::from_secs(7 * 24 * 3600),
            preview: false,
        }
    }
}

impl LinkConfig {
    /// Reads the environment.
    ///
    /// # Errors
    /// A value does not fit; the error names the variable.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let default = Self::default();
        let reset = Allowed::new(&env.list("PASSWORD_RESET_URL_ALLOW_LIST")?);
        let invite = Allowed::new(&env.list("USER_INVITE_URL_ALLOW_LIST")?);
        let register = Allowed::new(&env.list("USER_REGISTER_URL_ALLOW_LIST")?);
        let of = |list: Option<Allowed>, key: &str| {
            list.ok_or_else(|| ConfigError::invalid(key, "http or https URLs, without user or password"))
        };
        Ok(Self {
            public_url: env.get("PUBLIC_URL")?.unwrap_or(default.public_url),
            reset: of(reset, "PASSWORD_RESET_URL_ALLOW_LIST")?,
            invite: of(invite, "USER_INVITE_URL_ALLOW_LIST")?,
            register: of(register, "USER_REGISTER_URL_ALLOW_LIST")?,
            verification: env.duration("EMAIL_VERIFICATION_TOKEN_TTL", default.verification)?,
            register_stall: env.duration("REGISTER_STALL_TIME", default.register_stall)?,
        })
    }
}

impl MailConfig {
    /// Reads the environment.
    ///
    /// # Errors
    /// A value does not fit; the error names the variable.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let default = Self::default();
        let from = env.get("EMAIL_FROM")?.unwrap_or(default.from);
        if from.parse::<Mailbox>().is_err() {
            return Err(ConfigError::invalid("EMAIL_FROM", "an e-mail address"));
        }
        let smtp = match env.get("EMAIL_TRANSPORT")?.as_deref() {
            None => None,
            Some("smtp") => Some(SmtpConfig::from_env(env)?),
            Some(_) => return Err(ConfigError::invalid("EMAIL_TRANSPORT", "smtp")),
        };
        let limited = env.flag("RATE_LIMITER_EMAIL_ENABLED", false)?;
        let points = env.parse("RATE_LIMITER_EMAIL_POINTS", 50)?;
        let seconds = env.parse("RATE_LIMITER_EMAIL_DURATION", 60)?;
        let (delays, overload) = ("EVENTUS_MAIL_SCHEDULE", "EVENTUS_MAIL_OVERLOAD_DELAY");
        Ok(Self {
            from,
            smtp,
            limit: limited.then_some((points, Duration::from_secs(seconds))),
            schedule: Schedule::from_env(env, delays, overload, &default.schedule)?,
            retention: due::retention(env, "EVENTUS_MAIL_RETENTION", default.retention)?,
            preview: env.flag("EVENTUS_MAIL_PREVIEW", false)?,
        })
    }
}

impl SmtpConfig {
    fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let secure = env.flag("EMAIL_SMTP_SECURE", false)?;
        let (user, password) = (env.get("EMAIL_SMTP_USER")?, env.get("EMAIL_SMTP_PASSWORD")?);
        Ok(Self {
            host: env.required("EMAIL_SMTP_HOST")?,
            port: env.parse("EMAIL_SMTP_PORT", if secure { 465 } else { 587 })?,
            login: user.map(|user| (user, Secret::new(password.unwrap_or_default()))),
            secure,
            ignore_tls: env.flag("EMAIL_SMTP_IGNORE_TLS", false)?,
            name: env.get("EMAIL_SMTP_NAME")?,
        })
    }
}

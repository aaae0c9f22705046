//! Mail: one durable queue, `eventus.mails`, written in the transaction that decided to write to somebody.
//!
//! What a mail says is encrypted at rest, because links live in it; it is in no event. `sending` takes what is due.

mod letter;
mod list;
mod sending;
mod smtp;

use std::time::Duration;

use chassis::metrics::{self, IntCounterVec, IntGauge};
use lettre::message::Mailbox;
use secrets::Sealer;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::Error;
use crate::config::{Config, MailConfig};

pub use letter::{Project, compose};
pub use list::list;
pub use sending::{Sending, sweep};

/// The place that texts are sealed for.
const PLACE: &str = "eventus.mails";

/// Why somebody is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// He may set a password.
    PasswordReset,
    /// He is invited.
    Invitation,
    /// He has registered.
    Registration,
    /// Somebody shares an item with whom it is written to.
    Share,
}

impl Kind {
    /// As it is stored and counted.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PasswordReset => "password-reset",
            Self::Invitation => "invitation",
            Self::Registration => "registration",
            Self::Share => "share",
        }
    }

    /// Mails of this kind that are written about one user within an hour, however often they are asked for.
    fn per_hour(self) -> i64 {
        match self {
            // About who shares, to others.
            Self::Share => 200,
            Self::PasswordReset | Self::Invitation | Self::Registration => 5,
        }
    }
}

/// What is written, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// An address.
    pub to: String,
    /// One line.
    pub subject: String,
    /// For who reads no HTML.
    pub text: String,
    /// The same with a button.
    pub html: String,
}

/// A mail for the queue.
#[derive(Debug)]
pub struct Mail<'a> {
    /// Its id, and its `Message-ID`.
    pub id: Uuid,
    /// Why.
    pub kind: Kind,
    /// About whom it is; it waits until he is there.
    pub user: Uuid,
    /// How long what it says holds.
    pub lifetime: Duration,
    /// What it says.
    pub letter: &'a Letter,
}

/// What sending works with.
pub struct Post {
    /// Settings.
    pub config: MailConfig,
    sealer: Sealer,
    from: Mailbox,
    smtp: Option<smtp::Smtp>,
    wake: Notify,
    slots: std::sync::Arc<tokio::sync::Semaphore>,
    mails: IntCounterVec,
    pending: IntGauge,
}

impl Post {
    /// Builds it.
    ///
    /// # Errors
    /// The server's name can't be one.
    pub fn try_new(config: &Config) -> Result<Self, Error> {
        let none: &[&str] = &[];
        let mails =
            "Attempts to send a mail by outcome: sent, again (a later attempt follows), dead (given up).";
        let pending = "Mails that are to be sent still.";
        Ok(Self {
            sealer: Sealer::try_new(config.secret.expose())?,
            from: config.mail.from.parse().map_err(|_| Error::Smtp("EMAIL_FROM".to_owned()))?,
            smtp: config.mail.smtp.as_ref().map(smtp::Smtp::try_new).transpose()?,
            wake: Notify::new(),
            slots: std::sync::Arc::new(tokio::sync::Semaphore::new(sending::SIDE_BY_SIDE)),
            mails: metrics::counter("eventus_mails_total", mails, &["kind", "outcome"]),
            pending: metrics::gauge("eventus_mails_pending", pending, none).with_label_values(none),
            config: config.mail.clone(),
        })
    }

    /// Whether anything is sent.
    pub fn sends(&self) -> bool {
        self.smtp.is_some()
    }

    /// Something new is committed.
    pub fn committed(&self) {
        self.wake.notify_one();
    }

    /// Queues a mail in the caller's transaction. Who was written to too often within the hour is not, and that is no
    /// error: nobody is to be drowned in mails by others.
    ///
    /// # Errors
    /// PostgreSQL is away.
    pub async fn put(&self, connection: &mut PgConnection, mail: Mail<'_>) -> Result<(), Error> {
        const PUT: &str = r#"INSERT INTO eventus.mails (id, kind, sealed, "user", expires)
            SELECT $1, $2, $3, $4, now() + $5::bigint * interval '1 millisecond'
            WHERE (SELECT count(*) FROM eventus.mails
                WHERE "user" = $4 AND kind = $2 AND created > now() - interval '1 hour') < $6"#;
        let letter = serde_json::to_string(mail.letter).map_err(Error::Payload)?;
        let put = sqlx::query(PUT)
            .bind(mail.id)
            .bind(mail.kind.as_str())
            .bind(self.sealer.seal(&letter, PLACE)?)
            .bind(mail.user)
            .bind(model::milliseconds(mail.lifetime))
            .bind(mail.kind.per_hour());
        if put.execute(connection).await?.rows_affected() == 0 {
            tracing::warn!(user = %mail.user, kind = mail.kind.as_str(), "was written to often enough within the hour");
        }
        Ok(())
    }

    /// Takes a mail back that did not have to be written after all.
    ///
    /// # Errors
    /// PostgreSQL is away.
    pub async fn withdraw(&self, db: &db::Db, id: Uuid) -> Result<(), Error> {
        sqlx::query("DELETE FROM eventus.mails WHERE id = $1 AND state = 'pending' AND attempts = 0")
            .bind(id)
            .execute(db)
            .await?;
        Ok(())
    }

    /// What was queued.
    fn opened(&self, sealed: &str) -> Result<Letter, Error> {
        serde_json::from_str(&self.sealer.open(sealed, PLACE)?).map_err(Error::Payload)
    }
}

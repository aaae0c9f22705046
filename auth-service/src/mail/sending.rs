//! Takes mails that are due and hands them over, several side by side; all replicas share the rows.
//!
//! A row that was taken is one sender's until its lock ends. It is tried again by schedule, and given up after the last
//! try, when the server will never take it, or when what it says holds no longer.

use std::sync::Arc;
use std::time::Duration;

use chassis::Runtime;
use db::Db;
use outbound::backoff::{self, Failure};
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::smtp::{PATIENCE, Refusal, Smtp};
use super::{Letter, Post};
use crate::Error;
use crate::state::State;

/// Mails that one process hands over at a time.
pub const SIDE_BY_SIDE: usize = 4;

/// One after the other: the limit counts for the whole fleet.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7306085848)";

const TAKE: &str = r#"
WITH taken AS MATERIALIZED (
    SELECT id FROM eventus.mails m
    WHERE state = 'pending' AND next_attempt <= now() AND expires > now()
        AND (locked_until IS NULL OR locked_until <= now())
        AND ("user" IS NULL OR EXISTS (SELECT FROM directus_users u WHERE u.id = m."user"))
    ORDER BY next_attempt
    LIMIT greatest(least($1, $3 - (SELECT count(*) FROM eventus.mails
        WHERE attempted > now() - $4::bigint * interval '1 millisecond')), 0)
    FOR UPDATE OF m SKIP LOCKED
)
UPDATE eventus.mails mail SET attempts = attempts + 1, attempted = now(),
    locked_until = now() + $2::bigint * interval '1 millisecond'
FROM taken WHERE mail.id = taken.id
RETURNING mail.id, mail.kind, mail.sealed, mail.attempts, mail.locked_until"#;

const NEXT: &str = "
SELECT (extract(epoch FROM min(next_attempt) - now()) * 1000)::bigint FROM eventus.mails
WHERE state = 'pending' AND next_attempt > now()
    AND next_attempt < now() + $1::bigint * interval '1 millisecond'";

const END: &str =
    "UPDATE eventus.mails SET state = $3, finished = now(), locked_until = NULL, last_error = $4,
    sealed = CASE WHEN $5 THEN sealed END
WHERE id = $1 AND locked_until = $2 AND state = 'pending'";

const AGAIN: &str = "UPDATE eventus.mails SET locked_until = NULL, last_error = $4,
    next_attempt = now() + $3::bigint * interval '1 millisecond'
WHERE id = $1 AND locked_until = $2 AND state = 'pending'";

type Taken = (Uuid, String, Option<String>, i32, OffsetDateTime);

/// Mails as work that is due.
#[derive(Clone)]
pub struct Sending(pub Arc<State>);

impl due::Work for Sending {
    const NAME: &'static str = "mails";

    const PENDING: &'static str = "SELECT count(*) FROM eventus.mails WHERE state = 'pending'";

    const FORGET: &'static str = "
DELETE FROM eventus.mails WHERE id IN (
    SELECT id FROM eventus.mails
    WHERE state <> 'pending' AND finished < now() - $1::bigint * interval '1 millisecond'
    LIMIT $2 FOR UPDATE SKIP LOCKED)";

    fn db(&self) -> &Db {
        &self.0.db
    }

    async fn look(&self, runtime: &Runtime) -> Result<Duration, sqlx::Error> {
        let post = &self.0.post;
        if !post.sends() {
            return Ok(due::POLL);
        }
        let mut slots = Vec::new();
        while let Ok(slot) = post.slots.clone().try_acquire_owned() {
            slots.push(slot);
        }
        if slots.is_empty() {
            return Ok(due::POLL);
        }
        let mails = take(&self.0.db, post, slots.len()).await?;
        for (mail, slot) in mails.into_iter().zip(slots) {
            let state = self.0.clone();
            runtime.tasks.detach(async move {
                attempt(&state, mail).await;
                drop(slot);
                state.post.wake.notify_one();
            });
        }
        due::next(&self.0.db, NEXT).await
    }

    async fn woken(&self) {
        self.0.post.wake.notified().await;
    }

    fn pending(&self, count: i64) {
        self.0.post.pending.set(count);
    }
}

async fn take(db: &Db, post: &Post, room: usize) -> Result<Vec<Taken>, sqlx::Error> {
    let room = i64::try_from(room).unwrap_or(i64::MAX);
    let (points, span) =
        post.config.limit.map_or((i64::MAX, Duration::ZERO), |(points, span)| (i64::from(points), span));
    let mut transaction = db.begin().await.map_err(|error| match error {
        db::Error::Sqlx(error) => error,
        other => sqlx::Error::Protocol(other.to_string()),
    })?;
    if post.config.limit.is_some() {
        sqlx::query(LOCK).execute(&mut *transaction).await?;
    }
    let taken = sqlx::query_as(TAKE)
        .bind(room)
        .bind(model::milliseconds(due::lock(PATIENCE)))
        .bind(points)
        .bind(model::milliseconds(span))
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(taken)
}

async fn attempt(state: &State, (id, kind, sealed, number, locked): Taken) {
    let post = &state.post;
    let Some(smtp) = &post.smtp else { return };
    let done = match sealed.as_deref().map(|sealed| post.opened(sealed)) {
        Some(Ok(letter)) => send(state, smtp, id, &letter).await,
        _ => Err(Refusal { hopeless: true, reason: "sealed by another SECRET".to_owned() }),
    };
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    let (outcome, reason, pause) = match &done {
        Ok(()) => ("sent", None, None),
        Err(refusal) => {
            let draw = backoff::draw(state.ids.as_ref());
            let pause = post.config.schedule.next(number, &Failure::default(), draw);
            match pause.filter(|_| !refusal.hopeless) {
                Some(pause) => ("again", Some(&refusal.reason), Some(pause)),
                None => ("dead", Some(&refusal.reason), None),
            }
        }
    };
    post.mails.with_label_values(&[kind.as_str(), outcome]).inc();
    match outcome {
        "sent" => tracing::info!(mail = %id, kind, attempt = number, "mail sent"),
        "again" => tracing::warn!(mail = %id, kind, attempt = number, error = reason, "mail not taken yet"),
        _ => tracing::error!(mail = %id, kind, attempt = number, error = reason, "mail given up"),
    }
    let mut pauses = due::Pauses::default();
    loop {
        let own = |sql: &'static str| sqlx::query(sql).bind(id).bind(locked);
        let statement = match pause {
            Some(pause) => own(AGAIN).bind(model::milliseconds(pause)).bind(reason),
            None => own(END).bind(outcome).bind(reason).bind(post.config.preview),
        };
        match statement.execute(&state.db).await {
            Ok(_) => return,
            Err(error) => tracing::warn!(mail = %id, %error, "a mail is not yet recorded"),
        }
        pauses.wait().await;
    }
}

async fn send(state: &State, smtp: &Smtp, id: Uuid, letter: &Letter) -> Result<(), Refusal> {
    let mut from = state.post.from.clone();
    if from.name.is_none() {
        // The original names the project.
        from.name = state.project().await.ok().map(|project| super::letter::one_line(&project.name));
    }
    smtp.send(&from, id, letter, state.clock.now()).await
}

/// Gives up what holds no longer, and what is about somebody who was never made; gives how many.
pub async fn sweep(executor: impl PgExecutor<'_>) -> Result<u64, Error> {
    const SWEEP: &str = r#"UPDATE eventus.mails m SET state = 'dead', finished = now(), sealed = NULL,
            last_error = CASE WHEN expires <= now() THEN 'expired' ELSE 'nobody' END
        WHERE state = 'pending' AND (locked_until IS NULL OR locked_until <= now())
        AND (expires <= now() OR ("user" IS NOT NULL AND created < now() - interval '1 hour'
            AND NOT EXISTS (SELECT FROM directus_users u WHERE u.id = m."user")))"#;
    Ok(sqlx::query(SWEEP).execute(executor).await?.rows_affected())
}

//! One job, worked on until it has ended or the process has to go. Every transaction that writes rows moves the job with
//! them, and holds its row: whoever else has taken it meanwhile finds out, and nothing is written twice.

use model::Errors;
use sqlx::{PgConnection, PgExecutor};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::chunk::{Writer, refused};
use super::findings::Findings;
use super::job::Job;
use super::rows::{Batch, Broken, Rows};
use super::{ENDED, ROWS, Settings};
use crate::execute;
use crate::failure::Failure;
use crate::items::CHUNK;
use crate::state::State;

/// So long a job is one process's when nothing is heard of it.
pub const LOCK: i64 = 10_000;
/// How often in a row it may fail for a reason that is not in the file.
const TRIES: i32 = 8;
/// The largest file, in bytes, that is looked through to see whether it is written in one transaction.
const SMALL: i64 = 8 << 20;

/// Why work on a job stops before its end.
enum Stop {
    /// It is another's now, or was cancelled.
    Lost,
    /// The process has to go.
    Leave,
    /// Its rows can't be written.
    Refused(Errors),
    /// It may work later.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::File(errors) => Self::Refused(errors),
            Broken::Sql(error) => Self::Failed(error.into()),
        }
    }
}

/// A job and who works on it.
pub struct Work {
    pub state: State,
    pub settings: Settings,
    pub job: Job,
    pub runner: Uuid,
    pub soft: CancellationToken,
}

impl Work {
    /// Works on it.
    pub async fn run(mut self) {
        let id = self.job.id;
        tracing::info!(import = %id, collection = self.job.collection, rows = self.job.rows, "an import goes on");
        let done = self.write().await;
        let told = match done {
            Ok(()) => self.told("done", None).await,
            Err(Stop::Lost) => {
                return tracing::info!(import = %id, "an import was stopped, or is another's now");
            }
            Err(Stop::Leave) => self.release(0).await,
            Err(Stop::Refused(errors)) => self.fail(errors).await,
            Err(Stop::Failed(failure)) => self.again(failure).await,
        };
        if let Err(error) = told {
            // Its lock ends by itself: somebody takes it again.
            tracing::warn!(import = %id, %error, "how an import stands could not be written down");
        }
    }

    async fn write(&mut self) -> Result<(), Stop> {
        if self.job.atomic.is_none() {
            self.job.atomic = Some(self.is_small().await?);
            const DECIDE: &str = "UPDATE eventus.imports SET atomic = $3 WHERE id = $1 AND runner = $2";
            let decide = sqlx::query(DECIDE).bind(self.job.id).bind(self.runner).bind(self.job.atomic);
            decide.execute(&self.state.db).await?;
        }
        if self.job.dry_run {
            // What was found before is not kept: it is looked through again.
            (self.job.bytes, self.job.rows) = (0, 0);
            return self.rehearse().await;
        }
        if self.job.atomic == Some(true) { self.write_whole().await } else { self.write_chunks().await }
    }

    /// It is written in one transaction, as by the original.
    async fn is_small(&self) -> Result<bool, Stop> {
        if self.job.bytes_total > SMALL || self.job.bytes > 0 {
            return Ok(false);
        }
        let mut rows = Rows::open(&self.state.db, &self.job).await?;
        Ok(rows.count(self.settings.atomic_rows).await?.is_some())
    }

    /// All rows in one transaction, or none.
    async fn write_whole(&mut self) -> Result<(), Stop> {
        let mut tx = execute::begin(&self.state.db).await?;
        let failure = match self.whole(&mut tx, None).await {
            Ok((moves_control, rows, bytes)) => return self.commit(tx, (rows, bytes), moves_control).await,
            Err(Stop::Failed(failure)) => failure,
            Err(stop) => return Err(stop),
        };
        refused(&self.state, failure, &self.job.collection)?;
        tx.rollback().await?;
        let (mut tx, mut findings) = (execute::begin(&self.state.db).await?, Findings::default());
        let (moves_control, rows, bytes) = self.whole(&mut tx, Some(&mut findings)).await?;
        if !findings.is_empty() {
            tx.rollback().await?;
            return Err(Stop::Refused(findings.errors()));
        }
        self.commit(tx, (rows, bytes), moves_control).await
    }

    /// Every row, in a transaction; with findings each row by itself where that is needed.
    async fn whole(
        &self,
        conn: &mut PgConnection,
        mut findings: Option<&mut Findings>,
    ) -> Result<(bool, i64, i64), Stop> {
        self.hold(conn).await?;
        let mut rows = Rows::open(&self.state.db, &self.job).await?;
        let (writer, mut moves_control, mut first) = (self.writer(), false, 0);
        loop {
            let batch = rows.batch(CHUNK).await?;
            moves_control |= match &mut findings {
                None => writer.write(conn, &batch.rows, first).await?,
                Some(findings) => {
                    let most = self.settings.max_errors;
                    writer.write_apart(conn, &batch.rows, first, (findings, most)).await?
                }
            };
            first += batch.rows.len();
            let enough =
                findings.as_ref().is_some_and(|findings| findings.count() >= self.settings.max_errors);
            if batch.last || enough {
                return Ok((moves_control, number(first), batch.end));
            }
        }
    }

    /// Chunk by chunk, each in a transaction.
    async fn write_chunks(&mut self) -> Result<(), Stop> {
        let (most, mut rows) = (self.chunk(), Rows::open(&self.state.db, &self.job).await?);
        let mut batch = rows.batch(most).await?;
        while !batch.rows.is_empty() {
            // While PostgreSQL writes these rows, the next ones are read.
            let next = async { if batch.last { Ok(Batch::default()) } else { rows.batch(most).await } };
            let (written, next) = tokio::join!(self.write_chunk(&batch), next);
            written?;
            batch = next?;
            if self.soft.is_cancelled() && !batch.rows.is_empty() {
                return Err(Stop::Leave);
            }
        }
        Ok(())
    }

    async fn write_chunk(&mut self, batch: &Batch) -> Result<(), Stop> {
        let (first, after) = (usize::try_from(self.job.rows).unwrap_or_default(), self.after(batch));
        let writer = Writer { state: &self.state, job: &self.job };
        let mut tx = execute::begin(&self.state.db).await?;
        self.advance(&mut *tx, after).await?;
        let failure = match writer.write(&mut tx, &batch.rows, first).await {
            Ok(moves_control) => return self.commit(tx, after, moves_control).await,
            Err(failure) => failure,
        };
        refused(&self.state, failure, &self.job.collection)?;
        tx.rollback().await?;
        let (mut tx, mut findings) = (execute::begin(&self.state.db).await?, Findings::default());
        self.advance(&mut *tx, after).await?;
        let found = (&mut findings, self.settings.max_errors);
        let moves_control = writer.write_apart(&mut tx, &batch.rows, first, found).await?;
        if !findings.is_empty() {
            tx.rollback().await?;
            return Err(Stop::Refused(findings.errors()));
        }
        // What stood in the way is gone, or the limit of a batch was: in halves all rows were written.
        self.commit(tx, after, moves_control).await
    }

    /// Every row is written, found good or not, and taken back.
    async fn rehearse(&mut self) -> Result<(), Stop> {
        let mut findings = Findings::default();
        if self.job.atomic == Some(true) {
            let mut tx = execute::begin(&self.state.db).await?;
            let (_, rows, bytes) = self.whole(&mut tx, Some(&mut findings)).await?;
            tx.rollback().await?;
            self.go_on((rows, bytes)).await?;
        } else {
            let mut rows = Rows::open(&self.state.db, &self.job).await?;
            loop {
                let batch = rows.batch(self.chunk()).await?;
                let first = usize::try_from(self.job.rows).unwrap_or_default();
                let mut tx = execute::begin(&self.state.db).await?;
                self.hold(&mut tx).await?;
                let found = (&mut findings, self.settings.max_errors);
                self.writer().write_apart(&mut tx, &batch.rows, first, found).await?;
                tx.rollback().await?;
                self.go_on(self.after(&batch)).await?;
                if batch.last || findings.count() >= self.settings.max_errors {
                    break;
                }
                if self.soft.is_cancelled() {
                    return Err(Stop::Leave);
                }
            }
        }
        if findings.is_empty() { Ok(()) } else { Err(Stop::Refused(findings.errors())) }
    }

    fn writer(&self) -> Writer<'_> {
        Writer { state: &self.state, job: &self.job }
    }

    /// Rows of a chunk: no more than a request may change.
    fn chunk(&self) -> usize {
        let most = self.state.limits.batch.and_then(|most| usize::try_from(most).ok());
        most.unwrap_or(CHUNK).clamp(1, CHUNK)
    }

    fn after(&self, batch: &Batch) -> (i64, i64) {
        (self.job.rows + number(batch.rows.len()), batch.end)
    }

    /// Holds the job for this transaction.
    async fn hold(&self, conn: &mut PgConnection) -> Result<(), Stop> {
        const HOLD: &str =
            "SELECT true FROM eventus.imports WHERE id = $1 AND runner = $2 AND state = 'running' FOR UPDATE";
        let held = sqlx::query(HOLD).bind(self.job.id).bind(self.runner).fetch_optional(conn).await?;
        if held.is_some() { Ok(()) } else { Err(Stop::Lost) }
    }

    /// Moves the job to where it stands after these rows, if it stands where they begin.
    async fn advance(&self, executor: impl PgExecutor<'_>, (rows, bytes): (i64, i64)) -> Result<(), Stop> {
        const ADVANCE: &str = "UPDATE eventus.imports SET rows = $4, bytes = $5, attempts = 0, touched = now(), \
            locked_until = now() + $6 * interval '1 millisecond' \
            WHERE id = $1 AND runner = $2 AND state = 'running' AND (rows = $3 OR dry_run)";
        let advance = sqlx::query(ADVANCE).bind(self.job.id).bind(self.runner).bind(self.job.rows);
        let moved = advance.bind(rows).bind(bytes).bind(LOCK).execute(executor).await?;
        if moved.rows_affected() == 1 { Ok(()) } else { Err(Stop::Lost) }
    }

    /// The same in a transaction of its own: nothing was written.
    async fn go_on(&mut self, after: (i64, i64)) -> Result<(), Stop> {
        self.advance(&self.state.db, after).await?;
        (self.job.rows, self.job.bytes) = after;
        Ok(())
    }

    async fn commit(
        &mut self,
        mut tx: db::Transaction,
        after: (i64, i64),
        moves_control: bool,
    ) -> Result<(), Stop> {
        if self.job.atomic == Some(true) {
            self.advance(&mut *tx, after).await?;
            // With its rows: who finds them finds the job done.
            end(&mut *tx, &self.job, self.runner, ("done", None)).await?;
        }
        execute::commit(tx).await?;
        ROWS.inc_by(u64::try_from(after.0 - self.job.rows).unwrap_or_default());
        (self.job.rows, self.job.bytes) = after;
        if moves_control {
            self.state.announce_control().await;
        }
        self.state.announce().await;
        Ok(())
    }

    async fn fail(&self, mut errors: Errors) -> Result<(), sqlx::Error> {
        if self.job.rows > 0 && !self.job.dry_run {
            let stored = |error: model::Error| error.with("stored", self.job.rows);
            errors.0 = errors.0.into_iter().map(stored).collect();
        }
        self.told("failed", Some(&errors)).await
    }

    /// The job has ended. One of one transaction that was written has said so already.
    async fn told(&self, state: &'static str, errors: Option<&Errors>) -> Result<(), sqlx::Error> {
        end(&self.state.db, &self.job, self.runner, (state, errors)).await?;
        let Job { id, collection, rows, bytes, .. } = &self.job;
        let reason = errors.and_then(|errors| errors.0.first()).map(|error| error.message.as_str());
        ENDED.with_label_values(&[state]).inc();
        tracing::info!(import = %id, collection, state, rows, bytes, reason, "an import has ended");
        Ok(())
    }

    /// Somebody tries it again, later and later, or nobody any more.
    async fn again(&self, failure: Failure) -> Result<(), sqlx::Error> {
        let id = self.job.id;
        if let Failure::Sql(error) = &failure
            && State::is_stale(error)
        {
            _ = self.state.snapshots.refresh().await;
        }
        let errors = failure.told(&self.state, &self.job.collection);
        tracing::warn!(import = %id, attempts = self.job.attempts, ?errors, "an import has to wait");
        if self.job.attempts + 1 >= TRIES {
            return self.fail(errors).await;
        }
        self.release(1).await
    }

    /// Anybody may take it.
    async fn release(&self, failures: i32) -> Result<(), sqlx::Error> {
        const RELEASE: &str = "UPDATE eventus.imports SET runner = NULL, locked_until = NULL, attempts = attempts + $3, \
            next_attempt = now() + $3 * least(power(2, attempts), 60) * interval '500 milliseconds' \
            WHERE id = $1 AND runner = $2 AND state = 'running'";
        let release = sqlx::query(RELEASE).bind(self.job.id).bind(self.runner).bind(failures);
        release.execute(&self.state.db).await.map(|_| ())
    }
}

/// Ends a job, and forgets its file. A file of which nothing was written may come again under its key.
async fn end(
    executor: impl PgExecutor<'_>,
    job: &Job,
    runner: Uuid,
    (state, errors): (&str, Option<&Errors>),
) -> Result<(), sqlx::Error> {
    const END: &str = "WITH ended AS (UPDATE eventus.imports SET state = $3, errors = $4, finished = now(), \
            runner = NULL, locked_until = NULL, \
            idempotency_key = CASE WHEN $3 = 'done' OR rows > 0 AND NOT dry_run THEN idempotency_key END \
            WHERE id = $1 AND runner = $2 AND state = 'running' RETURNING id) \
        DELETE FROM eventus.import_pieces WHERE import IN (SELECT id FROM ended)";
    let end = sqlx::query(END)
        .bind(job.id)
        .bind(runner)
        .bind(state)
        .bind(errors.and_then(|errors| serde_json::to_string(errors).ok()));
    end.execute(executor).await.map(|_| ())
}

fn number(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

//! The ImportsService: files of items, received whole and then written as jobs that outlive every process.
//!
//! `receive` keeps a file in pieces; `rows` reads it again, row by row (`csv`, `header`, `json`); `chunk` writes rows by the
//! road of every other write; `work` moves a job on; `findings` says what is wrong with which rows.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use chassis::Runtime;
use chassis::metrics::{self, IntCounter, IntCounterVec, IntGauge};
use model::{Error, ErrorCode, Errors};
use proto::imports::v1 as pb;
use proto::imports::v1::imports_service_server::ImportsService;
use proto::imports::v1::upload_import_request::Part;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::state::State;

mod chunk;
mod csv;
mod findings;
mod header;
mod job;
mod json;
mod receive;
mod rows;
mod work;

use job::{COLUMNS, Job};
use work::{LOCK, Work};

/// Jobs that a process works on at a time: one that is long doesn't keep the short ones waiting.
const PLACES: usize = 2;

static ROWS: LazyLock<IntCounter> = LazyLock::new(|| {
    let rows = metrics::counter("eventus_import_rows_total", "Rows of files that were imported.", &[]);
    rows.with_label_values::<&str>(&[])
});
static ENDED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter("eventus_imports_total", "Imports that have ended, by state.", &["state"])
});
static PENDING: LazyLock<IntGauge> = LazyLock::new(|| {
    let pending =
        metrics::gauge("eventus_imports_pending", "Imports that have not ended, in the whole fleet.", &[]);
    pending.with_label_values::<&str>(&[])
});

/// What the settings say of imports.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `EVENTUS_IMPORT_MAX_SIZE`, 1 GiB: bytes of a file.
    pub max_size: u64,
    /// `EVENTUS_IMPORT_ATOMIC_ROWS`, 10,000: a file of no more rows is written in one transaction.
    pub atomic_rows: i64,
    /// `MAX_IMPORT_ERRORS`, 1,000: so many errors of rows are looked for.
    pub max_errors: usize,
    /// `EVENTUS_IMPORT_RETENTION`, 7 days: how long a job that has ended can be looked at, and its key is good for.
    pub retention: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_size: 1 << 30,
            atomic_rows: 10_000,
            max_errors: 1_000,
            retention: Duration::from_secs(7 * 86_400),
        }
    }
}

/// The service over the process's state.
#[derive(Clone)]
pub struct Imports {
    state: State,
    settings: Settings,
    runtime: Runtime,
    places: Arc<Semaphore>,
    /// There is something to do, or room for it.
    woken: Arc<Notify>,
}

impl Imports {
    /// The service; works on jobs from now on.
    pub fn start(state: &State, settings: &Settings, runtime: &Runtime) -> Self {
        let imports = Self {
            state: state.clone(),
            settings: settings.clone(),
            runtime: runtime.clone(),
            places: Arc::new(Semaphore::new(PLACES)),
            woken: Arc::default(),
        };
        let retention = settings.retention;
        runtime.tasks.spawn("imports", due::run(imports.clone(), runtime.clone()));
        runtime.tasks.spawn("imports-pruning", due::forget(imports.clone(), retention, runtime.clone()));
        imports
    }

    /// Takes a job that nobody works on.
    async fn take(&self) -> Result<Option<Work>, sqlx::Error> {
        let take = format!(
            "UPDATE eventus.imports SET runner = $1, locked_until = now() + $2 * interval '1 millisecond' \
             WHERE id = (SELECT id FROM eventus.imports \
                 WHERE state = 'running' AND next_attempt <= now() AND coalesce(locked_until <= now(), true) \
                 ORDER BY next_attempt LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING {COLUMNS}"
        );
        let runner = self.state.ids.random();
        let take = sqlx::query(sqlx::AssertSqlSafe(take)).bind(runner).bind(LOCK);
        let Some(row) = take.fetch_optional(&self.state.db).await? else { return Ok(None) };
        Ok(Some(Work {
            state: self.state.clone(),
            settings: self.settings.clone(),
            job: Job::of(&row)?,
            runner,
            soft: self.runtime.shutdown.soft().clone(),
        }))
    }

    /// Works on a job as a task of the process.
    fn begin(&self, work: Work, place: OwnedSemaphorePermit, runtime: &Runtime) {
        let woken = Arc::clone(&self.woken);
        let span =
            tracing::info_span!("import", import = %work.job.id, request_id = work.job.caller.request_id);
        runtime.tasks.detach(
            async move {
                work.run().await;
                drop(place);
                woken.notify_one();
            }
            .instrument(span),
        );
    }

    /// The job, for who may see it.
    async fn find(&self, caller: &rpc::Caller, id: &str) -> Result<Job, Errors> {
        let id: Uuid = id.parse().map_err(|_| Error::forbidden())?;
        let job = Job::find(&self.state.db, id).await.map_err(|error| self.state.failure(&error, ""))?;
        Ok(job.filter(|job| job.belongs_to(caller)).ok_or_else(Error::forbidden)?)
    }

    async fn cancel(&self, caller: &rpc::Caller, id: &str) -> Result<(), Errors> {
        const CANCEL: &str = "WITH ended AS (UPDATE eventus.imports SET state = 'cancelled', finished = now(), \
                runner = NULL, locked_until = NULL, \
                idempotency_key = CASE WHEN rows > 0 AND NOT dry_run THEN idempotency_key END \
                WHERE id = $1 AND state = 'running' RETURNING id), \
            gone AS (DELETE FROM eventus.import_pieces WHERE import IN (SELECT id FROM ended)) \
            SELECT count(*) FROM ended";
        let job = self.find(caller, id).await?;
        let told = |error: sqlx::Error| self.state.failure(&error, "");
        let cancelled: i64 =
            sqlx::query_scalar(CANCEL).bind(job.id).fetch_one(&self.state.db).await.map_err(told)?;
        if cancelled == 1 {
            ENDED.with_label_values(&["cancelled"]).inc();
            tracing::info!(import = %job.id, collection = job.collection, "an import was cancelled");
            return Ok(());
        }
        match self.find(caller, id).await?.state.as_str() {
            "cancelled" => Ok(()),
            _ => Err(Error::new(ErrorCode::Conflict).with_message("The import has ended.").into()),
        }
    }
}

impl due::Work for Imports {
    const NAME: &'static str = "imports";

    const PENDING: &'static str = "SELECT count(*) FROM eventus.imports WHERE state = 'running'";

    // An upload of which nothing was heard for ten minutes has broken off.
    const FORGET: &'static str = "DELETE FROM eventus.imports WHERE id IN (SELECT id FROM eventus.imports \
        WHERE finished < now() - $1::bigint * interval '1 millisecond' \
        OR (state = 'receiving' AND touched < now() - interval '10 minutes') LIMIT $2 FOR UPDATE SKIP LOCKED)";

    fn db(&self) -> &db::Db {
        &self.state.db
    }

    async fn look(&self, runtime: &Runtime) -> Result<Duration, sqlx::Error> {
        const NEXT: &str = "SELECT (extract(epoch FROM min(greatest(next_attempt, locked_until)) - now()) * 1000)::bigint \
            FROM eventus.imports WHERE state = 'running' \
            AND greatest(next_attempt, locked_until) < now() + $1::bigint * interval '1 millisecond'";
        while let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            let Some(work) = self.take().await? else { return due::next(&self.state.db, NEXT).await };
            self.begin(work, place, runtime);
        }
        Ok(due::POLL)
    }

    async fn woken(&self) {
        self.woken.notified().await;
    }

    fn pending(&self, count: i64) {
        PENDING.set(count);
    }
}

#[tonic::async_trait]
impl ImportsService for Imports {
    async fn begin_import(
        &self,
        request: Request<pb::BeginImportRequest>,
    ) -> Result<Response<pb::BeginImportResponse>, Status> {
        let (caller, message) = rpc::called(request);
        let id = receive::begin(&self.state, &caller, message).await.map_err(rpc::status)?;
        Ok(Response::new(pb::BeginImportResponse { id: id.to_string() }))
    }

    async fn upload_import(
        &self,
        request: Request<Streaming<pb::UploadImportRequest>>,
    ) -> Result<Response<pb::ImportResponse>, Status> {
        let (caller, mut parts) = rpc::called(request);
        let Some(pb::UploadImportRequest { part: Some(Part::Head(head)) }) = parts.message().await? else {
            return Err(rpc::status(Error::invalid_payload("The upload has no head").into()));
        };
        let background = head.background;
        let (sender, receiver) = oneshot::channel();
        let imports = self.clone();
        // To its end, also when nobody waits for it any more: what broke off is tidied up, what was taken goes on.
        let work = async move {
            // Who has gone needs no answer.
            _ = sender.send(receive::upload(&imports, &caller, head, parts).await);
        };
        self.runtime.tasks.detach(work.in_current_span());
        let received = receiver.await.map_err(|_| rpc::status(Error::unavailable("items").into()))?;
        let receive::Received { mut job, replayed } = received.map_err(rpc::status)?;
        if !background {
            job = receive::ended(&self.state, job).await.map_err(rpc::status)?;
        }
        Ok(Response::new(answer(&job, replayed)))
    }

    async fn read_import(
        &self,
        request: Request<pb::ReadImportRequest>,
    ) -> Result<Response<pb::ImportResponse>, Status> {
        let (caller, message) = rpc::called(request);
        let job = self.find(&caller, &message.id).await.map_err(rpc::status)?;
        Ok(Response::new(answer(&job, false)))
    }

    async fn cancel_import(
        &self,
        request: Request<pb::CancelImportRequest>,
    ) -> Result<Response<pb::CancelImportResponse>, Status> {
        let (caller, message) = rpc::called(request);
        self.cancel(&caller, &message.id).await.map_err(rpc::status)?;
        Ok(Response::new(pb::CancelImportResponse {}))
    }
}

fn answer(job: &Job, replayed: bool) -> pb::ImportResponse {
    let errors = match (job.state.as_str(), &job.errors) {
        ("cancelled", _) => {
            let error = Error::new(ErrorCode::Conflict).with_message("The import was cancelled.");
            serde_json::to_vec(&Errors::from(error)).unwrap_or_default()
        }
        ("failed", Some(errors)) => errors.to_string().into_bytes(),
        _ => Vec::new(),
    };
    pb::ImportResponse {
        id: job.id.to_string(),
        job: Bytes::from(job.shown().to_string()),
        errors: Bytes::from(errors),
        replayed,
    }
}

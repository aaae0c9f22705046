//! Files on their way in: kept in pieces as they come, so that no more than one is held here.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use model::{Error, ErrorCode, Errors};
use proto::imports::v1 as pb;
use proto::imports::v1::upload_import_request::Part;
use ring::digest::{Context, SHA256};
use rpc::Caller;
use sqlx::Row as _;
use sqlx::types::Json;
use tonic::Status;
use uuid::Uuid;

use super::Imports;
use super::chunk::target;
use super::job::{Format, Job};
use crate::items::once;
use crate::state::State;

/// Bytes that are kept together.
const PIECE: usize = 1 << 20;
/// Between two looks at a job that is waited for; doubled each time, up to the longer one.
const LOOK: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));

/// What became of an upload.
pub struct Received {
    pub job: Job,
    pub replayed: bool,
}

/// Announces a file.
pub async fn begin(state: &State, caller: &Caller, request: pb::BeginImportRequest) -> Result<Uuid, Errors> {
    const BEGIN: &str = "INSERT INTO eventus.imports (id, collection, format, dry_run, accountability, user_id, request_id) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let pb::BeginImportRequest { collection, media_type, dry_run, idempotency_key } = request;
    let asking = state.asking(caller).await?;
    target(&state.snapshots.present(), &collection, &asking.access)?;
    let format = Format::of(&media_type).ok_or_else(|| unsupported(&media_type))?;
    once::of(caller, &idempotency_key, Vec::new, &state.idempotency)?;
    let id = state.ids.ordered();
    let begin = sqlx::query(BEGIN).bind(id).bind(&collection).bind(format.name()).bind(dry_run);
    let begin =
        begin.bind(Json(&caller.accountability)).bind(caller.accountability.user).bind(&caller.request_id);
    begin.execute(&state.db).await.map_err(|error| state.failure(&error, &collection))?;
    Ok(id)
}

fn unsupported(media_type: &str) -> Error {
    let name = if media_type.is_empty() { "application/octet-stream" } else { media_type };
    Error::new(ErrorCode::UnsupportedMediaType)
        .with_message(format!("Unsupported media type \"{name}\" in file import."))
        .with("mediaType", name)
        .with("where", "file import")
}

/// Takes a file that was announced, and sets its job going; or finds the job that has had the file under the same key.
pub async fn upload(
    imports: &Imports,
    caller: &Caller,
    head: pb::UploadHead,
    parts: impl Stream<Item = Result<pb::UploadImportRequest, Status>> + Unpin,
) -> Result<Received, Errors> {
    let id = announced(&imports.state, caller, &head.id).await?;
    let done = async {
        let (total, digest) = store(imports, id, parts).await?;
        settle(imports, caller, (id, total), (&head.idempotency_key, &digest)).await
    };
    let done = done.await;
    match &done {
        Ok(received) if received.job.id == id => {}
        _ => discard(&imports.state, id).await,
    }
    imports.woken.notify_one();
    done
}

/// The id of what the caller has announced.
async fn announced(state: &State, caller: &Caller, id: &str) -> Result<Uuid, Errors> {
    const THERE: &str = "SELECT id FROM eventus.imports \
        WHERE id = $1 AND state = 'receiving' AND user_id IS NOT DISTINCT FROM $2";
    let id: Uuid = id.parse().map_err(|_| Error::forbidden())?;
    let there = sqlx::query_scalar(THERE).bind(id).bind(caller.accountability.user);
    let there: Option<Uuid> =
        there.fetch_optional(&state.db).await.map_err(|error| state.failure(&error, ""))?;
    Ok(there.ok_or_else(Error::forbidden)?)
}

/// Keeps the parts; gives the number of bytes and their digest.
async fn store(
    imports: &Imports,
    id: Uuid,
    mut parts: impl Stream<Item = Result<pb::UploadImportRequest, Status>> + Unpin,
) -> Result<(u64, Vec<u8>), Errors> {
    let (mut piece, mut digest) = (Vec::with_capacity(PIECE), Context::new(&SHA256));
    let (mut total, mut kept) = (0_u64, 0_u64);
    loop {
        match parts.next().await {
            Some(Ok(pb::UploadImportRequest { part: Some(Part::Content(content)) })) => {
                total += content.len() as u64;
                if total > imports.settings.max_size {
                    return Err(Error::new(ErrorCode::ContentTooLarge).into());
                }
                digest.update(&content);
                let mut content: Bytes = content;
                while !content.is_empty() {
                    let part = content.split_to(content.len().min(PIECE - piece.len()));
                    piece.extend_from_slice(&part);
                    if piece.len() == PIECE {
                        keep(imports, id, kept, &piece).await?;
                        kept += PIECE as u64;
                        piece.clear();
                    }
                }
            }
            Some(Ok(pb::UploadImportRequest { part: Some(Part::End(end)) })) if end == total => break,
            _ => return Err(Error::invalid_payload("The upload has broken off").into()),
        }
    }
    if !piece.is_empty() {
        keep(imports, id, kept, &piece).await?;
    }
    Ok((total, digest.finish().as_ref().to_vec()))
}

async fn keep(imports: &Imports, id: Uuid, first: u64, piece: &[u8]) -> Result<(), Errors> {
    const KEEP: &str = "WITH import AS ( \
            UPDATE eventus.imports SET touched = now() WHERE id = $1 AND state = 'receiving' RETURNING id) \
        INSERT INTO eventus.import_pieces (import, first, content) SELECT id, $2, $3 FROM import";
    let place = i64::try_from(first).unwrap_or(i64::MAX);
    let keep = sqlx::query(KEEP).bind(id).bind(place).bind(piece).execute(&imports.state.db);
    let kept = keep.await.map_err(|error| imports.state.failure(&error, ""))?;
    if kept.rows_affected() == 1 {
        Ok(())
    } else {
        Err(Error::invalid_payload("The upload took too long").into())
    }
}

/// How often another with the same key may have ended meanwhile.
const RACES: u32 = 4;

/// Sets the job going, or finds the one that stands under the key.
async fn settle(
    imports: &Imports,
    caller: &Caller,
    (id, total): (Uuid, u64),
    (key, digest): (&str, &[u8]),
) -> Result<Received, Errors> {
    const SETTLE: &str = "UPDATE eventus.imports SET state = 'running', bytes_total = $2, key_owner = $3, \
        idempotency_key = $4, fingerprint = $5, next_attempt = now() WHERE id = $1 AND state = 'receiving'";
    const ASKED: &str = "SELECT collection, format, dry_run FROM eventus.imports WHERE id = $1";
    const UNDER: &str =
        "SELECT id, fingerprint FROM eventus.imports WHERE key_owner = $1 AND idempotency_key = $2";
    let state = &imports.state;
    let told = |error: sqlx::Error| state.failure(&error, "");
    let asked = sqlx::query_as(ASKED).bind(id).fetch_one(&state.db).await;
    let (collection, format, dry_run): (String, String, bool) = asked.map_err(told)?;
    let asked = || [format!("import\0{collection}\0{format}\0{dry_run}\0").as_bytes(), digest].concat();
    let once = once::of(caller, key, asked, &state.idempotency)?;
    for _ in 0..RACES {
        let settle = sqlx::query(SETTLE).bind(id).bind(i64::try_from(total).unwrap_or(i64::MAX));
        let settle =
            settle.bind(once.as_ref().map(|once| &once.owner)).bind(once.as_ref().map(|once| &once.key));
        let settled = settle.bind(once.as_ref().map(|once| &once.fingerprint)).execute(&state.db).await;
        let taken = match settled {
            Ok(_) => return Ok(Received { job: found(state, id).await?, replayed: false }),
            Err(error) if error.as_database_error().is_some_and(|error| error.is_unique_violation()) => error,
            Err(error) => return Err(told(error)),
        };
        let Some(once) = &once else { return Err(told(taken)) };
        let under = sqlx::query(UNDER).bind(&once.owner).bind(&once.key).fetch_optional(&state.db);
        let Some(other) = under.await.map_err(told)? else { continue };
        let fingerprint: Option<String> = other.try_get("fingerprint").map_err(told)?;
        if fingerprint.as_ref() != Some(&once.fingerprint) {
            return Err(once::used_otherwise().into());
        }
        let other = other.try_get("id").map_err(told)?;
        return Ok(Received { job: found(state, other).await?, replayed: true });
    }
    Err(once::in_flight().into())
}

async fn found(state: &State, id: Uuid) -> Result<Job, Errors> {
    let job = Job::find(&state.db, id).await.map_err(|error| state.failure(&error, ""))?;
    Ok(job.ok_or_else(|| Error::unavailable("items"))?)
}

/// Nothing is left of what was not taken whole. Where that fails now it is done with what is old.
async fn discard(state: &State, id: Uuid) {
    let discard = sqlx::query("DELETE FROM eventus.imports WHERE id = $1 AND state = 'receiving'").bind(id);
    if let Err(error) = discard.execute(&state.db).await {
        tracing::warn!(import = %id, %error, "an upload that broke off is not yet forgotten");
    }
}

/// The job when it has ended.
pub async fn ended(state: &State, mut job: Job) -> Result<Job, Errors> {
    let mut pause = LOOK.0;
    while !job.has_ended() {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK.1);
        job = found(state, job.id).await?;
    }
    Ok(job)
}

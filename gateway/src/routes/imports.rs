//! `/utils/import`: files of items. They pass through here part by part and are written as jobs of the items service.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};
use model::{Error, ErrorCode, Errors};
use proto::imports::v1::upload_import_request::Part;
use proto::imports::v1::{
    BeginImportRequest, CancelImportRequest, ImportResponse, ReadImportRequest, UploadHead,
    UploadImportRequest,
};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

use crate::answer;
use crate::caller::Caller;
use crate::document::{essence, unsupported};
use crate::failure::Failure;
use crate::path::Names;
use crate::precaution::{IdempotencyKey, IfMatch};
use crate::read_query::Parameters;
use crate::state::Gateway;

/// Where files are sent to: their answers come when their items are written.
pub const UPLOAD: &str = "/utils/import/{collection}";

/// Bytes of a part on its way.
const PART: usize = 256 * 1024;
/// Parts that wait for the items service.
const BUFFER: usize = 4;

type Form = multer::Multipart<'static>;

/// POST /utils/import/:collection
pub async fn import(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(collection): Names<String>,
    (IdempotencyKey(idempotency_key), condition): (IdempotencyKey, IfMatch),
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Failure> {
    condition.refuse()?;
    let wanted = Wanted::of(query.as_deref().unwrap_or_default())?;
    let mut form = form(request)?;
    let patience = gateway.config.timeout;
    let file = file(&mut form, patience).await?;
    let media_type = file.content_type().map(ToString::to_string).unwrap_or_default();
    let key = idempotency_key.clone();
    let announce =
        BeginImportRequest { collection, media_type, dry_run: wanted.dry_run, idempotency_key: key };
    let begun = gateway.imports().begin_import(gateway.call(&caller, announce)).await;
    let id = match begun {
        Ok(begun) => begun.into_inner().id,
        Err(status) => {
            pass_over(file).await;
            return Err(status.into());
        }
    };
    let (sender, parts) = mpsc::channel(BUFFER);
    let head = UploadHead { id, background: wanted.background, idempotency_key };
    let upload = gateway.call(&caller, ReceiverStream::new(parts));
    let mut imports = gateway.imports();
    let (sent, ended) = tokio::join!(send(head, file, form, sender, patience), imports.upload_import(upload));
    sent?;
    let ended = ended?.into_inner();
    Ok(answer::replayed(told(&ended, &wanted)?, ended.replayed))
}

/// GET /utils/import/jobs/:id
pub async fn read(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(id): Names<String>,
) -> Result<Response, Failure> {
    let request = gateway.call(&caller, ReadImportRequest { id });
    Ok(answer::of(&gateway.imports().read_import(request).await?.into_inner().job))
}

/// DELETE /utils/import/jobs/:id
pub async fn cancel(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(id): Names<String>,
) -> Result<Response, Failure> {
    gateway.imports().cancel_import(gateway.call(&caller, CancelImportRequest { id })).await?;
    Ok(answer::empty())
}

/// What is wanted of a file.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    dry_run: bool,
    background: bool,
}

impl Wanted {
    fn of(query: &str) -> Result<Self, Error> {
        let parameters = Parameters::parse(query);
        let flag = |name: &str| match parameters.text(name).as_str() {
            "" | "false" => Ok(false),
            "true" => Ok(true),
            _ => Err(Error::invalid_query(format!("\"{name}\" must be a boolean"))),
        };
        Ok(Self { dry_run: flag("dry_run")?, background: flag("background")? })
    }
}

fn form(request: Request) -> Result<Form, Error> {
    let said = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = said.map(essence);
    let Some(said) = said.filter(|_| media_type.as_deref() == Some("multipart/form-data")) else {
        return Err(unsupported(media_type.as_deref()));
    };
    let boundary = multer::parse_boundary(said).map_err(broken)?;
    Ok(multer::Multipart::new(stream(request.into_body()), boundary))
}

fn stream(body: Body) -> BodyDataStream {
    body.into_data_stream()
}

fn broken(error: multer::Error) -> Error {
    Error::invalid_payload(error.to_string())
}

/// The first file; fields before it are not looked at.
async fn file(form: &mut Form, patience: Duration) -> Result<multer::Field<'static>, Error> {
    loop {
        let field = timeout(patience, form.next_field()).await.map_err(|_| late())?.map_err(broken)?;
        match field {
            Some(field) if field.file_name().is_some() => return Ok(field),
            Some(_) => {}
            None => return Err(Error::invalid_payload("No file was included in the body")),
        }
    }
}

fn late() -> Error {
    Error::new(ErrorCode::OutOfTime)
}

/// Sends a file on. Without its end it is not taken, whatever comes in between.
async fn send(
    head: UploadHead,
    mut file: multer::Field<'static>,
    mut form: Form,
    sender: mpsc::Sender<UploadImportRequest>,
    patience: Duration,
) -> Result<(), Error> {
    let mut total = 0_u64;
    let mut taken = give(&sender, Part::Head(head)).await;
    while taken {
        let Some(mut chunk) = part(&mut file, patience).await? else { break };
        total += chunk.len() as u64;
        while taken && !chunk.is_empty() {
            let content = chunk.split_to(chunk.len().min(PART));
            taken = give(&sender, Part::Content(content)).await;
        }
    }
    if !taken {
        // It is answered already: a client that still sends while we close would never see the answer.
        pass_over(file).await;
        return Ok(());
    }
    drop(file);
    // The end of the form tells a whole file from one that broke off.
    while let Some(more) = timeout(patience, form.next_field()).await.map_err(|_| late())?.map_err(broken)? {
        if more.file_name().is_some() {
            return Err(Error::invalid_payload("Only one file can be imported at a time"));
        }
    }
    give(&sender, Part::End(total)).await;
    Ok(())
}

/// False when nobody takes it any more.
async fn give(sender: &mpsc::Sender<UploadImportRequest>, part: Part) -> bool {
    sender.send(UploadImportRequest { part: Some(part) }).await.is_ok()
}

async fn part(file: &mut multer::Field<'static>, patience: Duration) -> Result<Option<Bytes>, Error> {
    timeout(patience, file.chunk()).await.map_err(|_| late())?.map_err(broken)
}

/// Time in which a file that is not taken is read for nothing.
const PASSING: Duration = Duration::from_secs(2);

async fn pass_over(mut file: multer::Field<'static>) {
    _ = timeout(PASSING, async { while let Ok(Some(_)) = file.chunk().await {} }).await;
}

/// What the client is told: nothing where all is stored, as by the original; the job where it goes on or was a rehearsal.
fn told(ended: &ImportResponse, wanted: &Wanted) -> Result<Response, Failure> {
    if wanted.background {
        let mut response = answer::of(&ended.job);
        *response.status_mut() = StatusCode::ACCEPTED;
        let place = HeaderValue::try_from(format!("/utils/import/jobs/{}", ended.id));
        response.headers_mut().extend(place.ok().map(|place| (LOCATION, place)));
        return Ok(response);
    }
    if !ended.errors.is_empty() {
        let errors: Result<Errors, _> = serde_json::from_slice(&ended.errors);
        return Err(errors.unwrap_or_else(|_| Error::internal().into()).into());
    }
    Ok(if wanted.dry_run { answer::of(&ended.job) } else { answer::nothing() })
}

#[cfg(test)]
mod tests {
    use super::Wanted;

    #[test]
    fn flags_are_words() {
        let of = |query: &str| Wanted::of(query).map(|wanted| (wanted.dry_run, wanted.background));
        assert_eq!(of("").unwrap(), (false, false));
        assert_eq!(of("dry_run=true&background=false").unwrap(), (true, false));
        assert_eq!(of("background=true").unwrap(), (false, true));
        assert_eq!(of("background=yes").unwrap_err().code.as_str(), "INVALID_QUERY");
    }
}

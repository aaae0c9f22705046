//! A document that is sent as JSON, or as a file (JSON or YAML) in a form.

use std::convert::Infallible;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use model::{Error, ErrorCode};
use proto::schema::v1::Format;

use crate::body::{JsonBody, read_file};
use crate::failure::Failure;
use crate::state::Gateway;

/// The largest form, in bytes: files are not bound to `MAX_PAYLOAD_SIZE`.
const LARGEST: usize = 32 * 1024 * 1024;

/// A document.
#[derive(Debug)]
pub struct Document {
    /// Unread.
    pub text: Bytes,
    /// What it is said to be.
    pub format: Format,
}

impl Document {
    /// Reads the body of a request. The caller's rights have been looked at before: forms may be large.
    pub async fn read(request: Request, gateway: &Gateway) -> Result<Self, Failure> {
        let said = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let said = said.map(str::to_owned);
        let essence = said.as_deref().map(essence);
        match essence.as_deref() {
            Some("application/json") => {
                let JsonBody(text) = JsonBody::from_request(request, gateway).await?;
                Ok(Self { text, format: Format::Unspecified })
            }
            Some("multipart/form-data") => {
                let form = read_file(request, LARGEST).await?;
                Ok(file(form, said.as_deref().unwrap_or_default()).await?)
            }
            _ => Err(unsupported(essence.as_deref()).into()),
        }
    }
}

/// A media type without its parameters.
pub fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The first file of a form.
async fn file(form: Bytes, content_type: &str) -> Result<Document, Error> {
    let broken = |error: multer::Error| Error::invalid_payload(error.to_string());
    let boundary = multer::parse_boundary(content_type).map_err(broken)?;
    let stream = futures_util::stream::once(async move { Ok::<_, Infallible>(form) });
    let mut parts = multer::Multipart::new(stream, boundary);
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        if part.file_name().is_none() {
            continue;
        }
        let is_json = part.content_type().is_some_and(|said| said.essence_str() == "application/json");
        let format = if is_json { Format::Unspecified } else { Format::Yaml };
        let text = part.bytes().await.map_err(broken)?;
        if text.is_empty() && !is_json {
            break;
        }
        return Ok(Document { text, format });
    }
    Err(Error::invalid_payload("No file was included in the body"))
}

/// 415 for a request whose body is no such form.
pub fn unsupported(media_type: Option<&str>) -> Error {
    let name = media_type.unwrap_or("undefined");
    let error = Error::new(ErrorCode::UnsupportedMediaType)
        .with_message(format!("Unsupported media type \"{name}\" in Content-Type header."))
        .with("where", "Content-Type header");
    match media_type {
        Some(name) => error.with("mediaType", name),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt as _;
    use proto::schema::v1::Format;

    use super::file;

    fn read(parts: &str) -> Result<(String, Format), String> {
        let form = Bytes::from(parts.replace('\n', "\r\n"));
        let read = file(form, "multipart/form-data; boundary=x").now_or_never().unwrap();
        let read = read.map(|document| (String::from_utf8(document.text.to_vec()).unwrap(), document.format));
        read.map_err(|error| error.message)
    }

    #[test]
    fn the_first_file_is_the_document() {
        let json = "--x\nContent-Disposition: form-data; name=\"a\"\n\nno file\n--x\n\
                    Content-Disposition: form-data; name=\"file\"; filename=\"a.json\"\n\
                    Content-Type: application/json\n\n{}\n--x--\n";
        assert_eq!(read(json).unwrap(), ("{}".to_owned(), Format::Unspecified));
        let yaml = "--x\nContent-Disposition: form-data; name=\"b\"; filename=\"a\"\n\na: 1\n--x--\n";
        assert_eq!(read(yaml).unwrap(), ("a: 1".to_owned(), Format::Yaml));
        let none = "--x\nContent-Disposition: form-data; name=\"a\"\n\nno file\n--x--\n";
        assert_eq!(read(none).unwrap_err(), "Invalid payload. No file was included in the body.");
        assert!(read("nothing").is_err());
    }
}

//! `/schema`: the schema as a document, compared with another one's, and changed into it.

use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use model::Error;
use proto::schema::v1::{ApplyDiffRequest, DiffSnapshotRequest, Format, GetSnapshotRequest};
use time::macros::format_description;

use crate::answer;
use crate::caller::Caller;
use crate::document::Document;
use crate::failure::Failure;
use crate::read_query::Parameters;
use crate::state::Gateway;

/// GET /schema/snapshot
pub async fn snapshot(
    State(gateway): State<Gateway>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let export = Parameters::parse(query.as_deref().unwrap_or_default()).text("export");
    let format = match export.as_str() {
        "" => Format::Unspecified,
        "json" => Format::JsonIndented,
        "yaml" => Format::Yaml,
        _ => return Err(Error::invalid_query("\"export\" must be one of [json, yaml]").into()),
    };
    let request = gateway.call(&caller, GetSnapshotRequest { format: format.into() });
    let document = gateway.schema().get_snapshot(request).await?.into_inner().document;
    if format == Format::Unspecified {
        return Ok(answer::of(&document));
    }
    let at = gateway.clock.now().format(format_description!("[year][month][day]-[hour][minute][second]"));
    let name = format!("attachment; filename=\"Export {}.{export}\"", at.unwrap_or_default());
    let mut response = answer::respond(document);
    let headers = response.headers_mut();
    if format == Format::Yaml {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/yaml; charset=utf-8"));
    }
    headers.extend(HeaderValue::try_from(name).ok().map(|name| (CONTENT_DISPOSITION, name)));
    Ok(response)
}

/// POST /schema/diff
pub async fn diff(
    State(gateway): State<Gateway>,
    caller: Caller,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    let Document { text, format } = Document::read(request, &gateway).await?;
    let message = DiffSnapshotRequest { document: text, format: format.into(), force: forced(query) };
    let request = gateway.call(&caller, message);
    let json = gateway.schema().diff_snapshot(request).await?.into_inner().json;
    Ok(if json.is_empty() { answer::empty() } else { answer::of(&json) })
}

/// POST /schema/apply
pub async fn apply(
    State(gateway): State<Gateway>,
    caller: Caller,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Failure> {
    caller.require_admin()?;
    let Document { text, format } = Document::read(request, &gateway).await?;
    let message = ApplyDiffRequest { diff: text, format: format.into(), force: forced(query) };
    let request = gateway.call(&caller, message);
    gateway.schema().apply_diff(request).await?;
    Ok(answer::empty())
}

/// `?force`, with or without a value that says yes.
fn forced(query: Option<String>) -> bool {
    let query = query.unwrap_or_default();
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.any(|(name, value)| name == "force" && !matches!(value, "false" | "0"))
}

#[cfg(test)]
mod tests {
    use super::forced;

    #[test]
    fn force_is_a_word() {
        for (query, force) in [
            ("force", true),
            ("force=", true),
            ("a=b&force=true", true),
            ("force=false", false),
            ("forced", false),
        ] {
            assert_eq!(forced(Some(query.to_owned())), force, "{query}");
        }
        assert!(!forced(None));
    }
}

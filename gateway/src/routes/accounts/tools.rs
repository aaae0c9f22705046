//! `/utils/random/string`, `/utils/hash`.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::{get, post};
use model::Error;
use percent_encoding::percent_decode_str;
use proto::accounts::v1 as pb;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::form::Form;
use crate::answer;
use crate::body::JsonBody;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::routes::only;
use crate::state::Gateway;

const LENGTH: i64 = 32;
const LONGEST: i64 = 500;
/// Letters of a random text: 64, so that each is as likely as any other.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Their routes.
pub fn routes() -> Router<Gateway> {
    Router::new()
        .route("/utils/random/string", only(get(random), "GET,HEAD"))
        .route("/utils/hash/generate", only(post(generate), "POST"))
        .route("/utils/hash/verify", only(post(verify), "POST"))
}

/// GET /utils/random/string?length=
async fn random(_: Caller, RawQuery(query): RawQuery) -> Result<Response, Failure> {
    let length = length(query.as_deref())?;
    let mut bytes = vec![0; length];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::internal())?;
    let text: String = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 64)])).collect();
    Ok(answer::value(&text))
}

/// 1 to 500.
fn length(query: Option<&str>) -> Result<usize, Error> {
    let wrong = |what: &str| Error::invalid_query(format!("\"length\" must be {what}"));
    let listed = query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with("length[")));
    let given = match parameter(query, "length") {
        None if listed => return Err(wrong("a number")),
        None => return usize::try_from(LENGTH).map_err(|_| Error::internal()),
        Some(text) => text.trim().parse::<f64>().map_err(|_| wrong("a number"))?,
    };
    if !given.is_finite() {
        return Err(wrong("a number"));
    }
    if given.fract() != 0.0 {
        return Err(wrong("an integer"));
    }
    if given < 1.0 {
        return Err(wrong("greater than or equal to 1"));
    }
    #[expect(clippy::cast_precision_loss, reason = "500 is exact")]
    if given > LONGEST as f64 {
        return Err(wrong(&format!("less than or equal to {LONGEST}")));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 500")]
    Ok(given as usize)
}

/// POST /utils/hash/generate
async fn generate(
    State(gateway): State<Gateway>,
    caller: Caller,
    body: JsonBody,
) -> Result<Response, Failure> {
    let text = string(&Form::read(&body)?, "string")?;
    let request = gateway.call(&caller, pb::GenerateHashRequest { text });
    Ok(answer::value(&gateway.accounts().generate_hash(request).await?.into_inner().hash))
}

/// POST /utils/hash/verify
async fn verify(State(gateway): State<Gateway>, caller: Caller, body: JsonBody) -> Result<Response, Failure> {
    let form = Form::read(&body)?;
    let (text, hash) = (string(&form, "string")?, string(&form, "hash")?);
    let request = gateway.call(&caller, pb::VerifyHashRequest { text, hash });
    Ok(answer::value(&gateway.accounts().verify_hash(request).await?.into_inner().fits))
}

/// An empty text is none.
fn string(form: &Form, name: &str) -> Result<String, Error> {
    match form.optional(name)? {
        Some(text) => Ok(text),
        None => Err(Error::invalid_payload(format!("\"{name}\" is required"))),
    }
}

/// The first value of a query's parameter, decoded.
pub fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    percent_decode_str(&value.replace('+', " ")).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::length;

    #[test]
    fn lengths() {
        assert_eq!((length(None), length(Some("a=b")), length(Some("length=5"))), (Ok(32), Ok(32), Ok(5)));
        assert_eq!(length(Some("length=500&x")), Ok(500));
        for wrong in ["0", "501", "abc", "-1", "5.5", "", "NaN", "inf", "1e9", "99999999999999999999"] {
            assert!(length(Some(&format!("length={wrong}"))).is_err(), "{wrong}");
        }
        assert!(length(Some("length[]=5")).is_err());
    }
}

//! Errors as the client sees them: `{"errors":[{"message":..,"extensions":{..,"code":..}}]}`, code last.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use model::{Error, ErrorCode, Errors};

use crate::answer::JSON;

/// A request that came to nothing.
#[derive(Debug)]
pub struct Failure {
    errors: Errors,
    set_cookie: Option<HeaderValue>,
}

impl Failure {
    /// 404 for a route or method that does not exist.
    pub fn route_not_found(path: &str) -> Self {
        Error::new(ErrorCode::RouteNotFound)
            .with_message(format!("Route {path} doesn't exist."))
            .with("path", path)
            .into()
    }

    /// The browser is told to forget its cookie, too.
    #[must_use]
    pub fn with_cookie(mut self, cookie: Option<HeaderValue>) -> Self {
        self.set_cookie = cookie;
        self
    }

    /// Code of the first error.
    pub fn code(&self) -> ErrorCode {
        self.errors.0.first().map_or(ErrorCode::Internal, |error| error.code)
    }
}

impl From<Errors> for Failure {
    fn from(errors: Errors) -> Self {
        Self { errors, set_cookie: None }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Errors::from(error).into()
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        rpc::errors(status).into()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(body(&self.errors)));
        *response.status_mut() =
            StatusCode::from_u16(self.errors.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        if let Some(seconds) = self.errors.0.iter().filter_map(|error| error.retry_after).max() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(cookie) = self.set_cookie {
            headers.append(SET_COOKIE, cookie);
        }
        response
    }
}

fn body(errors: &Errors) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let error = |error: &Error| {
        let extensions: String =
            error.extensions.iter().map(|(name, value)| format!("{}:{value},", text(name))).collect();
        let (message, code) = (text(&error.message), error.code.as_str());
        format!("{{\"message\":{message},\"extensions\":{{{extensions}\"code\":\"{code}\"}}}}")
    };
    let errors: Vec<String> = errors.0.iter().map(error).collect();
    format!("{{\"errors\":[{}]}}", errors.join(","))
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use model::{Error, Errors};

    use super::{Failure, body};

    #[test]
    fn the_code_comes_last() {
        insta::assert_snapshot!(body(&Error::forbidden().into()), @r#"{"errors":[{"message":"You don't have permission to access this.","extensions":{"code":"FORBIDDEN"}}]}"#);
        insta::assert_snapshot!(body(&Error::invalid_query("\"limit\" must be a number").into()), @r#"{"errors":[{"message":"Invalid query. \"limit\" must be a number.","extensions":{"reason":"\"limit\" must be a number","code":"INVALID_QUERY"}}]}"#);
        insta::assert_snapshot!(body(&Error::failed_validation("title", "required").into()), @r#"{"errors":[{"message":"Validation failed for field \"title\". Value is required.","extensions":{"field":"title","path":[],"type":"required","code":"FAILED_VALIDATION"}}]}"#);
        insta::assert_snapshot!(body(&Failure::route_not_found("/no\"pe").errors), @r#"{"errors":[{"message":"Route /no\"pe doesn't exist.","extensions":{"path":"/no\"pe","code":"ROUTE_NOT_FOUND"}}]}"#);
        insta::assert_snapshot!(body(&Errors(vec![Error::internal(), Error::unavailable("items")])), @r#"{"errors":[{"message":"An unexpected error occurred.","extensions":{"code":"INTERNAL_SERVER_ERROR"}},{"message":"Service \"items\" is unavailable.","extensions":{"service":"items","code":"SERVICE_UNAVAILABLE"}}]}"#);
    }

    #[test]
    fn statuses_and_retry_after() {
        let response = Failure::from(Error::unavailable("items")).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8");
        let mixed = Errors(vec![Error::forbidden(), Error::invalid_query("x")]);
        assert_eq!(Failure::from(mixed).into_response().status(), 500);
    }
}

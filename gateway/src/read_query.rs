//! The query of a request: parsed at the door, passed on in its canonical form.

use std::convert::Infallible;

use crate::failure::Failure;
use crate::state::Gateway;
use axum::extract::FromRequestParts;
use bytes::Bytes;
use http::request::Parts;
use model::Error;
use query::{Export, LARGEST_DOCUMENT, Query};

/// What is to be read, and the form of the answer.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The canonical bytes of the query.
    pub query: Bytes,
    /// The form, where the answer is to be a file.
    pub export: Option<Export>,
    /// The query itself says that there may be many.
    pub many: bool,
}

impl Wanted {
    /// A query in a form.
    pub fn new(query: &Query, export: Option<Export>) -> Self {
        let many = query.limit.is_some_and(|limit| !(0..=LARGEST_DOCUMENT).contains(&limit));
        let many = many && query.cursor.is_none();
        Self { query: query.to_bytes().into(), export, many }
    }
}

impl FromRequestParts<Gateway> for Wanted {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Gateway) -> Result<Self, Failure> {
        let text = parts.uri.query().unwrap_or_default();
        Ok(Self::new(&Query::from_query_string(text)?, Export::from_query_string(text)?))
    }
}

/// The form of an answer that no query shapes.
#[derive(Debug, Clone, Copy)]
pub struct Form(pub Option<Export>);

impl FromRequestParts<Gateway> for Form {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Gateway) -> Result<Self, Failure> {
        Ok(Self(Export::from_query_string(parts.uri.query().unwrap_or_default())?))
    }
}

/// The canonical bytes of the query string's query, where the answer has but one form.
#[derive(Debug, Clone)]
pub struct ReadQuery(pub Bytes);

impl FromRequestParts<Gateway> for ReadQuery {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Failure> {
        let wanted = Wanted::from_request_parts(parts, gateway).await?;
        if wanted.export.is_some() {
            return Err(Error::invalid_query("\"export\" is for reading").into());
        }
        Ok(Self(wanted.query))
    }
}

/// Plain parameters by name; the first of each counts.
#[derive(Debug, Clone, Default)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Those of a query string.
    pub fn parse(query: &str) -> Self {
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, value)| (decode(name), decode(value))).collect())
    }

    /// The text of a parameter, if it has any.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(parameter, _)| parameter == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// As `get`, or the empty text.
    pub fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// The parts between commas.
    pub fn list(&self, name: &str) -> Vec<String> {
        let parts = self.get(name).unwrap_or_default().split(',').map(str::trim);
        parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    /// A whole number.
    ///
    /// # Errors
    /// `INVALID_QUERY` when it is something else.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Error> {
        let parse = |text: &str| {
            text.parse().map_err(|_| Error::invalid_query(format!("\"{name}\" must be a number")))
        };
        self.get(name).map(parse).transpose()
    }
}

impl FromRequestParts<Gateway> for Parameters {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Gateway) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

/// `?concurrentIndexCreation`: indexes of a definition are made beside the traffic. `false` and `0` mean no.
#[derive(Debug, Clone, Copy)]
pub struct ConcurrentIndexes(pub bool);

impl FromRequestParts<Gateway> for ConcurrentIndexes {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Gateway) -> Result<Self, Infallible> {
        let pairs = parts.uri.query().unwrap_or_default().split('&');
        let mut named = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let given = named.find(|(name, _)| *name == "concurrentIndexCreation");
        Ok(Self(given.is_some_and(|(_, value)| !matches!(value, "false" | "0"))))
    }
}

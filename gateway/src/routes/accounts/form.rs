//! Bodies of a few known texts: what is missing, empty or no text is said as the original says it.

use model::Error;
use serde_json::{Map, Value};

use crate::body::JsonBody;

/// The members of a body.
#[derive(Debug)]
pub struct Form(Map<String, Value>);

impl Form {
    /// Reads an object.
    ///
    /// # Errors
    /// 400: it is none.
    pub fn read(body: &JsonBody) -> Result<Self, Error> {
        body.parse().map(Self)
    }

    /// Anything was sent.
    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    /// A text that there has to be.
    ///
    /// # Errors
    /// 400: it is missing, empty or no text.
    pub fn text(&self, name: &str) -> Result<String, Error> {
        match self.0.get(name) {
            None | Some(Value::Null) => Err(Error::invalid_payload(format!("\"{name}\" is required"))),
            Some(Value::String(text)) if text.is_empty() => {
                Err(Error::invalid_payload(format!("\"{name}\" is not allowed to be empty")))
            }
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(Error::invalid_payload(format!("\"{name}\" must be a string"))),
        }
    }

    /// The same in other words.
    ///
    /// # Errors
    /// 400: it is missing, empty or no text.
    pub fn field(&self, name: &str) -> Result<String, Error> {
        self.text(name).map_err(|_| Error::invalid_payload(format!("\"{name}\" field is required")))
    }

    /// A text that there may be.
    ///
    /// # Errors
    /// 400: it is no text.
    pub fn optional(&self, name: &str) -> Result<Option<String>, Error> {
        if !self.has(name) {
            return Ok(None);
        }
        if self.0.get(name).and_then(Value::as_str) == Some("") {
            Ok(None)
        } else {
            self.text(name).map(Some)
        }
    }

    /// An e-mail address.
    ///
    /// # Errors
    /// 400: it is missing or none.
    pub fn email(&self, name: &str) -> Result<String, Error> {
        let text = self.text(name)?;
        if is_email(&text) { Ok(text) } else { Err(no_email(name)) }
    }

    /// `email`: one address or several.
    ///
    /// # Errors
    /// 400: there is none, or one that is none.
    pub fn emails(&self, name: &str) -> Result<Vec<String>, Error> {
        match self.0.get(name) {
            None | Some(Value::Null) => Err(Error::invalid_payload(format!("\"{name}\" is required"))),
            Some(Value::String(_)) => self.email(name).map(|email| vec![email]),
            Some(Value::Array(list)) => list
                .iter()
                .enumerate()
                .map(|(index, value)| match value.as_str() {
                    Some(text) if is_email(text) => Ok(text.to_owned()),
                    _ => Err(no_email(&format!("{name}[{index}]"))),
                })
                .collect(),
            Some(_) => Err(Error::invalid_payload(format!("\"{name}\" must be one of [string, array]"))),
        }
    }

    /// A uuid.
    ///
    /// # Errors
    /// 400: it is missing or none.
    pub fn uuid(&self, name: &str) -> Result<String, Error> {
        let text = self.text(name)?;
        let groups: Vec<usize> = text.split('-').map(str::len).collect();
        let fits = groups == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
        if fits { Ok(text) } else { Err(Error::invalid_payload(format!("\"{name}\" must be a valid GUID"))) }
    }

    /// Nothing else was sent.
    ///
    /// # Errors
    /// 400 names what was.
    pub fn only(&self, names: &[&str]) -> Result<(), Error> {
        match self.0.keys().find(|name| !names.contains(&name.as_str())) {
            Some(name) => Err(Error::invalid_payload(format!("\"{name}\" is not allowed"))),
            None => Ok(()),
        }
    }
}

fn no_email(name: &str) -> Error {
    Error::invalid_payload(format!("\"{name}\" must be a valid email"))
}

/// As far as the door judges it; who writes to it judges more.
fn is_email(text: &str) -> bool {
    let plain = text.len() <= 254 && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    let parts = text.rsplit_once('@');
    plain && parts.is_some_and(|(own, host)| !own.is_empty() && host.contains('.') && !own.contains('@'))
}

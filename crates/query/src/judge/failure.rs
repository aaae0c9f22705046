//! One value that is not as a rule wants it, in the words of Directus.

use model::{Error, ErrorCode};
use serde_json::Value;

use super::instant;

/// Why a value was not taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Field of the value.
    pub field: String,
    /// Fields that lead to it, from the item that is judged.
    pub path: Vec<String>,
    /// The operator that did not hold, without its `_`; `required` for what is missing or can't be compared.
    pub kind: &'static str,
    /// What was wanted or met: the extension's name and its value.
    pub detail: Option<(&'static str, Value)>,
}

impl Failure {
    /// Says no more than its kind.
    pub(super) fn bare(kind: &'static str) -> Self {
        Self { field: String::new(), path: Vec::new(), kind, detail: None }
    }

    /// A password that the project's policy does not take; it is not repeated.
    pub fn password() -> Self {
        Self { field: "password".to_owned(), ..Self::bare("regex") }
    }

    /// The project's policy of passwords is no expression that can be judged.
    pub fn unreadable_policy() -> Error {
        let reason = "The setting \"auth_password_policy\" is no regular expression that can be judged";
        Error::new(ErrorCode::UnprocessableContent)
            .with_message(format!("Can't process content. {reason}."))
            .with("reason", reason)
    }

    pub(super) fn required() -> Self {
        Self::bare("required")
    }

    /// Names the value of the rule: what would be taken, or what is not.
    pub(super) fn with(kind: &'static str, value: Value) -> Self {
        let name = if matches!(kind, "neq" | "nin") { "invalid" } else { "valid" };
        Self { detail: Some((name, value)), ..Self::bare(kind) }
    }

    /// Names the value that was sent.
    pub(super) fn invalid(kind: &'static str, value: Value) -> Self {
        Self { detail: Some(("invalid", value)), ..Self::bare(kind) }
    }

    pub(super) fn substring(kind: &'static str, value: Value) -> Self {
        Self { detail: Some(("substring", value)), ..Self::bare(kind) }
    }

    /// The same within what a field holds.
    pub(super) fn below(mut self, field: &str) -> Self {
        self.path.insert(0, field.to_owned());
        self
    }

    /// As the client is told: 400 `FAILED_VALIDATION`. What was sent for a concealed field is left out.
    pub fn error(&self, concealed: bool) -> Error {
        let mut error = Error::new(ErrorCode::FailedValidation)
            .with_message(format!("Validation failed for field \"{}\".{}", self.field, self.why()))
            .with("field", self.field.as_str())
            .with("path", self.path.clone())
            .with("type", self.kind);
        if let Some((name, value)) = &self.detail
            && !(concealed && self.kind == "regex")
        {
            error = error.with(name, value.clone());
        }
        error
    }

    /// A blank and a sentence, or nothing.
    fn why(&self) -> String {
        let value = self.detail.as_ref().map(|(_, value)| value);
        let named = || value.map_or_else(String::new, instant::said);
        let texts = || value.and_then(Value::as_array).map_or_else(String::new, |list| listed(list));
        match self.kind {
            "required" => " Value is required.".to_owned(),
            "null" => " Value has to be null.".to_owned(),
            "nnull" => " Value can't be null.".to_owned(),
            "empty" => " Value has to be empty.".to_owned(),
            "nempty" => " Value can't be empty.".to_owned(),
            "eq" => format!(" Value has to be \"{}\".", named()),
            "neq" => format!(" Value can't be \"{}\".", named()),
            "in" if texts().is_empty() => " No value is taken.".to_owned(),
            "in" => format!(" Value has to be one of {}.", texts()),
            "nin" => format!(" Value can't be one of {}.", texts()),
            "lt" => format!(" Value has to be less than \"{}\".", named()),
            "lte" => format!(" Value has to be less than or equal to \"{}\".", named()),
            "gt" => format!(" Value has to be greater than \"{}\".", named()),
            "gte" => format!(" Value has to be greater than or equal to \"{}\".", named()),
            "contains" => format!(" Value has to contain \"{}\".", named()),
            "ncontains" => format!(" Value can't contain \"{}\".", named()),
            "regex" => " Value doesn't have the correct format.".to_owned(),
            _ => String::new(),
        }
    }
}

/// `"a", "b"`.
fn listed(list: &[Value]) -> String {
    let texts: Vec<String> = list.iter().map(|value| format!("\"{}\"", super::shown(value))).collect();
    texts.join(", ")
}

//! Who somebody is, as far as the claims of his provider are believed: identifier, verified address, names, groups.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::config::{Driver, ProviderConfig};

/// Claims of one source: the id token, or what the provider says of the owner of an access token.
pub type Claims = Map<String, Value>;

/// Characters that the columns of users hold.
const LONGEST: (usize, usize, usize) = (255, 128, 50);

/// Somebody a provider vouches for.
#[derive(Debug, PartialEq, Eq)]
pub struct Person {
    /// What the provider knows him by; never reused by it.
    pub identifier: String,
    /// The identifier is an address: letter case does not count.
    pub folded: bool,
    /// His address, if the provider stands for it.
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    /// `Some` where groups say the role: that of the first mapping that fits, else the default.
    pub role: Option<Option<Uuid>>,
}

/// Reads claims; the first source that has one counts.
///
/// # Errors
/// Why nobody can be made of them, for the log.
pub fn of(config: &ProviderConfig, sources: &[Claims]) -> Result<Person, &'static str> {
    let email = email(config, sources);
    if config.require_verified_email && email.is_none() {
        return Err("there is no verified address");
    }
    let folded = config.identifier_key == config.email_key;
    let identifier = if folded { email.clone() } else { text(sources, &config.identifier_key) };
    let identifier = identifier.ok_or("there is no identifier, or it is an address that is not verified")?;
    if identifier.chars().count() > LONGEST.0 || identifier.chars().any(char::is_control) {
        return Err("the identifier is too long or no plain text");
    }
    let name = |key: &Option<String>| {
        let found = key.as_deref().and_then(|key| text(sources, key))?;
        Some(found.chars().filter(|c| !c.is_control()).take(LONGEST.2).collect())
    };
    let (first_name, last_name) = (name(&config.first_name_key), name(&config.last_name_key));
    Ok(Person { identifier, folded, email, first_name, last_name, role: role(config, sources) })
}

/// The address, if its source says that it is verified. A profile of OAuth 2.0 that says nothing of that is believed,
/// unless settings demand it: whoever configures it chooses the field.
fn email(config: &ProviderConfig, sources: &[Claims]) -> Option<String> {
    let of = |source: &Claims| text(std::slice::from_ref(source), &config.email_key);
    let (found, address) = sources.iter().find_map(|source| Some((source, of(source)?)))?;
    let same = sources.iter().filter(|source| of(source).as_ref() == Some(&address));
    let verified = verified(found).or_else(|| same.into_iter().find_map(verified));
    let silent = matches!(config.driver, Driver::OAuth2 { .. }) && !config.require_verified_email;
    let believed = verified.unwrap_or(silent);
    let parts = address.split_once('@');
    let fits = parts.is_some_and(|(own, host)| !own.is_empty() && !host.is_empty() && !host.contains('@'))
        && address.chars().count() <= LONGEST.1
        && !address.chars().any(|c| c.is_whitespace() || c.is_control());
    (believed && fits).then_some(address)
}

/// What a source says of its address.
fn verified(source: &Claims) -> Option<bool> {
    let said = ["email_verified", "verified_email"].into_iter().find_map(|name| source.get(name))?;
    match said {
        Value::Bool(said) => Some(*said),
        // Some providers write it as a text.
        Value::String(said) => Some(said == "true"),
        _ => Some(false),
    }
}

fn role(config: &ProviderConfig, sources: &[Claims]) -> Option<Option<Uuid>> {
    let mapping = config.role_mapping.as_ref()?;
    let found = sources.iter().find_map(|source| at(source, &config.group_claim));
    let is_in = |group: &str| match found {
        Some(Value::Array(groups)) => groups.iter().any(|other| other == group),
        Some(Value::String(only)) => only == group,
        _ => false,
    };
    let mapped = mapping.iter().find(|(group, _)| is_in(group)).map(|(_, role)| *role);
    Some(mapped.or(config.default_role))
}

fn text(sources: &[Claims], key: &str) -> Option<String> {
    match sources.iter().find_map(|source| at(source, key))? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A claim by its name, or by the names that lead to it (`data.username`).
fn at<'a>(source: &'a Claims, key: &str) -> Option<&'a Value> {
    let plain = source.get(key).filter(|value| !value.is_null());
    let deep = || {
        let mut names = key.split('.');
        let first = source.get(names.next()?)?;
        names.try_fold(first, |value, name| value.get(name)).filter(|value| !value.is_null())
    };
    plain.or_else(deep)
}

#[cfg(test)]
mod tests;

//! The account of somebody whom a provider vouches for: found by (provider, identifier) and nothing else, kept up to date,
//! or made. Accounts are written as all users are, by the items service: with its rules, hooks and events.

use model::{Error as Told, ErrorCode, Errors};
use rpc::Caller;
use serde_json::{Map, Value};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::person::Person;
use super::provider::Provider;
use crate::Error;
use crate::state::State;

struct Account {
    id: Uuid,
    active: bool,
    first_name: Option<String>,
    last_name: Option<String>,
    email: Option<String>,
    role: Option<Uuid>,
}

/// The user that somebody is here.
///
/// # Errors
/// `INVALID_CREDENTIALS` alike for one who has no account and may not have one, and for one who is not active;
/// `INVALID_PROVIDER` when his address or identifier belongs to another account.
pub async fn settle(
    state: &State,
    caller: &Caller,
    provider: &Provider,
    person: &Person,
) -> Result<Uuid, Error> {
    let name = provider.config.name.as_str();
    if let Some(found) = find(&state.db, name, person).await? {
        return keep(state, caller, provider, person, &found).await;
    }
    if !provider.config.allow_registration {
        return Err(provider.refused("nobody here is known by this identifier"));
    }
    let user = state.ids.random();
    let made = state.users.create(caller, None, &payload(provider, person, user)).await;
    let Err(errors) = made else { return Ok(user) };
    // Somebody else may have come in as the same person at the same time.
    match find(&state.db, name, person).await? {
        Some(found) if found.active => Ok(found.id),
        _ => Err(told(provider, errors)),
    }
}

fn payload(provider: &Provider, person: &Person, user: Uuid) -> Value {
    let role = person.role.unwrap_or(provider.config.default_role);
    let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::from);
    let item = Map::from_iter([
        ("id".to_owned(), Value::from(user.to_string())),
        ("provider".to_owned(), Value::from(provider.config.name.as_str())),
        ("external_identifier".to_owned(), Value::from(person.identifier.as_str())),
        ("first_name".to_owned(), text(&person.first_name)),
        ("last_name".to_owned(), text(&person.last_name)),
        ("email".to_owned(), text(&person.email)),
        ("role".to_owned(), role.map_or(Value::Null, |role| Value::from(role.to_string()))),
    ]);
    Value::Object(item)
}

/// Brings an account up to what the provider says now, as far as settings want it.
async fn keep(
    state: &State,
    caller: &Caller,
    provider: &Provider,
    person: &Person,
    account: &Account,
) -> Result<Uuid, Error> {
    if !account.active {
        return Err(provider.refused("the account is not active"));
    }
    let mut changes = Map::new();
    if provider.config.sync {
        for (field, said, present) in [
            ("first_name", &person.first_name, &account.first_name),
            ("last_name", &person.last_name, &account.last_name),
            ("email", &person.email, &account.email),
        ] {
            if let Some(said) = said.as_ref().filter(|said| present.as_ref() != Some(*said)) {
                changes.insert(field.to_owned(), Value::from(said.as_str()));
            }
        }
    }
    if let Some(role) = person.role.filter(|role| *role != account.role) {
        changes.insert("role".to_owned(), role.map_or(Value::Null, |role| Value::from(role.to_string())));
    }
    if changes.is_empty() {
        return Ok(account.id);
    }
    let kept = state.users.update(caller, None, account.id, &Value::Object(changes), None).await;
    kept.map(|()| account.id).map_err(|errors| told(provider, errors))
}

/// By provider and identifier. Letter case counts, but for identifiers that are addresses, where that of ASCII does not.
async fn find(
    executor: impl PgExecutor<'_>,
    provider: &str,
    person: &Person,
) -> Result<Option<Account>, Error> {
    const FIND: &str = r#"SELECT id, status = 'active' AS active, first_name, last_name, email, role
        FROM directus_users WHERE provider = $1 AND (external_identifier = $2
            OR ($3 AND lower(external_identifier COLLATE "C") = $4))
        ORDER BY external_identifier = $2 DESC LIMIT 1"#;
    type Columns = (Uuid, bool, Option<String>, Option<String>, Option<String>, Option<Uuid>);
    let found: Option<Columns> = sqlx::query_as(FIND)
        .bind(provider)
        .bind(&person.identifier)
        .bind(person.folded)
        .bind(person.identifier.to_ascii_lowercase())
        .fetch_optional(executor)
        .await?;
    let account = |(id, active, first_name, last_name, email, role)| Account {
        id,
        active,
        first_name,
        last_name,
        email,
        role,
    };
    Ok(found.map(account))
}

fn told(provider: &Provider, Errors(errors): Errors) -> Error {
    let first = errors.into_iter().next().unwrap_or_else(Told::internal);
    match first.code {
        ErrorCode::RecordNotUnique => {
            let provider = provider.config.name.as_str();
            tracing::info!(provider, "single sign-on: address or identifier belongs to another account");
            Told::new(ErrorCode::InvalidProvider).into()
        }
        ErrorCode::InvalidForeignKey => {
            provider.away("there is no such role: are DEFAULT_ROLE_ID and ROLE_MAPPING right?")
        }
        _ => first.into(),
    }
}

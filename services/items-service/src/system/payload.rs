//! What of a payload is stored instead of what was sent: hashes for passwords and tokens, nothing for masks that come
//! back. And what system collections refuse.

use access::Action;
use db::Db;
use model::{Collection, Error, Errors, Field, FieldType, Ids, KeySource, Special};
use planner::{Payload, Reader};
use secrets::{Hasher, Sealer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{policy, shares};

/// What a concealed value reads as; sent back it means: as it is.
pub const MASK: &str = "**********";

/// How secrets are stored.
#[derive(Debug, Clone, Copy)]
pub struct Storing<'a> {
    /// Passwords.
    pub hasher: &'a Hasher,
    /// Encrypted fields.
    pub sealer: &'a Sealer,
    /// Where it stands by what passwords and shares are judged, and who writes.
    pub judged: Option<(&'a Db, Reader<'a>)>,
    /// Uuids that nobody gives.
    pub ids: &'a dyn Ids,
}

/// Makes payloads ready for planning. The right to write was checked: hashing is dear.
///
/// # Errors
/// 400 for values that can't be stored, 403 for a share of what the writer may not share, 503 when too many passwords wait to be hashed.
pub async fn prepare(
    payloads: &mut [Payload],
    collection: &Collection,
    action: Action,
    storing: Storing<'_>,
) -> Result<(), Errors> {
    if let Some((db, reader)) = storing.judged {
        policy::check(db, payloads, collection).await?;
        shares::check(db, payloads, collection, (action, reader)).await?;
    }
    for payload in &mut *payloads {
        if collection.system {
            check(payload, collection, action)?;
        }
        if action == Action::Create {
            give_uuids(payload, collection, storing.ids)?;
        }
        for field in collection.fields.iter().filter(|field| field.is_concealed()) {
            conceal(payload, field, collection, storing).await?;
        }
    }
    Ok(())
}

/// What is asked of items of system collections before their fields are judged: nobody guesses what a new file is, and
/// users have addresses that mail can be sent to.
///
/// # Errors
/// `INVALID_PAYLOAD`, `FAILED_VALIDATION`.
pub fn check_sent(payloads: &[Payload], collection: &Collection, action: Action) -> Result<(), Error> {
    let typed = |payload: &Payload| {
        payload.get("type").is_some_and(|raw| !matches!(raw.get(), "null" | "false" | "0" | "\"\""))
    };
    match collection.name.as_str() {
        "directus_files" if action == Action::Create && !payloads.iter().all(typed) => {
            Err(Error::invalid_payload("\"type\" is required"))
        }
        "directus_users" if payloads.iter().any(|payload| !is_addressed(payload)) => {
            Err(Error::failed_validation("email", "email"))
        }
        _ => Ok(()),
    }
}

/// Fields of a user by which somebody comes in.
const CREDENTIALS: [&str; 6] =
    ["password", "token", "tfa_secret", "provider", "external_identifier", "auth_data"];

/// A key that has less than its user's rights must not give itself a way to all of them.
///
/// # Errors
/// `FORBIDDEN`.
pub fn check_credentials(
    payloads: &[Payload],
    collection: &Collection,
    stamp: &planner::Stamp,
) -> Result<(), Error> {
    let given = || payloads.iter().any(|payload| CREDENTIALS.iter().any(|name| payload.get(name).is_some()));
    if stamp.by_key && collection.name == "directus_users" && given() {
        return Err(Error::forbidden());
    }
    Ok(())
}

/// No e-mail address is given, or one that can be one.
fn is_addressed(payload: &Payload) -> bool {
    let Some(raw) = payload.get("email").filter(|raw| raw.get() != "null") else { return true };
    let Ok(address) = serde_json::from_str::<String>(raw.get()) else { return false };
    let Some((own, domain)) = address.rsplit_once('@') else { return false };
    let plain = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == '-');
    let labels: Vec<&str> = domain.split('.').collect();
    let last =
        labels.last().is_some_and(|last| last.chars().count() > 1 && !last.chars().all(char::is_numeric));
    let of_domain = labels.len() > 1 && last && labels.iter().all(|label| !label.is_empty() && plain(label));
    let of_own = |c: char| !c.is_whitespace() && !c.is_control() && !"@\"(),:;<>[\\]".contains(c);
    !own.is_empty() && own.chars().all(of_own) && of_domain && address.len() <= 254
}

/// Fields with the special `uuid` get one where nothing is sent.
fn give_uuids(payload: &mut Payload, collection: &Collection, ids: &dyn Ids) -> Result<(), Errors> {
    for field in collection.fields.iter().filter(|field| field.has(Special::Uuid) && field.is_stored()) {
        let sent = payload.get(&field.name).map(RawValue::get);
        if sent.is_some_and(|raw| raw != "null" && !is_text(raw, "")) {
            continue;
        }
        payload.remove(&field.name);
        // Keys are made with the plan.
        if field.name != collection.primary_key || collection.key_source == KeySource::Client {
            payload.preset(&field.name, &Value::from(ids.random().to_string()))?;
        }
    }
    Ok(())
}

async fn conceal(
    payload: &mut Payload,
    field: &Field,
    collection: &Collection,
    storing: Storing<'_>,
) -> Result<(), Errors> {
    let Some(raw) = payload.get(&field.name).map(RawValue::get) else { return Ok(()) };
    if is_text(raw, MASK) {
        payload.remove(&field.name);
        return Ok(());
    }
    if raw == "null" {
        return Ok(());
    }
    let place = (collection.name.as_str(), field.name.as_str());
    let stored = if field.kind == FieldType::Hash || field.has(Special::Hash) {
        let hashed = storing.hasher.hash(text(raw, field)?).await;
        hashed.map_err(|error| unhashed(&error))?
    } else if place == ("directus_users", "token") {
        static_token(&text(raw, field)?)?
    } else if field.has(Special::Encrypt) {
        let sealed = storing.sealer.seal(&text(raw, field)?, &format!("{}.{}", collection.name, field.name));
        sealed.map_err(|error| unhashed(&error))?
    } else if matches!(place, ("directus_users", "tfa_secret" | "auth_data")) {
        return Err(wrong(field, "can't be written by hand").into());
    } else {
        return Ok(());
    };
    payload.set_text(&field.name, &stored)?;
    Ok(())
}

/// JSON of this text, however it is escaped.
fn is_text(raw: &str, text: &str) -> bool {
    serde_json::from_str::<String>(raw).is_ok_and(|given| given == text)
}

/// The text of a secret: a string, or a number's digits.
fn text(raw: &str, field: &Field) -> Result<String, Error> {
    let text = match serde_json::from_str::<Value>(raw) {
        Ok(Value::String(text)) => text,
        Ok(Value::Number(_)) => raw.to_owned(),
        _ => return Err(wrong(field, "must be a text")),
    };
    if text.is_empty() { Err(wrong(field, "must not be empty")) } else { Ok(text) }
}

/// Stored by its hash; a token that no request could present is refused.
fn static_token(token: &str) -> Result<String, Error> {
    match secrets::stored_forms(token) {
        Some([hashed, _]) => Ok(hashed),
        None => Err(Error::invalid_payload("\"token\" can't be used as a token").with("field", "token")),
    }
}

fn unhashed(error: &secrets::Error) -> Error {
    error.refusal("items").unwrap_or_else(|| {
        tracing::error!(%error, "a value could not be hashed or encrypted");
        Error::internal()
    })
}

fn check(payload: &Payload, collection: &Collection, action: Action) -> Result<(), Error> {
    if collection.name == "directus_flows" {
        let status = payload.get("status").map(RawValue::get);
        let starts = match status {
            Some(status) => is_text(status, "active"),
            // The status that a new flow has when nothing is said.
            None => action == Action::Create,
        };
        if starts {
            let reason = "Flows can't be active yet, they don't run: save it with the status \"inactive\"";
            return Err(Error::invalid_payload(reason).with("field", "status"));
        }
    }
    Ok(())
}

fn wrong(field: &Field, what: &str) -> Error {
    Error::invalid_payload(format!("\"{}\" {what}", field.name)).with("field", field.name.as_str())
}

#[cfg(test)]
mod tests {
    use access::Action;
    use model::ErrorCode;
    use planner::{Payload, parse_payloads};
    use secrets::{HashCost, Hasher, Sealer};

    use super::{Storing, prepare};
    use crate::catalog::assemble::catalog;
    use crate::catalog::rows::{ColumnRow, Rows, TableRow};
    use crate::snapshot::schema_of;

    fn column(collection: &str, field: &str, data_type: &str) -> ColumnRow {
        let row = serde_json::json!({
            "collection": collection, "field": field, "column_type": data_type, "data_type": data_type,
            "nullable": true, "default_value": null, "generated": null, "sequence": null,
            "primary_key": field == "id", "unique": false, "indexed": false, "max_length": null,
            "numeric_precision": null, "numeric_scale": null, "comment": null,
        });
        serde_json::from_value(row).unwrap()
    }

    async fn stored(collection: &str, action: Action, body: &str) -> Result<Payload, ErrorCode> {
        let columns = [("password", "text"), ("token", "text"), ("status", "text"), ("role", "uuid")];
        let columns = columns.map(|(field, kind)| column(collection, field, kind));
        let key = column(collection, "id", "uuid");
        let table = TableRow { name: collection.to_owned(), comment: None, lived: 0 };
        let columns = [key].into_iter().chain(columns).collect();
        let schema = schema_of(&catalog(Rows { tables: vec![table], columns, ..Rows::default() }), 1);
        let hasher = Hasher::try_new(HashCost { memory: 64, passes: 1, lanes: 1 }).unwrap();
        let (mut payloads, _) = parse_payloads(body.as_bytes()).unwrap();
        let sealer = Sealer::try_new("a secret of the tests").unwrap();
        let storing = Storing { hasher: &hasher, sealer: &sealer, judged: None, ids: &model::RandomIds };
        let done = prepare(&mut payloads, schema.collection(collection).unwrap(), action, storing).await;
        done.map(|()| payloads.remove(0)).map_err(|errors| errors.0[0].code)
    }

    #[tokio::test]
    async fn secrets_are_stored_as_hashes_and_masks_not_at_all() {
        let body = r#"{"password":"p","token":"t","status":"active"}"#;
        let user = stored("directus_users", Action::Create, body).await.unwrap();
        assert!(user.get("password").unwrap().get().starts_with("\"$argon2id$"));
        assert!(user.get("token").unwrap().get().starts_with("\"sha256:"));
        assert_eq!(user.get("status").unwrap().get(), "\"active\"");
        let masks = r#"{"password":"**********","token":null}"#;
        let user = stored("directus_users", Action::Update, masks).await.unwrap();
        assert_eq!((user.get("password").is_none(), user.get("token").unwrap().get()), (true, "null"));
        let plain = stored("articles", Action::Create, r#"{"password":"p"}"#).await.unwrap();
        assert_eq!(plain.get("password").unwrap().get(), "\"p\"");
    }

    #[tokio::test]
    async fn what_system_collections_refuse() {
        for (collection, body) in [
            ("directus_users", r#"{"password":""}"#),
            ("directus_users", r#"{"password":{"a":1}}"#),
            ("directus_users", r#"{"token":"sha256:abc"}"#),
            ("directus_flows", "{}"),
            ("directus_flows", r#"{"status":"active"}"#),
        ] {
            let refused = stored(collection, Action::Create, body).await.unwrap_err();
            assert_eq!(refused, ErrorCode::InvalidPayload, "{collection} {body}");
        }
        stored("directus_flows", Action::Update, "{}").await.unwrap();
    }
}

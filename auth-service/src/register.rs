//! Registrations: people who make themselves users, where the settings allow it.
//!
//! Whether there is such a user already is told neither by the answer nor by its time. Role and status are the settings'
//! to say, never the client's.

use limits::Tried;
use model::{Error as Told, ErrorCode, Errors, Filter};
use proto::accounts::v1 as pb;
use query::{Item, Judge, Pattern};
use rpc::Caller;
use serde_json::{Map, Value, json};
use sqlx::PgExecutor;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use crate::links::{self, Scope};
use crate::mail::{Kind, Mail, compose};
use crate::people::{self, Person};
use crate::state::State;
use crate::{Error, attempts, invite};

/// Registers somebody.
pub async fn register(
    state: &State,
    caller: &Caller,
    request: pb::RegisterRequest,
) -> Result<pb::RegisterResponse, Error> {
    let started = Instant::now();
    let (address, account) = (caller.accountability.ip.as_deref(), request.email.to_ascii_lowercase());
    let tried = state.attempts.begin(Tried::Mails, address, Some(&account), &*state.clock).await?;
    let done = attempt(state, caller, &request).await;
    tried.failed().await;
    let stall = attempts::whole(started.elapsed(), state.config.links.register_stall);
    tokio::time::sleep_until(started + stall).await;
    done.map(|()| pb::RegisterResponse {})
}

async fn attempt(state: &State, caller: &Caller, request: &pb::RegisterRequest) -> Result<(), Error> {
    let rules = Rules::read(&state.db).await?;
    let config = &state.config.links;
    let wished = match &request.verification_url {
        None => None,
        Some(text) => Some(config.register.find(text).ok_or_else(|| {
            Told::invalid_payload(format!("URL \"{text}\" can't be used to verify registered users"))
        })?),
    };
    if !people::is_address(&request.email) {
        return Err(Told::invalid_payload("\"email\" must be a valid email").into());
    }
    rules.admit(request)?;
    match people::find(&state.db, &request.email).await? {
        Some(known) => {
            // As dear as the hash of a new user's password.
            state.hasher.verify(request.password.clone(), None).await?;
            remind(state, &rules, &known, wished.as_ref()).await
        }
        None => make(state, caller, &rules, request, wished.as_ref()).await,
    }
}

/// Who has not said yet that his address is his own gets another link.
async fn remind(state: &State, rules: &Rules, known: &Person, wished: Option<&Url>) -> Result<(), Error> {
    if known.status == "unverified" && rules.verify {
        write(state, known.id, &known.email, wished).await?;
        state.post.committed();
    }
    Ok(())
}

async fn make(
    state: &State,
    caller: &Caller,
    rules: &Rules,
    request: &pb::RegisterRequest,
    wished: Option<&Url>,
) -> Result<(), Error> {
    let user = state.ids.random();
    let mail = if rules.verify { Some(write(state, user, &request.email, wished).await?) } else { None };
    let status = if rules.verify { "unverified" } else { "active" };
    let item = json!({
        "id": user,
        "email": request.email,
        "password": request.password,
        "first_name": request.first_name,
        "last_name": request.last_name,
        "role": rules.role,
        "status": status,
    });
    let done = state.users.create(caller, None, &item).await;
    if let (Err(_), Some(mail)) = (&done, mail) {
        invite::withdraw(state, mail, user).await;
    }
    state.post.committed();
    match done {
        // Somebody else was a moment faster with this address: silent as well.
        Err(Errors(errors)) if errors.first().is_some_and(|e| e.code == ErrorCode::RecordNotUnique) => Ok(()),
        done => Ok(done?),
    }
}

async fn write(state: &State, user: Uuid, email: &str, wished: Option<&Url>) -> Result<Uuid, Error> {
    let (config, id) = (&state.config.links, state.ids.random());
    let when = (state.clock.now(), config.verification);
    let token = state.links.token(Scope::PendingRegistration, email, None, when)?;
    let link = links::address(config, wished, "users/register/verify-email", &token);
    let letter = compose(Kind::Registration, &state.project().await?, email, &link);
    let lifetime = config.verification;
    let mut transaction = state.db.begin().await?;
    let mail = Mail { id, kind: Kind::Registration, user, lifetime, letter: &letter };
    state.post.put(&mut transaction, mail).await?;
    transaction.commit().await?;
    Ok(id)
}

/// The user of a link is active from now on.
pub async fn verify(
    state: &State,
    caller: &Caller,
    request: pb::VerifyRegistrationRequest,
) -> Result<pb::VerifyRegistrationResponse, Error> {
    let claims = state.links.read(&request.token, Scope::PendingRegistration, state.clock.now())?;
    let waits = |person: &Person| person.status == "unverified";
    let changes = json!({ "status": "active" });
    let user = crate::password::change(state, caller, &claims.email, waits, &changes).await?;
    let user = user.ok_or_else(|| Told::invalid_payload("Invalid verification code"))?;
    Ok(pb::VerifyRegistrationResponse { user: user.to_string() })
}

/// What the settings say of registrations.
struct Rules {
    verify: bool,
    role: Option<Uuid>,
    filter: Option<Filter>,
    /// Nothing where there is none; `Err` where it can't be read.
    policy: Option<Result<Pattern, String>>,
}

impl Rules {
    async fn read(executor: impl PgExecutor<'_>) -> Result<Self, Error> {
        const READ: &str = "SELECT public_registration_verify_email, public_registration_role,
                public_registration_email_filter, auth_password_policy
            FROM directus_settings WHERE public_registration ORDER BY id LIMIT 1";
        type Columns = (bool, Option<Uuid>, Option<Value>, Option<String>);
        let found: Option<Columns> = sqlx::query_as(READ).fetch_optional(executor).await?;
        let (verify, role, filter, policy) = found.ok_or_else(Told::forbidden)?;
        let filter = match filter.filter(|filter| filter.as_object().is_some_and(|map| !map.is_empty())) {
            None => None,
            // Who can't tell whom to let in lets in nobody.
            Some(filter) => Some(query::read_rule(&filter).ok_or_else(|| {
                tracing::warn!("public_registration_email_filter can't be read: nobody may register");
                Told::forbidden()
            })?),
        };
        let policy = policy.filter(|text| !text.is_empty());
        let policy = policy.map(|text| Pattern::parse(&text).ok_or(text));
        Ok(Self { verify, role, filter, policy })
    }

    /// Judged alike whether there is such a user or not.
    fn admit(&self, request: &pb::RegisterRequest) -> Result<(), Told> {
        if let Some(filter) = &self.filter {
            let sent = Map::from_iter([("email".to_owned(), Value::from(request.email.to_lowercase()))]);
            let item = Item { sent: &sent, held: &Map::new(), whole: true };
            if !Judge::default().failures(filter, item).is_empty() {
                return Err(Told::forbidden());
            }
        }
        match &self.policy {
            None => Ok(()),
            Some(Ok(policy)) if policy.fits(&request.password) => Ok(()),
            Some(Ok(_)) => Err(query::Failure::password().error(true)),
            Some(Err(_)) => Err(query::Failure::unreadable_policy()),
        }
    }
}

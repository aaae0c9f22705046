//! What a write to a system collection does beside its statements, in their transaction.

use model::{Accountability, Collection, Error, ErrorCode};
use planner::Payload;
use sqlx::PgConnection;

use super::admins;
use super::sessions::{self, Ended};
use super::translations::Translated;
use super::versions;
use crate::failure::Failure;

/// Fields of a user that decide what he may do and by what he comes in.
const STANDING: [&str; 8] =
    ["status", "role", "password", "email", "token", "tfa_secret", "provider", "external_identifier"];

/// Fields of a user whose change ends his sessions.
const ENDING: [&str; 6] = ["status", "role", "password", "email", "provider", "external_identifier"];

/// Of these, those that a user may change without losing the session he does it in.
const OWN: [&str; 2] = ["password", "email"];

/// Advisory lock of writes that give e-mail addresses: of two at once the second sees the first one's.
const EMAILS: i64 = 7_306_085_842;

/// The rules that one write has to follow.
#[derive(Debug, Default)]
pub struct Rules {
    /// What somebody may do changes: the control row `access` moves.
    access: bool,
    /// It might take the last admin away.
    admins: bool,
    /// E-mail addresses that are given, folded; they are unique regardless of case.
    emails: Vec<String>,
    /// Sessions that end.
    ended: Option<Ended>,
    /// Shares may let other guests in, or see something else: who remembers sessions is told.
    shares: bool,
    /// Shares whose guests are out.
    closed: Vec<String>,
    /// There was an admin before.
    had_admin: bool,
    /// Roles get parents: none may become its own ancestor.
    ancestry: bool,
    /// A role is said to be its own parent.
    own_parent: bool,
    /// Keys that are given to versions: an item has each once.
    version_keys: Vec<String>,
    /// Translations whose key or language is given: each pair of them is there once.
    translated: Option<Translated>,
}

impl Rules {
    /// Those of a creation.
    pub fn create(collection: &Collection, payloads: &[Payload]) -> Self {
        let users = collection.name == "directus_users";
        let emails = if users { emails(payloads) } else { Vec::new() };
        let ancestry = ancestry(collection, payloads);
        let version_keys = versions::keys(&collection.name, payloads);
        let translated = Translated::of(&collection.name, &[], payloads);
        Self { access: grants(collection), emails, ancestry, version_keys, translated, ..Self::default() }
    }

    /// Those of a change of these keys.
    pub fn update(
        collection: &Collection,
        keys: &[String],
        payloads: &[Payload],
        by: &Accountability,
    ) -> Self {
        if collection.name != "directus_users" {
            let access = grants(collection);
            let admins = access && collection.name != "directus_permissions";
            let version_keys = versions::keys(&collection.name, payloads);
            let ancestry = ancestry(collection, payloads);
            let own_parent = ancestry && own_parent(keys, payloads);
            let translated = Translated::of(&collection.name, keys, payloads);
            let shares = collection.name == "directus_shares";
            let closed = if shares { ending(keys, payloads, &["password"]) } else { Vec::new() };
            let rest = Self { access, admins, ancestry, own_parent, shares, closed, ..Self::default() };
            return Self { version_keys, translated, ..rest };
        }
        let himself = by.user.is_some_and(|user| keys.len() == 1 && keys[0] == user.to_string());
        let only_own = !names(payloads, &ENDING.map(|name| if OWN.contains(&name) { "" } else { name }));
        let except = by.session.clone().filter(|_| himself && only_own);
        let users = ending(keys, payloads, &ENDING);
        Self {
            access: names(payloads, &STANDING),
            admins: names(payloads, &["status", "role"]),
            emails: emails(payloads),
            ended: (!users.is_empty()).then_some(Ended { users, except }),
            ..Self::default()
        }
    }

    /// Those of a deletion of these keys.
    pub fn delete(collection: &Collection, keys: &[String]) -> Self {
        let users = collection.name == "directus_users";
        let access = users || grants(collection);
        Self {
            access,
            admins: access && collection.name != "directus_permissions",
            ended: users.then(|| Ended { users: keys.to_vec(), except: None }),
            shares: collection.name == "directus_shares",
            ..Self::default()
        }
    }

    /// Adds those of items that go with others.
    pub fn and_gone(&mut self, collection: &str, keys: &[String]) {
        let users = collection == "directus_users";
        self.shares |= collection == "directus_shares";
        self.access |= users || says_who_may(collection);
        self.admins |= users || (says_who_may(collection) && collection != "directus_permissions");
        if users {
            self.and_ended(keys);
        }
    }

    /// Adds those of items that lose a reference in this field.
    pub fn and_changed(&mut self, collection: &str, field: &str, keys: &[String]) {
        if collection != "directus_users" {
            self.shares |= collection == "directus_shares";
            self.access |= says_who_may(collection);
            self.admins |= says_who_may(collection) && collection != "directus_permissions";
            return;
        }
        self.access |= STANDING.contains(&field);
        self.admins |= matches!(field, "status" | "role");
        if ENDING.contains(&field) {
            self.and_ended(keys);
        }
    }

    fn and_ended(&mut self, keys: &[String]) {
        let ended = self.ended.get_or_insert_with(|| Ended { users: Vec::new(), except: None });
        ended.users.extend(keys.iter().cloned());
    }

    /// There are none: one statement is a transaction by itself.
    pub fn is_empty(&self) -> bool {
        let given = !self.emails.is_empty() || !self.version_keys.is_empty() || self.translated.is_some();
        !(self.access || self.admins || self.ended.is_some() || self.shares || given)
    }

    /// A control row moves: the fleet is told after the commit.
    pub fn moves_control(&self) -> bool {
        self.access || self.ended.is_some() || self.shares
    }

    /// What comes before the statements. The control row is held from here on, so that changes of access are made one
    /// after the other and each sees the admins that the one before it left.
    pub async fn before(&mut self, conn: &mut PgConnection) -> Result<(), Failure> {
        if self.own_parent {
            return Err(Error::invalid_payload("A role cannot be a parent of itself").into());
        }
        if self.access {
            db::control::bump(conn, "access").await?;
        }
        if !self.emails.is_empty() {
            sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(EMAILS).execute(&mut *conn).await?;
        }
        if !self.version_keys.is_empty() {
            versions::queue(conn).await?;
        }
        if self.translated.is_some() {
            Translated::queue(conn).await?;
        }
        if self.admins {
            self.had_admin = admins::any(conn).await?;
        }
        if let Some(ended) = &self.ended {
            sessions::end(conn, ended).await?;
        }
        if !self.closed.is_empty() {
            sessions::close(conn, &self.closed).await?;
        }
        if self.ended.is_some() || self.shares {
            db::control::bump(conn, "sessions").await?;
        }
        Ok(())
    }

    /// What must be true after the statements, else nothing is written.
    pub async fn after(&self, conn: &mut PgConnection) -> Result<(), Failure> {
        if self.had_admin && !admins::any(conn).await? {
            return Err(admins::refused().into());
        }
        if self.ancestry && sqlx::query_scalar(CIRCLE).fetch_one(&mut *conn).await? {
            let reason = "A role cannot have a parent that is already a descendant of itself";
            return Err(Error::invalid_payload(reason).into());
        }
        if !self.version_keys.is_empty() {
            versions::check_keys(conn, &self.version_keys).await?;
        }
        if let Some(translated) = &self.translated {
            translated.check(conn).await?;
        }
        if !self.emails.is_empty() {
            const TWICE: &str = r#"SELECT max(email) FROM directus_users
                WHERE lower(email COLLATE "C") = ANY($1)
                GROUP BY lower(email COLLATE "C") HAVING count(*) > 1 LIMIT 1"#;
            let twice: Option<String> =
                sqlx::query_scalar(TWICE).bind(&self.emails).fetch_optional(conn).await?;
            if let Some(email) = twice {
                return Err(taken(&email).into());
            }
        }
        Ok(())
    }
}

/// Whether a role stands above itself.
const CIRCLE: &str = "WITH RECURSIVE above(id, parent) AS (
        SELECT id, parent FROM directus_roles WHERE parent IS NOT NULL
        UNION ALL SELECT r.id, r.parent FROM directus_roles r JOIN above a ON r.id = a.parent
    ) CYCLE id SET again USING path SELECT EXISTS (SELECT FROM above WHERE again)";

/// Whether a payload gives one of its roles itself as its parent; one payload is for all keys, several are one per key.
fn own_parent(keys: &[String], payloads: &[Payload]) -> bool {
    payloads.iter().enumerate().any(|(index, payload)| {
        let parent = payload.get("parent").and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        let keys = if payloads.len() == 1 { keys } else { keys.get(index..=index).unwrap_or_default() };
        parent.is_some_and(|parent| keys.iter().any(|key| key.eq_ignore_ascii_case(&parent)))
    })
}

fn ancestry(collection: &Collection, payloads: &[Payload]) -> bool {
    collection.name == "directus_roles" && names(payloads, &["parent"])
}

/// Items of it say what others may do.
fn grants(collection: &Collection) -> bool {
    says_who_may(&collection.name)
}

fn says_who_may(collection: &str) -> bool {
    matches!(collection, "directus_roles" | "directus_policies" | "directus_access" | "directus_permissions")
}

fn names(payloads: &[Payload], fields: &[&str]) -> bool {
    payloads.iter().any(|payload| fields.iter().any(|field| payload.get(field).is_some()))
}

/// Items whose change in these fields ends sessions; one payload is for all keys, several are one per key.
fn ending(keys: &[String], payloads: &[Payload], fields: &[&str]) -> Vec<String> {
    let own = |index: usize| match payloads {
        [all] => names(std::slice::from_ref(all), fields),
        each => each.get(index).is_some_and(|own| names(std::slice::from_ref(own), fields)),
    };
    keys.iter().enumerate().filter(|(index, _)| own(*index)).map(|(_, key)| key.clone()).collect()
}

/// The addresses that are given; only the letters that a login folds are folded.
fn emails(payloads: &[Payload]) -> Vec<String> {
    let given = payloads.iter().filter_map(|payload| payload.get("email"));
    let texts = given.filter_map(|raw| serde_json::from_str::<String>(raw.get()).ok());
    texts.map(|email| email.to_ascii_lowercase()).collect()
}

fn taken(email: &str) -> Error {
    let (collection, field) = ("directus_users", "email");
    Error::new(ErrorCode::RecordNotUnique)
        .with_message(format!(
            "Value \"{email}\" for field \"{field}\" in collection \"{collection}\" has to be unique."
        ))
        .with("collection", collection)
        .with("field", field)
        .with("value", email)
}

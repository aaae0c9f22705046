//! Users as links and mails know them: by their address.

use sqlx::PgExecutor;
use uuid::Uuid;

use crate::Error;

/// How a user logs in who has a password here.
pub const LOCAL: &str = "default";

/// A user.
#[derive(Debug, Clone)]
pub struct Person {
    /// His id.
    pub id: Uuid,
    /// His address as it is stored.
    pub email: String,
    /// `active`, `invited`, `unverified`, `suspended` ...
    pub status: String,
    /// The hash of his password.
    pub password: Option<String>,
    provider: String,
}

impl Person {
    /// He is active and has his password here.
    pub fn may_log_in(&self) -> bool {
        self.status == "active" && self.provider == LOCAL
    }
}

/// The user of an address. Letter case is folded for ASCII only: no other folding may make one user match another.
pub async fn find(executor: impl PgExecutor<'_>, email: &str) -> Result<Option<Person>, Error> {
    const FIND: &str = r#"SELECT id, email, status, password, provider FROM directus_users
        WHERE lower(email COLLATE "C") = $1 ORDER BY email = $2 DESC LIMIT 1"#;
    if email.contains('\0') {
        return Ok(None);
    }
    let found: Option<(Uuid, String, String, Option<String>, String)> =
        sqlx::query_as(FIND).bind(email.to_ascii_lowercase()).bind(email).fetch_optional(executor).await?;
    Ok(found.map(|(id, email, status, password, provider)| Person { id, email, status, password, provider }))
}

/// Whether mail can be sent to it: one address, and nothing else.
pub fn is_address(text: &str) -> bool {
    text.len() <= 254 && text.parse::<lettre::Address>().is_ok() && text.contains('.')
}

#[cfg(test)]
mod tests {
    use super::is_address;

    #[test]
    fn one_address_and_nothing_else() {
        for good in ["a@example.com", "A.b+c@sub.example.org", "jörg@example.org"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["", "a", "a@b", "a@b.c\r\nBcc: d@e.f", "a@b.c,d@e.f", "<a@b.c>", "a b@c.de", "a@b.c\0"] {
            assert!(!is_address(bad), "{bad:?}");
        }
    }
}

//! Endpoints: the rows, what callers see of them, and the consumer's copy of who wants what.

use std::sync::{Arc, Mutex, PoisonError};

use db::Db;
use model::Event;
use outbound::sign::Secret;
use proto::webhooks::v1::Endpoint;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::Error;
use crate::pattern::Pattern;
use crate::state::State;

/// Control topic of the endpoints.
pub(crate) const TOPIC: &str = "webhooks";

/// Most patterns of one endpoint.
const PATTERNS: usize = 100;

/// The columns that `read` reads, in its order. The secret is not among them.
macro_rules! columns {
    () => {
        "id, url, events, enabled, name, created"
    };
}
pub(crate) use columns;

/// One row as the caller sees it.
pub(crate) fn read(row: &PgRow) -> Result<Endpoint, Error> {
    let created: OffsetDateTime = row.try_get(5)?;
    Ok(Endpoint {
        id: row.try_get::<Uuid, _>(0)?.to_string(),
        url: row.try_get(1)?,
        secret: String::new(),
        events: row.try_get(2)?,
        enabled: row.try_get(3)?,
        name: row.try_get(4)?,
        created: created.format(&Rfc3339).map_err(Error::Time)?,
    })
}

/// The id that a caller gives. What is none is as good as missing.
pub(crate) fn id(text: &str) -> Result<Uuid, model::Error> {
    Uuid::try_parse(text).map_err(|_| model::Error::forbidden())
}

/// Checks where an endpoint is: neither a wrong URL nor an address that will never be reached is kept.
pub(crate) fn check_url(state: &State, url: &str) -> Result<(), model::Error> {
    match state.outbound.check(url) {
        Ok(_) => Ok(()),
        Err(error) if error.class == outbound::Class::Blocked => {
            Err(model::Error::invalid_payload("\"url\" is an address or port that may not be reached"))
        }
        Err(_) => Err(model::Error::invalid_payload(
            "\"url\" has to be an http or https URL of a host, without user",
        )),
    }
}

/// Checks what an endpoint wants.
pub(crate) fn check_events(events: &[String]) -> Result<(), model::Error> {
    if !(1..=PATTERNS).contains(&events.len()) {
        return Err(model::Error::invalid_payload("\"events\" has to name 1 to 100 patterns"));
    }
    if events.iter().all(|text| Pattern::parse(text).is_some()) {
        Ok(())
    } else {
        Err(model::Error::invalid_payload(
            "\"events\" has to hold patterns such as *, items.*, items.create, items.create.articles, auth.login, \
             custom.article.*",
        ))
    }
}

/// Checks what an endpoint is called.
pub(crate) fn check_name(name: &str) -> Result<(), model::Error> {
    if name.len() <= 255 && !name.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(model::Error::invalid_payload("\"name\" has to be a line of at most 255 bytes"))
    }
}

/// The secret that a caller gives, or a new one.
pub(crate) fn secret(given: &str) -> Result<Secret, Error> {
    if given.is_empty() {
        return Secret::generate(&ring::rand::SystemRandom::new()).map_err(Error::Secret);
    }
    let reason = "\"secret\" has to be whsec_ and base64 of 24 to 64 bytes";
    Ok(Secret::parse(given).map_err(|_| model::Error::invalid_payload(reason))?)
}

/// Deliveries of a disabled endpoint wait for ever; those of one that is enabled again are due.
pub(crate) async fn hold_deliveries(
    conn: &mut PgConnection,
    id: Uuid,
    hold: bool,
) -> Result<(), sqlx::Error> {
    const HOLD: &str = "
UPDATE eventus.webhook_deliveries SET next_attempt = 'infinity' WHERE endpoint = $1 AND state = 'pending'";
    const RELEASE: &str = "
UPDATE eventus.webhook_deliveries SET next_attempt = now()
WHERE endpoint = $1 AND state = 'pending' AND next_attempt = 'infinity'";
    sqlx::query(if hold { HOLD } else { RELEASE }).bind(id).execute(conn).await?;
    Ok(())
}

/// Who wants what, at one version of the control topic.
#[derive(Debug)]
pub(crate) struct Wishes {
    version: i64,
    endpoints: Vec<Wish>,
}

/// What one endpoint wants.
#[derive(Debug)]
struct Wish {
    endpoint: Uuid,
    /// Events behind this position.
    since: i64,
    patterns: Vec<Pattern>,
}

impl Wishes {
    /// Endpoints that want the event; `whenever`: also those that were made after it.
    pub fn of(&self, event: &Event, whenever: bool) -> impl Iterator<Item = Uuid> {
        let wants = move |wish: &&Wish| {
            (whenever || event.position > wish.since)
                && wish.patterns.iter().any(|pattern| pattern.matches(event))
        };
        self.endpoints.iter().filter(wants).map(|wish| wish.endpoint)
    }
}

/// The last wishes that were read.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Option<Arc<Wishes>>>);

const VERSION: &str = "SELECT version FROM eventus.control WHERE topic = $1";

// One statement, one snapshot: the endpoints are those of this version.
const READ: &str = "
SELECT control.version, endpoint.id, endpoint.since, endpoint.events
FROM eventus.control LEFT JOIN eventus.webhook_endpoints endpoint ON endpoint.enabled
WHERE control.topic = $1";

impl Known {
    /// The wishes as of now. The version is asked for each time, which is cheap: an event that was written after an
    /// endpoint was made never misses it, whichever process made it.
    pub async fn now(&self, db: &Db) -> Result<Arc<Wishes>, sqlx::Error> {
        let version: Option<i64> = sqlx::query_scalar(VERSION).bind(TOPIC).fetch_optional(db).await?;
        let version = version.unwrap_or(0);
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(wishes) = kept.filter(|wishes| wishes.version == version) {
            return Ok(wishes);
        }
        let rows = sqlx::query(READ).bind(TOPIC).fetch_all(db).await?;
        let mut wishes = Wishes { version, endpoints: Vec::new() };
        for row in &rows {
            wishes.version = row.try_get(0)?;
            let Some(endpoint) = row.try_get(1)? else { continue };
            let events: Vec<String> = row.try_get(3)?;
            let patterns = events.iter().filter_map(|text| known_pattern(endpoint, text)).collect();
            wishes.endpoints.push(Wish { endpoint, since: row.try_get(2)?, patterns });
        }
        tracing::debug!(
            version = wishes.version,
            endpoints = wishes.endpoints.len(),
            "webhook endpoints read"
        );
        let wishes = Arc::new(wishes);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(wishes.clone());
        Ok(wishes)
    }
}

fn known_pattern(endpoint: Uuid, text: &str) -> Option<Pattern> {
    let pattern = Pattern::parse(text);
    if pattern.is_none() {
        tracing::warn!(%endpoint, pattern = text, "a pattern is not understood, nothing matches it");
    }
    pattern
}

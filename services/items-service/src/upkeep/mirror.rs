//! The stream of dead letters: a copy of those in the table, for programs outside. Whoever looks after the log tells what
//! is new, takes out what is gone, and tells everything again when the stream was lost.

use std::collections::HashSet;

use bus::letters::{self, Letters, Message};
use event_store::Mark;
use model::EventName;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::letters::{columns, letter};
use crate::Error;
use crate::state::State;

/// Letters told together.
const BATCH: i64 = 500;

/// Bytes of an error's text that travel; all of it stays in the table.
const REASON: usize = 16 * 1024;

/// What of a letter is told, in a stream (`$1`): when this differs from what was told last, it is told again.
macro_rules! word {
    () => {
        "concat_ws('/', $1::text, d.attempts, extract(epoch FROM d.time), md5(d.reason))"
    };
}

const NEWS: &str = concat!(
    "SELECT ",
    columns!(),
    ", ",
    word!(),
    " AS word FROM eventus.dead_letters d LEFT JOIN eventus.events e ON e.position = d.position
    WHERE d.told IS DISTINCT FROM ",
    word!(),
    " ORDER BY d.time, d.event_id, d.consumer LIMIT $2"
);

/// A letter that changed meanwhile is told once more.
const TOLD: &str = concat!(
    "UPDATE eventus.dead_letters d SET told = n.word FROM unnest($2::text[], $3::uuid[], $4::text[]) n (consumer, id, word)
    WHERE d.consumer = n.consumer AND d.event_id = n.id AND n.word = ",
    word!()
);

/// Makes the stream hold what the table holds.
pub(super) async fn reflect(state: &State) -> Result<(), Error> {
    let mark = Mark::load(&state.db).await?;
    let mut mirror = Letters::open(&state.bus, mark.epoch).await?;
    let made = mirror.created().unix_timestamp_nanos().to_string();
    let prefix = &state.bus.config().prefix;
    loop {
        let rows = sqlx::query(NEWS).bind(&made).bind(BATCH).fetch_all(&state.db).await?;
        let (mut consumers, mut ids, mut words, mut messages) = (vec![], vec![], vec![], vec![]);
        for row in &rows {
            let message = message(prefix, row)?;
            consumers.push(message.consumer.clone());
            ids.push(message.id);
            words.push(row.try_get::<String, _>("word")?);
            messages.push(message);
        }
        if messages.is_empty() {
            break;
        }
        mirror.tell(messages).await?;
        sqlx::query(TOLD).bind(&made).bind(&consumers).bind(&ids).bind(&words).execute(&state.db).await?;
    }
    sweep(state, &mut mirror).await
}

/// Takes out letters that wait no more. What others have taken out, or what would stand under another subject now because
/// the log has lost its event, is told again next time.
async fn sweep(state: &State, mirror: &mut Letters) -> Result<(), Error> {
    const COUNT: &str = "SELECT count(*) FROM eventus.dead_letters";
    // In this order: a letter that comes in between makes us look, and finds itself in the table.
    let held = mirror.count().await?;
    let waiting: i64 = sqlx::query_scalar(COUNT).fetch_one(&state.db).await?;
    if held == u64::try_from(waiting).unwrap_or_default() {
        return Ok(());
    }
    const WAITING: &str = "SELECT d.consumer, d.event_id, e.name, e.collection
        FROM eventus.dead_letters d LEFT JOIN eventus.events e ON e.position = d.position";
    let held: HashSet<String> = mirror.subjects().await?.into_iter().collect();
    let (mut waiting, mut consumers, mut ids) = (HashSet::new(), vec![], vec![]);
    for row in sqlx::query(WAITING).fetch_all(&state.db).await? {
        let subject = subject(&state.bus.config().prefix, &row)?;
        if !held.contains(&subject) {
            consumers.push(row.try_get::<String, _>("consumer")?);
            ids.push(row.try_get::<Uuid, _>("event_id")?);
        }
        waiting.insert(subject);
    }
    for subject in held.difference(&waiting) {
        mirror.remove(subject).await?;
    }
    const AGAIN: &str =
        "UPDATE eventus.dead_letters d SET told = NULL FROM unnest($1::text[], $2::uuid[]) n (consumer, id)
        WHERE d.consumer = n.consumer AND d.event_id = n.id";
    sqlx::query(AGAIN).bind(&consumers).bind(&ids).execute(&state.db).await?;
    Ok(())
}

fn subject(prefix: &str, row: &PgRow) -> Result<String, sqlx::Error> {
    let (consumer, id): (String, Uuid) = (row.try_get("consumer")?, row.try_get("event_id")?);
    let name = row.try_get::<Option<String>, _>("name")?.and_then(|name| EventName::parse(&name));
    let collection: Option<String> = row.try_get("collection")?;
    let event = name.as_ref().zip(collection.as_deref());
    Ok(letters::subject_of(prefix, &consumer, event, id))
}

fn message(prefix: &str, row: &PgRow) -> Result<Message, sqlx::Error> {
    let mut told = letter(row)?;
    for reason in ["reason", "first_reason"] {
        if let Some(text) = told[reason].as_str().filter(|text| text.len() > REASON) {
            told[reason] = text[..text.floor_char_boundary(REASON)].into();
        }
    }
    Ok(Message {
        subject: subject(prefix, row)?,
        consumer: row.try_get("consumer")?,
        id: row.try_get("event_id")?,
        attempts: row.try_get("attempts")?,
        body: told.to_string().into_bytes(),
    })
}

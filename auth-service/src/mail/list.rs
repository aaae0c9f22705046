//! The mails that are kept, for administrators. What they say is shown only where the service is told to keep it for that.

use proto::accounts::v1 as pb;
use rpc::Caller;
use serde_json::{Value, json};
use sqlx::Row as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::Error;
use crate::state::State;

const MOST: u32 = 100;

/// Lists them, newest first.
pub async fn list(
    state: &State,
    caller: &Caller,
    request: pb::ListMailsRequest,
) -> Result<pb::ListMailsResponse, Error> {
    const LIST: &str =
        "SELECT id, kind, state, attempts, created, finished, last_error, sealed FROM eventus.mails
        ORDER BY created DESC, id LIMIT $1";
    if !caller.accountability.admin {
        return Err(model::Error::forbidden().into());
    }
    let limit = if request.limit == 0 { MOST } else { request.limit.min(MOST) };
    let rows = sqlx::query(LIST).bind(i64::from(limit)).fetch_all(&state.db).await?;
    let mails: Vec<Value> = rows.iter().map(|row| shown(state, row)).collect::<Result<_, _>>()?;
    Ok(pb::ListMailsResponse { mails: Value::from(mails).to_string().into() })
}

fn shown(state: &State, row: &sqlx::postgres::PgRow) -> Result<Value, Error> {
    let time = |at: Option<OffsetDateTime>| at.and_then(|at| at.format(&Rfc3339).ok());
    let mut mail = json!({
        "id": row.try_get::<Uuid, _>(0)?,
        "kind": row.try_get::<String, _>(1)?,
        "state": row.try_get::<String, _>(2)?,
        "attempts": row.try_get::<i32, _>(3)?,
        "created": time(row.try_get(4)?),
        "finished": time(row.try_get(5)?),
        "error": row.try_get::<Option<String>, _>(6)?,
    });
    let sealed: Option<String> = row.try_get(7)?;
    if let (true, Some(letter)) =
        (state.post.config.preview, sealed.and_then(|text| state.post.opened(&text).ok()))
    {
        let texts =
            [("to", letter.to), ("subject", letter.subject), ("text", letter.text), ("html", letter.html)];
        for (name, text) in texts {
            mail[name] = text.into();
        }
    }
    Ok(mail)
}

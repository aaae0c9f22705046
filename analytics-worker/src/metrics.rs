//! Operation `Metrics`: counts per day, collection and action.

use proto::analytics::v1::{Metric, MetricsRequest, MetricsResponse};
use sqlx::Row as _;
use time::Date;
use time::format_description::FormatItem;
use time::macros::{date, format_description};

use crate::Error;
use crate::state::State;

/// Most rows of one answer, so that it fits into one message.
const MOST: i64 = 20_000;

/// Days that can be asked for.
const FIRST: Date = date!(1970 - 01 - 01);
const LAST: Date = date!(9999 - 12 - 31);

const DAY: &[FormatItem<'_>] = format_description!("[year]-[month]-[day]");

// Compared byte by byte: the order does not depend on the database's language.
const READ: &str = r#"
SELECT day, collection, action, count FROM eventus.analytics_daily
WHERE day BETWEEN $1 AND $2 AND ($3 = '' OR collection = $3) AND ($4 = '' OR action = $4)
ORDER BY day, collection COLLATE "C", action COLLATE "C"
LIMIT $5"#;

/// Counts of the days asked for, ordered by day, collection and action.
pub(crate) async fn metrics(state: &State, request: MetricsRequest) -> Result<MetricsResponse, Error> {
    let (from, to) = days(&request)?;
    let rows = sqlx::query(READ)
        .bind(from)
        .bind(to)
        .bind(&request.collection)
        .bind(&request.action)
        .bind(MOST + 1)
        .fetch_all(&state.db)
        .await?;
    if i64::try_from(rows.len()).unwrap_or(i64::MAX) > MOST {
        let reason = format!("More than {MOST} metrics fit, ask for fewer days or one collection");
        return Err(model::Error::invalid_query(reason).into());
    }
    let metric = |row: &sqlx::postgres::PgRow| {
        let day: Date = row.try_get(0)?;
        Ok(Metric {
            day: day.format(DAY).map_err(Error::Day)?,
            collection: row.try_get(1)?,
            action: row.try_get(2)?,
            count: row.try_get(3)?,
        })
    };
    let metrics: Result<Vec<_>, Error> = rows.iter().map(metric).collect();
    Ok(MetricsResponse { metrics: metrics? })
}

/// The first and the last day, both inclusive; an empty bound is open.
fn days(request: &MetricsRequest) -> Result<(Date, Date), model::Error> {
    let from = day("from", &request.from, FIRST)?;
    let to = day("to", &request.to, LAST)?;
    if from > to {
        return Err(model::Error::invalid_query("\"from\" is after \"to\""));
    }
    Ok((from, to))
}

fn day(name: &str, text: &str, open: Date) -> Result<Date, model::Error> {
    if text.is_empty() {
        return Ok(open);
    }
    let day = Date::parse(text, DAY).ok().filter(|day| (FIRST..=LAST).contains(day));
    day.ok_or_else(|| model::Error::invalid_query(format!("\"{name}\" has to be a day such as 2026-01-31")))
}

#[cfg(test)]
mod tests {
    use proto::analytics::v1::MetricsRequest;
    use time::macros::date;

    use super::{FIRST, LAST, days};

    fn request(from: &str, to: &str) -> MetricsRequest {
        MetricsRequest { from: from.to_owned(), to: to.to_owned(), ..MetricsRequest::default() }
    }

    #[test]
    fn bounds_are_days_or_open() {
        assert_eq!(days(&request("", "")).unwrap(), (FIRST, LAST));
        let one = days(&request("2024-02-29", "2024-02-29")).unwrap();
        assert_eq!(one, (date!(2024 - 02 - 29), date!(2024 - 02 - 29)));
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for bad in [
            "2023-02-29",
            "2024-13-01",
            "2024-1-1",
            "24-01-01",
            "today",
            "2024-01-01T00:00:00Z",
            "1969-12-31",
            "+10000-01-01",
            "-0001-01-01",
            "10000-01-01",
            " 2024-01-01",
            "2024-01-01'--",
        ] {
            assert!(days(&request(bad, "")).is_err(), "{bad}");
            assert!(days(&request("", bad)).is_err(), "{bad}");
        }
        let error = days(&request("2024-01-02", "2024-01-01")).unwrap_err();
        assert_eq!(error.code, model::ErrorCode::InvalidQuery);
    }
}

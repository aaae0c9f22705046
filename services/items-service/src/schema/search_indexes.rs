//! Managed indexes for full-text search: what the marks want is compared with what is there, and made or dropped beside
//! the traffic. Nothing is remembered of it: whoever set a mark, and how, the database says what is missing.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use model::quote_identifier;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::{change, ddl};
use crate::catalog::marks::{self, PREFIX, Wanted};
use crate::state::State;

/// The longest rest after a failure.
const LONGEST_REST: Duration = Duration::from_secs(300);

/// Indexes that could not be made or dropped: how often, and when they are tried again.
#[derive(Debug, Default)]
pub struct Failed(HashMap<String, (u32, Instant)>);

impl Failed {
    fn rests(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|(_, until)| Instant::now() < *until)
    }

    fn again(&mut self, name: &str) {
        let (times, until) = self.0.entry(name.to_owned()).or_insert((0, Instant::now()));
        *until = Instant::now() + Duration::from_secs(1 << (*times).min(9)).min(LONGEST_REST);
        *times += 1;
    }
}

/// What has to be done.
struct Step {
    name: String,
    sql: Vec<String>,
}

/// Takes one step; `false` when there is nothing to do now.
pub async fn next(state: &State, failed: &mut Failed) -> Result<bool, sqlx::Error> {
    let Some(step) = step(state, failed).await? else { return Ok(false) };
    match run(state, &step).await {
        Ok(()) => {
            failed.0.remove(&step.name);
            tracing::info!(
                index = step.name,
                statements = step.sql.len(),
                "index for search made or dropped"
            );
            tell(state).await?;
        }
        Err(error) => {
            tracing::warn!(index = step.name, %error, "an index for search could not be made or dropped");
            failed.again(&step.name);
        }
    }
    Ok(true)
}

async fn step(state: &State, failed: &Failed) -> Result<Option<Step>, sqlx::Error> {
    const THERE: &str = "SELECT c.relname::text AS name, i.indisvalid AS valid FROM pg_class c \
                         JOIN pg_index i ON i.indexrelid = c.oid \
                         WHERE c.relnamespace = 'public'::regnamespace AND starts_with(c.relname::text, $1)";
    let rows = sqlx::query(THERE).bind(PREFIX).fetch_all(&state.db).await?;
    let there = rows.iter().map(|row| Ok((row.try_get("name")?, row.try_get("valid")?)));
    let there: HashMap<String, bool> = there.collect::<Result<_, sqlx::Error>>()?;
    let snapshot = state.snapshots.present();
    let wanted = marks::all(&snapshot.catalog);
    let missing = wanted.iter().filter(|index| there.get(&index.name) != Some(&true));
    let mut steps = missing.map(|index| {
        // Left over from an attempt that died: PostgreSQL keeps it up and never uses it.
        let broken = there.contains_key(&index.name).then(|| ddl::drop_index_concurrently(&index.name));
        Step { name: index.name.clone(), sql: broken.into_iter().chain([create(index)]).collect() }
    });
    if let Some(step) = steps.find(|step| !failed.rests(&step.name)) {
        return Ok(Some(step));
    }
    let known: HashSet<&str> = wanted.iter().map(|index| index.name.as_str()).collect();
    let mut unwanted = there.into_keys().filter(|name| !known.contains(name.as_str()) && !failed.rests(name));
    Ok(unwanted.next().map(|name| Step { sql: vec![ddl::drop_index_concurrently(&name)], name }))
}

/// `CREATE INDEX CONCURRENTLY`.
pub fn create(index: &Wanted<'_>) -> String {
    let parts = planner::search_index_parts(index.field, &index.index);
    format!(
        "CREATE INDEX CONCURRENTLY {} ON {} USING gin ({})",
        quote_identifier(&index.name),
        ddl::table(index.collection),
        parts.join(", ")
    )
}

/// Without time-outs: it waits for every transaction that might still write without the index.
async fn run(state: &State, step: &Step) -> Result<(), db::Error> {
    let mut conn = state.db.acquire().await?;
    // Nobody else gets a session without time-outs, however this ends.
    conn.close_on_drop();
    sqlx::raw_sql("SET statement_timeout = 0; SET lock_timeout = 0").execute(&mut *conn).await?;
    for sql in &step.sql {
        sqlx::raw_sql(AssertSqlSafe(sql.as_str())).execute(&mut *conn).await?;
    }
    Ok(())
}

/// Every process plans with the index, or without it, from now on.
async fn tell(state: &State) -> Result<(), sqlx::Error> {
    let told = async {
        let mut transaction = change::open(&state.db).await?;
        db::control::bump(&mut transaction, "schema").await?;
        transaction.commit().await?;
        state.snapshots.refresh().await?;
        Ok::<_, db::Error>(())
    };
    if let Err(error) = told.await {
        // The catalogs are looked at, too.
        tracing::debug!(%error, "an index for search could not be announced");
    }
    state.announce_control().await;
    Ok(())
}

/// Takes away the managed indexes of a field whose column gets another type: PostgreSQL would make them anew while
/// nobody can use the table, or could not make them at all.
pub async fn drop_of(
    conn: &mut PgConnection,
    names: impl Iterator<Item = String>,
) -> Result<(), sqlx::Error> {
    for name in names {
        let sql = format!("DROP INDEX IF EXISTS \"public\".{}", quote_identifier(&name));
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *conn).await?;
    }
    Ok(())
}

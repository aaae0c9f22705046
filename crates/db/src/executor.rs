//! `&Db` as a sqlx executor: a statement that met a dead connection, and so was never run, is run again on another.
//!
//! "Dead" is decided by `gone_before_use` only; whatever may have been executed is never repeated. That leaves out texts
//! of several statements (`raw_sql`): a COMMIT among them may have happened.

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use futures_util::stream::{BoxStream, StreamExt as _, poll_fn, select};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Execute, Executor, Postgres, SqlStr};
use tokio::sync::mpsc;

use crate::Db;
use crate::error::gone_before_use;

type Step = Either<PgQueryResult, PgRow>;

/// A statement that can be sent more than once.
#[derive(Clone)]
struct Again {
    sql: SqlStr,
    statement: Option<PgStatement>,
    arguments: Option<PgArguments>,
    persistent: bool,
}

impl Again {
    fn of<'q>(mut query: impl Execute<'q, Postgres>) -> Result<Self, sqlx::Error> {
        let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
        let (statement, persistent) = (query.statement().cloned(), query.persistent());
        Ok(Self { sql: query.sql(), statement, arguments, persistent })
    }
}

impl Execute<'_, Postgres> for Again {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.statement.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

impl Db {
    /// How often a dead connection is put aside: each connection of the pool may be one. A text without a list of
    /// arguments (be it empty) goes by the simple protocol and may hold several statements.
    fn tries(&self, query: &Again) -> u32 {
        if query.arguments.is_some() { self.max_connections() } else { 0 }
    }

    /// Runs a statement and hands on what comes.
    async fn steps(
        &self,
        query: Result<Again, sqlx::Error>,
        give: &mpsc::Sender<Result<Step, sqlx::Error>>,
    ) -> Result<(), sqlx::Error> {
        let query = query?;
        let mut tries = self.tries(&query);
        loop {
            let mut lent = self.lend().await?;
            let mut steps = lent.fetch_many(query.clone());
            let mut first = true;
            loop {
                match steps.next().await {
                    Some(Err(error)) if first && tries > 0 && gone_before_use(&error) => break,
                    Some(step) => {
                        let step = step?;
                        // Nobody listens any more: the connection is in the middle of an answer.
                        if give.send(Ok(step)).await.is_err() {
                            return Ok(());
                        }
                        first = false;
                    }
                    None => {
                        drop(steps);
                        lent.done();
                        return Ok(());
                    }
                }
            }
            tries -= 1;
        }
    }
}

/// Runs a statement whose answer is taken as a whole.
macro_rules! whole {
    ($db:expr, $query:expr, $fetch:ident) => {{
        let (db, query) = ($db, $query);
        Box::pin(async move {
            let query = query?;
            let mut tries = db.tries(&query);
            loop {
                let mut lent = db.lend().await?;
                match lent.$fetch(query.clone()).await {
                    Err(error) if tries > 0 && gone_before_use(&error) => tries -= 1,
                    Err(error) => return Err(error),
                    Ok(answer) => {
                        lent.done();
                        return Ok(answer);
                    }
                }
            }
        })
    }};
}

impl<'p> Executor<'p> for &'p Db {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let query = Again::of(query);
        let (give, mut take) = mpsc::channel(1);
        let steps = poll_fn(move |context| take.poll_recv(context));
        // Polled with the steps, in the same task: dropping the stream drops it.
        let work = async move {
            if let Err(error) = self.steps(query, &give).await {
                let _ = give.send(Err(error)).await;
            }
        };
        select(work.into_stream().filter_map(|()| ready(None)), steps).boxed()
    }

    /// Nothing is handed on before the end, so rows need no way through the stream of [`Self::fetch_many`].
    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Vec<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        whole!(self, Again::of(query), fetch_all)
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        whole!(self, Again::of(query), fetch_optional)
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        Box::pin(async move { self.lend().await?.prepare_with(sql, parameters).await })
    }
}

//! `&Db` as a sqlx executor: a statement that met a dead connection, and so was never run, is run again on another.
//!
//! "Dead" is decided by `gone_before_use` only; whatever may have been executed is never repeated. That leaves out texts
//! of several statements (`raw_sql`): a COMMIT among them may have happened.

use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt as _};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Execute, Executor, Postgres, SqlStr};

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
        if query.arguments.is_some() { self.pool().options().get_max_connections() } else { 0 }
    }
}

impl<'p> Executor<'p> for &'p Db {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let query = Again::of(query);
        let start = async move {
            let query = query?;
            let mut tries = self.tries(&query);
            loop {
                let mut steps = self.pool().fetch_many(query.clone());
                match steps.next().await {
                    Some(Err(error)) if tries > 0 && gone_before_use(&error) => tries -= 1,
                    first => {
                        let first = futures_util::stream::iter(first);
                        return Ok::<_, sqlx::Error>(first.chain(steps));
                    }
                }
            }
        };
        futures_util::stream::once(start)
            .flat_map(|started| match started {
                Ok(steps) => steps.boxed(),
                Err(error) => futures_util::stream::iter([Err(error)]).boxed(),
            })
            .boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let query = Again::of(query);
        Box::pin(async move {
            let query = query?;
            let mut tries = self.tries(&query);
            loop {
                match self.pool().fetch_optional(query.clone()).await {
                    Err(error) if tries > 0 && gone_before_use(&error) => tries -= 1,
                    result => return result,
                }
            }
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        self.pool().prepare_with(sql, parameters)
    }
}

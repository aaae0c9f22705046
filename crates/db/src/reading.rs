//! One state of the database, for several statements and for as long as somebody reads.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::error::gone_before_use;
use crate::kept::Connection;
use crate::{Db, Error};

/// A connection in a transaction that only reads, and that sees no change of others. Dropped before its end, its
/// connection is closed: what was not read is not worth waiting for.
#[derive(Debug)]
pub struct Reading {
    connection: Connection,
    ended: bool,
}

impl Db {
    /// Begins to read. A statement may take as long as `statement`; between two of them the server waits as long as
    /// `rest`, whatever the session's time-outs are.
    ///
    /// # Errors
    /// When the server is away or no connection gets free in time.
    pub async fn read(&self, statement: Duration, rest: Duration) -> Result<Reading, Error> {
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {}; \
             SET LOCAL idle_in_transaction_session_timeout = {}",
            statement.as_millis(),
            rest.as_millis()
        );
        let mut tries = self.max_connections();
        loop {
            // Guarded before it begins: a connection that is left in the middle must not come back.
            let mut reading = Reading { connection: self.lend().await?, ended: false };
            // Numbers of ours.
            match reading.execute(sqlx::raw_sql(AssertSqlSafe(begin.clone()))).await {
                Ok(_) => return Ok(reading),
                Err(error) if tries > 0 && gone_before_use(&error) => tries -= 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Reading {
    /// Ends it: the connection may be used again.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn end(mut self) -> Result<(), sqlx::Error> {
        self.execute("COMMIT").await?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

impl Deref for Reading {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Reading {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

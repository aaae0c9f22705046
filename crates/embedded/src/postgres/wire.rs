//! Just enough of PostgreSQL's protocol to ask "are you there?" and to make a database.
//! A socket that accepts is no proof: the server accepts long before it answers.
use std::io;
use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// Why the server did not do what it was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// Not there yet, or leaving: ask again.
    NotYet(String),
    /// It answered, with an error.
    Refused { sqlstate: String, message: String },
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::NotYet(error.to_string())
    }
}

const STARTING_OR_STOPPING: &str = "57P03";
const NO_SUCH_DATABASE: &str = "3D000";
const DATABASE_EXISTS: &str = "42P04";
/// Protocol 3.0.
const PROTOCOL: i32 = 196_608;
/// An answer to our few questions is far below this.
const LONGEST: usize = 1 << 20;

/// Completes when `user` was let in to `database`, which is made when it is not there.
pub(super) async fn ensure_database(socket: &Path, user: &str, database: &str) -> Result<(), Failure> {
    match Session::open(socket, user, database).await {
        Err(Failure::Refused { sqlstate, .. }) if sqlstate == NO_SUCH_DATABASE => {}
        other => return other.map(drop),
    }
    let mut session = Session::open(socket, user, "postgres").await?;
    match session.execute(&format!("CREATE DATABASE \"{database}\"")).await {
        Err(Failure::Refused { sqlstate, .. }) if sqlstate == DATABASE_EXISTS => Ok(()),
        other => other,
    }
}

struct Session {
    stream: UnixStream,
}

impl Session {
    async fn open(socket: &Path, user: &str, database: &str) -> Result<Self, Failure> {
        let mut session = Self { stream: UnixStream::connect(socket).await? };
        let mut body = PROTOCOL.to_be_bytes().to_vec();
        for text in ["user", user, "database", database] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        body.push(0);
        session.send(&body).await?;
        let (kind, body) = session.receive().await?;
        // 'R' with code 0: let in. Any other code asks for a password, which this server never does.
        if kind != b'R' || body.get(..4) != Some(&[0; 4]) {
            return Err(unexpected(kind));
        }
        session.until_idle().await?;
        Ok(session)
    }

    async fn execute(&mut self, sql: &str) -> Result<(), Failure> {
        let mut body = sql.as_bytes().to_vec();
        body.push(0);
        self.stream.write_all(b"Q").await?;
        self.send(&body).await?;
        self.until_idle().await
    }

    async fn until_idle(&mut self) -> Result<(), Failure> {
        while self.receive().await?.0 != b'Z' {}
        Ok(())
    }

    async fn send(&mut self, body: &[u8]) -> Result<(), Failure> {
        let length = i32::try_from(body.len() + 4).map_err(io::Error::other)?;
        self.stream.write_all(&length.to_be_bytes()).await?;
        Ok(self.stream.write_all(body).await?)
    }

    /// One message; an error message becomes an error.
    async fn receive(&mut self) -> Result<(u8, Vec<u8>), Failure> {
        let kind = self.stream.read_u8().await?;
        let length = usize::try_from(self.stream.read_i32().await?).unwrap_or(0).saturating_sub(4);
        if length > LONGEST {
            return Err(unexpected(kind));
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        if kind == b'E' { Err(error_of(&body)) } else { Ok((kind, body)) }
    }
}

fn unexpected(kind: u8) -> Failure {
    let message = format!("an unexpected answer of kind {:?}", char::from(kind));
    Failure::Refused { sqlstate: "08P01".to_owned(), message }
}

/// Fields are a letter and a text that ends with zero: 'C' is the code, 'M' the message.
fn error_of(body: &[u8]) -> Failure {
    let field = |letter: u8| {
        body.split(|byte| *byte == 0)
            .find_map(|field| field.strip_prefix(&[letter]))
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .unwrap_or_default()
    };
    let (sqlstate, message) = (field(b'C'), field(b'M'));
    if sqlstate == STARTING_OR_STOPPING {
        Failure::NotYet(message)
    } else {
        Failure::Refused { sqlstate, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart() {
        let starting = error_of(b"SFATAL\0C57P03\0Mthe database system is starting up\0\0");
        assert!(matches!(starting, Failure::NotYet(message) if message.contains("starting up")));
        let refused = error_of(b"SFATAL\0C28000\0Mno\0\0");
        assert!(
            matches!(refused, Failure::Refused { sqlstate, message } if sqlstate == "28000" && message == "no")
        );
    }
}

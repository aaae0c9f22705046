//! A stored file, read row by row from wherever the job stands. One piece and what is left of the one before are held.

use model::{Error, Errors};
use planner::Payload;
use serde_json::{Value, json};
use sqlx::Row as _;
use uuid::Uuid;

use super::csv;
use super::header::Header;
use super::job::{Format, Job};
use super::json::{self as elements, Place};

/// The largest row, in bytes.
const LARGEST: usize = 8 << 20;
/// Bytes of rows that are written together, more or less.
const BATCH: usize = 2 << 20;

/// Why there is no next row.
#[derive(Debug)]
pub enum Broken {
    /// The file is at fault.
    File(Errors),
    /// It could not be read now.
    Sql(sqlx::Error),
}

impl From<sqlx::Error> for Broken {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

/// Rows that are written together.
#[derive(Debug, Default)]
pub struct Batch {
    pub rows: Vec<Payload>,
    /// Up to where the file was read with them.
    pub end: i64,
    /// There are no more behind them.
    pub last: bool,
}

enum Form {
    /// The header comes first.
    Csv(Option<Header>),
    Json(Place),
}

/// What a look at the buffer has found.
enum Found {
    Row(String, usize),
    Nothing(usize),
    More,
    End,
}

/// A file on its way.
pub struct Rows {
    db: db::Db,
    import: Uuid,
    form: Form,
    buffer: Vec<u8>,
    /// How much of the buffer is read.
    at: usize,
    /// Place of the buffer's first byte in the file.
    first: i64,
    total: i64,
    /// Rows before.
    count: i64,
}

impl Rows {
    /// From the place where the job stands.
    pub async fn open(db: &db::Db, job: &Job) -> Result<Self, Broken> {
        let form = match job.format {
            Format::Csv => Form::Csv(None),
            Format::Json if job.rows > 0 => Form::Json(Place::Behind),
            Format::Json => Form::Json(Place::Start),
        };
        let (buffer, total) = (Vec::new(), job.bytes_total);
        let mut rows =
            Self { db: db.clone(), import: job.id, form, buffer, at: 0, first: 0, total, count: 0 };
        if job.format == Format::Csv || job.bytes == 0 {
            rows.begin().await?;
        }
        if job.bytes > 0 {
            (rows.buffer, rows.at, rows.first) = (Vec::new(), 0, job.bytes);
            rows.count = job.rows;
        }
        Ok(rows)
    }

    /// Behind the mark of the byte order and the header.
    async fn begin(&mut self) -> Result<(), Broken> {
        while self.buffer.len() < 3 && self.fill().await? {}
        if self.buffer.starts_with(b"\xef\xbb\xbf") {
            self.at = 3;
        }
        if matches!(self.form, Form::Json(_)) {
            return Ok(());
        }
        loop {
            let found =
                csv::step(&self.buffer[self.at..], self.is_whole()).map_err(|why| self.malformed(why))?;
            match found {
                csv::Step::Record(names, used) => {
                    let header = Header::new(&names).map_err(|why| self.malformed(&why))?;
                    self.form = Form::Csv(Some(header));
                    self.at += used;
                    return Ok(());
                }
                csv::Step::Blank(used) => self.at += used,
                csv::Step::End => return Ok(()),
                csv::Step::More => _ = self.fill().await?,
            }
        }
    }

    /// The next rows, `most` at most.
    pub async fn batch(&mut self, most: usize) -> Result<Batch, Broken> {
        let mut batch = Batch::default();
        let begun = self.place();
        while batch.rows.len() < most && usize::try_from(self.place() - begun).is_ok_and(|read| read < BATCH)
        {
            let Some(text) = self.next().await? else {
                batch.last = true;
                break;
            };
            let row = serde_json::from_str(&text).map_err(|error| self.malformed(&error.to_string()))?;
            batch.rows.push(row);
        }
        batch.end = self.place();
        Ok(batch)
    }

    /// How many rows there are from here, if no more than `most`.
    pub async fn count(&mut self, most: i64) -> Result<Option<i64>, Broken> {
        let mut count = 0;
        while self.next().await?.is_some() {
            count += 1;
            if count > most {
                return Ok(None);
            }
        }
        Ok(Some(count))
    }

    /// The next row as a JSON object.
    async fn next(&mut self) -> Result<Option<String>, Broken> {
        loop {
            match self.look().map_err(|why| self.malformed(&why))? {
                Found::Row(text, used) => {
                    self.at += used;
                    self.count += 1;
                    return Ok(Some(text));
                }
                Found::Nothing(used) => self.at += used,
                Found::More => _ = self.fill().await?,
                Found::End => return Ok(None),
            }
        }
    }

    fn look(&mut self) -> Result<Found, String> {
        let (rest, last) = (&self.buffer[self.at..], self.is_whole());
        match &mut self.form {
            Form::Csv(None) => Ok(Found::End),
            Form::Csv(Some(header)) => Ok(match csv::step(rest, last)? {
                csv::Step::Record(values, used) => Found::Row(header.item(&values)?, used),
                csv::Step::Blank(used) => Found::Nothing(used),
                csv::Step::More => Found::More,
                csv::Step::End => Found::End,
            }),
            Form::Json(place) => {
                let mut then = *place;
                let found = match elements::step(rest, &mut then, last)? {
                    elements::Step::Element(text, used) => Found::Row(text.to_owned(), used),
                    elements::Step::End => Found::End,
                    elements::Step::More => return Ok(Found::More),
                };
                *place = then;
                Ok(found)
            }
        }
    }

    /// One more piece; false at the end of the file.
    async fn fill(&mut self) -> Result<bool, Broken> {
        const PIECE: &str = "SELECT first, content FROM eventus.import_pieces \
                             WHERE import = $1 AND first <= $2 ORDER BY first DESC LIMIT 1";
        self.buffer.drain(..self.at);
        self.first += i64::try_from(self.at).unwrap_or(i64::MAX);
        self.at = 0;
        if self.is_whole() {
            return Ok(false);
        }
        if self.buffer.len() > LARGEST {
            return Err(self.malformed(&format!("A row is larger than {LARGEST} bytes")));
        }
        let next = self.first + i64::try_from(self.buffer.len()).unwrap_or(i64::MAX);
        let row = sqlx::query(PIECE).bind(self.import).bind(next).fetch_one(&self.db).await?;
        let (first, content): (i64, &[u8]) = (row.try_get("first")?, row.try_get("content")?);
        let skip = usize::try_from(next - first).ok().filter(|skip| *skip < content.len());
        self.buffer.extend_from_slice(&content[skip.ok_or(sqlx::Error::RowNotFound)?..]);
        Ok(true)
    }

    /// The rest of the file is in the buffer.
    fn is_whole(&self) -> bool {
        self.first + i64::try_from(self.buffer.len()).unwrap_or(i64::MAX) >= self.total
    }

    fn place(&self) -> i64 {
        self.first + i64::try_from(self.at).unwrap_or(i64::MAX)
    }

    /// 400: the row behind those that were read can't be.
    fn malformed(&self, why: &str) -> Broken {
        let rows: Value = json!([{"type": "lines", "rows": [self.count + 1]}]);
        Broken::File(Errors(vec![Error::invalid_payload(why).with("rows", rows)]))
    }
}

//! What is wrong with which rows, told as the original tells it: one error for all rows that have it. Pure.

use model::{Error, ErrorCode, Errors};
use serde_json::{Value, json};

/// So many rows in a row are told by the first and the last.
const RANGE: usize = 4;

/// Errors with the numbers of their rows, counted from 1.
#[derive(Debug, Default)]
pub struct Findings {
    /// What was refused before PostgreSQL was asked; then what PostgreSQL refused.
    refused: [Vec<(Error, Vec<i64>)>; 2],
    count: usize,
}

impl Findings {
    /// One more row that can't be written.
    pub fn add(&mut self, row: i64, errors: Errors) {
        for mut error in errors.0 {
            // They say what every row has in common with the others.
            for name in ["path", "collection", "value"] {
                error.extensions.remove(name);
            }
            let known = &mut self.refused[usize::from(is_of_database(error.code))];
            match known.iter_mut().find(|(other, _)| *other == error) {
                Some((_, rows)) => rows.push(row),
                None => known.push((error, vec![row])),
            }
            self.count += 1;
        }
    }

    /// Nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// So many errors of rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// What the client is told: errors that answer to one status. What is forbidden comes alone.
    pub fn errors(self) -> Errors {
        let [mut all, of_database] = self.refused;
        all.extend(of_database);
        let forbidden = all.iter().position(|(error, _)| error.code.status() != 400);
        if let Some(at) = forbidden {
            all = vec![all.swap_remove(at)];
        }
        Errors(all.into_iter().map(|(error, rows)| error.with("rows", numbered(rows))).collect())
    }
}

fn is_of_database(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::RecordNotUnique
            | ErrorCode::InvalidForeignKey
            | ErrorCode::NotNullViolation
            | ErrorCode::ValueTooLong
            | ErrorCode::ValueOutOfRange
    )
}

/// `[{"type":"range","start":5,"end":10},{"type":"lines","rows":[1,12]}]`
fn numbered(mut rows: Vec<i64>) -> Value {
    rows.sort_unstable();
    rows.dedup();
    let (mut told, mut lines) = (Vec::new(), Vec::new());
    for run in rows.chunk_by(|one, next| one + 1 == *next) {
        match run {
            [start, .., end] if run.len() >= RANGE => {
                told.push(json!({"type": "range", "start": start, "end": end}));
            }
            few => lines.extend_from_slice(few),
        }
    }
    if !lines.is_empty() {
        told.push(json!({"type": "lines", "rows": lines}));
    }
    Value::Array(told)
}

#[cfg(test)]
mod tests {
    use model::{Error, ErrorCode};
    use serde_json::json;

    use super::{Findings, numbered};

    #[test]
    fn rows_are_told_as_the_original_tells_them() {
        assert_eq!(numbered(vec![1, 2, 3]), json!([{"type": "lines", "rows": [1, 2, 3]}]));
        assert_eq!(numbered(vec![4, 2, 1, 3]), json!([{"type": "range", "start": 1, "end": 4}]));
        let mixed = numbered(vec![1, 2, 3, 5, 6, 7, 8, 9, 10, 12]);
        assert_eq!(
            mixed,
            json!([{"type": "range", "start": 5, "end": 10}, {"type": "lines", "rows": [1, 2, 3, 12]}])
        );
    }

    #[test]
    fn errors_of_rows_are_gathered() {
        let mut findings = Findings::default();
        let taken = || Error::new(ErrorCode::RecordNotUnique).with("field", "slug").with("value", "x");
        findings.add(1, taken().into());
        findings.add(2, Error::failed_validation("title", "required").into());
        findings.add(3, taken().into());
        assert_eq!(findings.count(), 3);
        let told = findings.errors().0;
        let of = |index: usize| json!([told[index].code.as_str(), told[index].extensions]);
        assert_eq!(
            of(0),
            json!(["FAILED_VALIDATION", {"field": "title", "type": "required", "rows": [{"type": "lines", "rows": [2]}]}])
        );
        assert_eq!(
            of(1),
            json!(["RECORD_NOT_UNIQUE", {"field": "slug", "rows": [{"type": "lines", "rows": [1, 3]}]}])
        );
    }

    #[test]
    fn what_is_forbidden_comes_alone() {
        let mut findings = Findings::default();
        findings.add(1, Error::failed_validation("title", "required").into());
        findings.add(2, Error::forbidden().into());
        let told = findings.errors();
        assert_eq!((told.0.len(), told.status()), (1, 403));
    }
}

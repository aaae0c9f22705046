//! Who reads, what there is to read, and what the dynamic variables stand for.

use access::Access;
use model::{Accountability, Collection, Error, Schema};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::limits::Limits;

/// Who reads, and what there is to read.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// Where fields lead.
    pub schema: &'a Schema,
    /// What may be seen.
    pub access: &'a Access,
    /// What dynamic variables stand for.
    pub variables: &'a Variables,
    /// How much at most.
    pub limits: Limits,
}

impl<'a> Reader<'a> {
    /// A related collection; missing and out of reach are not told apart.
    pub(crate) fn related(&self, name: &str) -> Result<&'a Collection, Error> {
        let found = self.schema.collection(name).filter(|_| self.access.allows(name, access::Action::Read));
        found.map(AsRef::as_ref).ok_or_else(|| Error::forbidden_collection(name))
    }
}

/// What dynamic variables stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variables {
    /// `$NOW`.
    pub now: OffsetDateTime,
    /// `$CURRENT_USER`.
    pub user: Option<Uuid>,
    /// `$CURRENT_ROLE`.
    pub role: Option<Uuid>,
    /// `$CURRENT_ROLES`.
    pub roles: Vec<Uuid>,
    /// `$CURRENT_POLICIES`.
    pub policies: Vec<Uuid>,
}

impl Variables {
    /// Those of one who acts.
    pub fn of(accountability: &Accountability, now: OffsetDateTime) -> Self {
        let Accountability { user, role, roles, policies, .. } = accountability.clone();
        Self { now, user, role, roles, policies }
    }
}

/// A value in a filter that is no plain value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Variable {
    /// An instant, as ISO 8601 in UTC.
    Instant(String),
    /// Ids; of one variable there may be none.
    Ids(Vec<Uuid>),
    /// A field of the items with these ids.
    Of { collection: &'static str, ids: Vec<Uuid>, path: String },
}

impl Variables {
    /// What a text stands for; nothing when it is only a text.
    ///
    /// # Errors
    /// `INVALID_QUERY`: an adjustment that can't be read.
    pub(crate) fn resolve(&self, text: &str) -> Result<Option<Variable>, Error> {
        if !text.starts_with('$') {
            return Ok(None);
        }
        if text == "$NOW" {
            return self.instant(Duration::ZERO).map(Some);
        }
        if let Some(adjustment) = text.strip_prefix("$NOW(").and_then(|rest| rest.strip_suffix(')')) {
            let by = duration(adjustment)
                .ok_or_else(|| Error::invalid_query(format!("\"{text}\" is not a time that can be read")))?;
            return self.instant(by).map(Some);
        }
        let (name, path) = text.split_once('.').map_or((text, None), |(name, path)| (name, Some(path)));
        let one = |id: Option<Uuid>| id.into_iter().collect::<Vec<_>>();
        let (collection, ids) = match name {
            "$CURRENT_USER" => ("directus_users", one(self.user)),
            "$CURRENT_ROLE" => ("directus_roles", one(self.role)),
            "$CURRENT_ROLES" => ("directus_roles", self.roles.clone()),
            "$CURRENT_POLICIES" => ("directus_policies", self.policies.clone()),
            _ => return Ok(None),
        };
        Ok(Some(match path {
            Some(path) => Variable::Of { collection, ids, path: path.to_owned() },
            None => Variable::Ids(ids),
        }))
    }

    fn instant(&self, by: Duration) -> Result<Variable, Error> {
        let at = self.now.checked_add(by).filter(|at| (1..=9999).contains(&at.year()));
        let at = at.and_then(|at| at.format(&Rfc3339).ok());
        at.map(Variable::Instant).ok_or_else(|| Error::invalid_query("\"$NOW\" is adjusted too far"))
    }
}

/// `-1 day`, `+2 hours`, `90 min`, `1.5h`; a bare number counts days.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Duration::ZERO);
    }
    let end = text.find(|c: char| !matches!(c, '+' | '-' | '.' | '0'..='9')).unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let unit = match text[end..].trim().to_ascii_lowercase().as_str() {
        "" | "d" | "day" | "days" => 86_400.0,
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => 0.001,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
        "w" | "week" | "weeks" => 604_800.0,
        "y" | "yr" | "yrs" | "year" | "years" => 31_557_600.0,
        _ => return None,
    };
    let seconds = number * unit;
    (seconds.abs() < 1e12).then(|| Duration::seconds_f64(seconds))
}

#[cfg(test)]
mod tests {
    use time::{Duration, OffsetDateTime};
    use uuid::Uuid;

    use super::{Variable, Variables, duration};

    #[test]
    fn variables_stand_for_values() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let me = Uuid::from_u128(7);
        let variables = Variables { now, user: Some(me), role: None, roles: vec![me], policies: Vec::new() };
        let resolve = |text: &str| variables.resolve(text);
        assert_eq!(resolve("$NOW").unwrap(), Some(Variable::Instant("1970-01-01T00:00:00Z".to_owned())));
        assert_eq!(
            resolve("$NOW(+2 hours)").unwrap(),
            Some(Variable::Instant("1970-01-01T02:00:00Z".to_owned()))
        );
        assert_eq!(resolve("$CURRENT_USER").unwrap(), Some(Variable::Ids(vec![me])));
        assert_eq!(resolve("$CURRENT_ROLE").unwrap(), Some(Variable::Ids(Vec::new())));
        let of = Variable::Of { collection: "directus_users", ids: vec![me], path: "role".to_owned() };
        assert_eq!(resolve("$CURRENT_USER.role").unwrap(), Some(of));
        for plain in ["NOW", "$NOWHERE", "$", "a $NOW"] {
            assert_eq!(resolve(plain).unwrap(), None, "{plain}");
        }
        resolve("$NOW(1 eon)").unwrap_err();
        resolve("$NOW(90000 years)").unwrap_err();
    }

    #[test]
    fn adjustments_are_read() {
        for (text, seconds) in [
            ("-1 day", -86_400),
            ("2", 172_800),
            ("+ 1 h", 0),
            ("1.5h", 5_400),
            ("90 min", 5_400),
            ("1w", 604_800),
        ] {
            let expected = (seconds != 0).then(|| Duration::seconds(seconds));
            assert_eq!(duration(text), expected, "{text}");
        }
    }
}

//! Who reads, what there is to read, and what the dynamic variables stand for.

use access::Access;
use model::{Accountability, Collection, Error, Schema};
use time::format_description::well_known::Rfc3339;
use time::{Date, Duration, Month, OffsetDateTime};
use uuid::Uuid;

use crate::limits::Limits;
use crate::statement::{Builder, Uses};

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
        let Accountability { user, role, roles, policies, .. } = accountability;
        Self { now, user: *user, role: *role, roles: roles.clone(), policies: policies.clone() }
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
    /// What a text stands for; nothing when it is only a text. The statement remembers what it was made with.
    ///
    /// # Errors
    /// `INVALID_QUERY`: an adjustment that can't be read.
    pub(crate) fn resolve(&self, text: &str, b: &mut Builder) -> Result<Option<Variable>, Error> {
        self.stands_for(text, &mut b.uses)
    }

    /// The same, where there is no statement yet.
    pub(crate) fn stands_for(&self, text: &str, uses: &mut Uses) -> Result<Option<Variable>, Error> {
        if let Some(rest) = after_now(text.trim()) {
            let adjustment = match rest {
                "" => Some(""),
                _ => rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')),
            };
            let at = adjustment.and_then(Adjustment::parse).map(|adjustment| adjustment.of(self.now));
            let at =
                at.ok_or_else(|| Error::invalid_query(format!("\"{text}\" is not a time that can be read")))?;
            uses.now = true;
            return instant(at).map(Some);
        }
        if !text.starts_with('$') {
            return Ok(None);
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
        uses.caller = true;
        Ok(Some(match path {
            Some(path) => Variable::Of { collection, ids, path: path.to_owned() },
            None => Variable::Ids(ids),
        }))
    }
}

/// What follows `$NOW` in any spelling; nothing when it is another word.
fn after_now(text: &str) -> Option<&str> {
    let head = text.get(..4)?;
    let rest = &text[4..];
    (head.eq_ignore_ascii_case("$NOW") && (rest.is_empty() || rest.starts_with('('))).then_some(rest)
}

fn instant(at: Option<OffsetDateTime>) -> Result<Variable, Error> {
    let at = at.filter(|at| (1..=9999).contains(&at.year())).and_then(|at| at.format(&Rfc3339).ok());
    at.map(Variable::Instant).ok_or_else(|| Error::invalid_query("\"$NOW\" is adjusted too far"))
}

/// What is added to now.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Adjustment {
    By(Duration),
    /// Months of the calendar: the day stays as far as the month has it.
    Months(i32),
}

impl Adjustment {
    /// `-1 day`, `+2 hours`, `90 min`, `1.5h`, `1 month`; a bare number counts days.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Some(Self::By(Duration::ZERO));
        }
        let end = text.find(|c: char| !matches!(c, '+' | '-' | '.' | '0'..='9')).unwrap_or(text.len());
        let number: f64 = text[..end].parse().ok()?;
        let months = match text[end..].trim().to_ascii_lowercase().as_str() {
            "mo" | "mth" | "month" | "months" => 1.0,
            "y" | "yr" | "yrs" | "year" | "years" => 12.0,
            _ => return duration(number, text[end..].trim()).map(Self::By),
        };
        // The calendar has whole months only.
        #[expect(clippy::cast_possible_truncation, reason = "within what is asked just before")]
        (number.abs() * months < 1e6).then(|| Self::Months((number.trunc() * months) as i32))
    }

    fn of(self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        match self {
            Self::By(duration) => now.checked_add(duration),
            Self::Months(months) => {
                let all = now.year() * 12 + i32::from(u8::from(now.month())) - 1 + months;
                let (year, month) = (all.div_euclid(12), u8::try_from(all.rem_euclid(12) + 1).ok()?);
                let month = Month::try_from(month).ok()?;
                let day = now.day().min(month.length(year));
                Date::from_calendar_date(year, month, day).ok().map(|date| now.replace_date(date))
            }
        }
    }
}

fn duration(number: f64, unit: &str) -> Option<Duration> {
    let unit = match unit.to_ascii_lowercase().as_str() {
        "" | "d" | "day" | "days" => 86_400.0,
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => 0.001,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
        "w" | "week" | "weeks" => 604_800.0,
        _ => return None,
    };
    let seconds = number * unit;
    (seconds.abs() < 1e12).then(|| Duration::seconds_f64(seconds))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use time::{Duration, OffsetDateTime};
    use uuid::Uuid;

    use super::{Adjustment, Variable, Variables};
    use crate::statement::{Builder, Uses};

    #[test]
    fn variables_stand_for_values() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let me = Uuid::from_u128(7);
        let variables = Variables { now, user: Some(me), role: None, roles: vec![me], policies: Vec::new() };
        let resolve = |text: &str| variables.resolve(text, &mut Builder::default());
        assert_eq!(resolve("$NOW").unwrap(), Some(Variable::Instant("1970-01-01T00:00:00Z".to_owned())));
        assert_eq!(
            resolve("$NOW(+2 hours)").unwrap(),
            Some(Variable::Instant("1970-01-01T02:00:00Z".to_owned()))
        );
        assert_eq!(resolve("$CURRENT_USER").unwrap(), Some(Variable::Ids(vec![me])));
        assert_eq!(resolve("$CURRENT_ROLE").unwrap(), Some(Variable::Ids(Vec::new())));
        for now in ["$now", " $NOW ", "$Now()"] {
            assert_eq!(resolve(now).unwrap(), resolve("$NOW").unwrap(), "{now}");
        }
        let of = Variable::Of { collection: "directus_users", ids: vec![me], path: "role".to_owned() };
        assert_eq!(resolve("$CURRENT_USER.role").unwrap(), Some(of));
        for plain in ["NOW", "$NOWHERE", "$", "a $NOW", "$né("] {
            assert_eq!(resolve(plain).unwrap(), None, "{plain}");
        }
        resolve("$NOW(1 eon)").unwrap_err();
        resolve("$NOW(90000 years)").unwrap_err();
        for (text, now, caller) in [
            ("$NOW", true, false),
            ("$NOW(1 day)", true, false),
            ("$CURRENT_ROLES.name", false, true),
            ("x", false, false),
        ] {
            let mut b = Builder::default();
            variables.resolve(text, &mut b).unwrap();
            assert_eq!(b.uses, Uses { now, caller }, "{text}");
        }
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
            let expected = (seconds != 0).then(|| Adjustment::By(Duration::seconds(seconds)));
            assert_eq!(Adjustment::parse(text), expected, "{text}");
        }
        let end = datetime!(2024-03-31 12:00 UTC);
        for (text, expected) in [
            ("-1 month", datetime!(2024-02-29 12:00 UTC)),
            ("+1 mo", datetime!(2024-04-30 12:00 UTC)),
            ("-15 months", datetime!(2022-12-31 12:00 UTC)),
            ("1 year", datetime!(2025-03-31 12:00 UTC)),
        ] {
            assert_eq!(Adjustment::parse(text).and_then(|one| one.of(end)), Some(expected), "{text}");
        }
    }
}

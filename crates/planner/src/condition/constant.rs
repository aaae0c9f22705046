//! Numbers and truth values of rules stand in the statement as they are. A rule's values are the same in every execution, and
//! PostgreSQL keeps one plan for all of them only where it knows as much of a kept plan as of one for these values: with
//! placeholders it plans a list under rules anew each time, which takes longer than to read it.

use model::FieldType;
use serde_json::Value;

use super::Whose;
use super::compare::Subject;

/// Numbers below this, on either side of 0, fit any integer type.
const BELOW: u64 = 1_000_000_000;

/// The value as SQL; nothing where it has to be bound: values of clients, and all texts, whoever wrote them.
pub(super) fn constant(whose: Whose, subject: &Subject<'_>, value: &Value) -> Option<String> {
    if whose == Whose::Client || subject.number {
        return None;
    }
    match (value, subject.field.kind) {
        (Value::Bool(truth), FieldType::Boolean) => Some(truth.to_string()),
        (Value::Number(number), FieldType::Integer | FieldType::BigInteger) => {
            let number = number.as_i64().filter(|number| number.unsigned_abs() < BELOW)?;
            Some(format!("({number})::{}", subject.cast))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use access::{Access, Action, Fields, Rule};
    use query::Query;

    use crate::plan_read;
    use crate::reader::Reader;
    use crate::shape::tests::articles;
    use crate::snapshots::admin;

    /// The statement and its bindings of a list whose filter is the client's, or the rule of the one who asks.
    fn read(filter: &str, is_rule: bool) -> (String, String) {
        let asked = Query::from_query_string(&format!("fields=id&filter={filter}")).unwrap();
        let rule = Rule::new("articles", Action::Read, asked.filter.clone(), Fields::All);
        let access = Access::by([rule]);
        let (asked, reader) = match is_rule {
            true => (Query::from_query_string("fields=id").unwrap(), Reader { access: &access, ..admin() }),
            false => (asked, admin()),
        };
        let statement = plan_read(&asked, &articles(), reader).unwrap().statement;
        (statement.sql.to_string(), format!("{:?}", statement.bindings))
    }

    #[test]
    fn numbers_and_truth_values_of_rules_only_are_no_bindings() {
        for (filter, stands) in [
            (r#"{"words":{"_gt":5}}"#, r#""words" > (5)::integer"#),
            (r#"{"words":{"_eq":-7}}"#, r#""words" = (-7)::integer"#),
            (
                r#"{"words":{"_between":[1,999999999]}}"#,
                r#""words" BETWEEN (1)::integer AND (999999999)::integer"#,
            ),
            (r#"{"active":{"_eq":true}}"#, r#""active" = true"#),
        ] {
            let (sql, bound) = read(filter, true);
            assert!(sql.contains(stands), "{filter}: {sql}");
            assert_eq!(bound, "[]", "{filter}");
            let (sql, bound) = read(filter, false);
            assert!(!sql.contains(stands) && bound != "[]", "{filter}: {sql}");
        }
        for filter in [
            r#"{"words":{"_gt":"5"}}"#,
            r#"{"words":{"_gt":1000000000}}"#,
            r#"{"title":{"_eq":"x"}}"#,
            r#"{"title":{"_eq":5}}"#,
            r#"{"price":{"_eq":5}}"#,
            r#"{"year(published_at)":{"_eq":2026}}"#,
        ] {
            assert_ne!(read(filter, true).1, "[]", "{filter}");
        }
    }
}

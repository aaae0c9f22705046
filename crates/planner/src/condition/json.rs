//! `_json`: a value inside json compared with another one. The path is a binding, as is the value.

use model::{Error, Field, FieldType, Operator};
use serde_json::Value;

use super::Conditions;
use super::compare::Subject;
use super::fits::unfit;
use crate::column::answer_value;
use crate::statement::{Binding, Builder};

impl Conditions<'_> {
    /// What is a number inside the json is compared as one, where the value reads as a number; all else as texts.
    pub(super) fn inside(
        &self,
        field: &Field,
        path: &str,
        operator: Operator,
        value: &Value,
        b: &mut Builder,
    ) -> Result<String, Error> {
        if field.kind != FieldType::Json || field.is_concealed() {
            return Err(unfit(field.kind.as_str(), Operator::Json));
        }
        if operator.takes_object() || matches!(operator, Operator::Ieq | Operator::Nieq) {
            return Err(unfit(field.kind.as_str(), operator));
        }
        let steps = query::json_steps(path).into_iter().map(|step| Some(step.to_owned())).collect();
        let steps = b.bind(Binding::Texts(steps));
        let held = answer_value(field, self.source);
        let held = self.reader.masked(field, self.collection, self.source, held, b);
        let whole = format!("({held})::json");
        let shown = format!("({whole} #>> {steps}::text[])");
        let text = Field {
            kind: FieldType::Text,
            column_type: "text".to_owned(),
            special: Vec::new(),
            ..field.clone()
        };
        let of =
            |sql: String, cast: &str, number| Subject { sql, cast: cast.to_owned(), field: &text, number };
        let as_text = self.compared(&of(shown.clone(), "text", false), operator, value, b)?;
        if !is_ordered(operator) || !are_numbers(value) {
            return Ok(as_text);
        }
        let number = of(format!("{shown}::numeric"), "numeric", true);
        let as_number = self.compared(&number, operator, value, b)?;
        let kind = format!("json_typeof({whole} #> {steps}::text[])");
        Ok(format!("CASE WHEN {kind} = 'number' THEN {as_number} ELSE {as_text} END"))
    }
}

/// Numbers are told from texts by it.
fn is_ordered(operator: Operator) -> bool {
    use Operator as O;
    matches!(
        operator,
        O::Eq | O::Neq | O::Lt | O::Lte | O::Gt | O::Gte | O::In | O::Nin | O::Between | O::Nbetween
    )
}

fn are_numbers(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::String(text) => {
            text.len() < 30
                && text.starts_with(|c: char| matches!(c, '-' | '+' | '.' | '0'..='9'))
                && text.parse::<f64>().is_ok_and(f64::is_finite)
        }
        Value::Array(values) => !values.is_empty() && values.iter().all(are_numbers),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::plan_read;
    use crate::shape::tests::articles;
    use crate::snapshots::{admin, query, shown};

    fn read(text: &str) -> String {
        shown(&plan_read(&query(text), &articles(), admin()).unwrap().statement)
    }

    #[test]
    fn values_inside_json_are_compared_by_bindings() {
        insta::assert_snapshot!(read(
            r#"fields=id&filter={"meta":{"_json":{"a.b[0]":{"_gt":5},"c'd":"x"}}}"#
        ));
        insta::assert_snapshot!(read(
            r#"fields=id&filter={"meta":{"_json":{"_or":[{"a":{"_in":[1,2]}},{"a":{"b":{"_null":true}}},{"c":{"_icontains":"X%"}}]}}}"#
        ));
        for (filter, said) in [
            (r#"{"title":{"_json":{"a":1}}}"#, "\"string\" field type does not contain the \"_json\""),
            (r#"{"token":{"_json":{"a":1}}}"#, "\"string\" field type does not contain the \"_json\""),
            (r#"{"meta":{"_json":5}}"#, "\"_json\" has to be an object of paths"),
            (r#"{"meta":{"_json":{"$.a":1}}}"#, "no path inside"),
            (r#"{"meta":{"_json":{"a[*]":1}}}"#, "no path inside"),
            (r#"{"meta":{"_json":{"a.b.c.d.e.f.g.h.i.j.k":1}}}"#, "no path inside"),
            (r#"{"meta":{"_json":{"a":{"_nope":1}}}}"#, "does not contain the \"_nope\""),
            (r#"{"meta":{"_json":{"a":{"_intersects":{}}}}}"#, "does not contain the \"_intersects\""),
            (r#"{"json(meta,a)":1}"#, "permission to access field"),
        ] {
            let error = query::Query::from_query_string(&format!("filter={filter}"))
                .and_then(|query| plan_read(&query, &articles(), admin()))
                .unwrap_err();
            assert!(error.message.contains(said), "{filter}: {}", error.message);
        }
    }
}

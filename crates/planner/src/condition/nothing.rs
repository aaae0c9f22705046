//! Whether a filter holds of an item that is not there.
//!
//! The original joins related items from the outside: where there is none, a row of nulls stands for it.

use model::{Collection, Filter, Function, Link, Operator, Quantifier, Schema};
use serde_json::Value;

use super::compare::truth;

/// Holds of an item whose every field is null, and that nobody refers to.
pub(super) fn holds(filter: &Filter, collection: &Collection, schema: &Schema) -> bool {
    match filter {
        Filter::And(parts) => parts.iter().all(|part| holds(part, collection, schema)),
        Filter::Or(parts) => parts.is_empty() || parts.iter().any(|part| holds(part, collection, schema)),
        Filter::Compare { field, function: Some(Function::Count), operator, value } => {
            let listed =
                collection.field(field).is_some_and(|field| matches!(field.link, Some(Link::Many { .. })));
            if listed { holds_of_zero(*operator, value) } else { holds_of_null(*operator, value) }
        }
        Filter::Compare { operator, value, .. } => holds_of_null(*operator, value),
        Filter::Related { field, scope, quantifier: Quantifier::Any, filter } => {
            let link = collection.field(field).and_then(|field| field.link.as_ref());
            let below = match link {
                Some(Link::One { collection } | Link::Many { collection, .. }) => Some(collection),
                _ => scope.as_ref(),
            };
            below.and_then(|name| schema.collection(name)).is_some_and(|below| holds(filter, below, schema))
        }
        Filter::Related { quantifier, .. } => *quantifier == Quantifier::None,
    }
}

fn holds_of_null(operator: Operator, value: &Value) -> bool {
    match operator {
        Operator::Null | Operator::Empty => truth(value),
        Operator::Nnull | Operator::Nempty => !truth(value),
        _ => false,
    }
}

/// How many refer to nothing is no null but 0.
fn holds_of_zero(operator: Operator, value: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::String(text) => text.trim().parse::<f64>().ok(),
        _ => value.as_f64(),
    };
    let list: Vec<f64> = value.as_array().into_iter().flatten().filter_map(number).collect();
    let compared = number(value).map(|number| 0.0_f64.total_cmp(&(number + 0.0)));
    let within = matches!(list.as_slice(), [low, high] if *low <= 0.0 && *high >= 0.0);
    match operator {
        Operator::Eq => compared.is_some_and(std::cmp::Ordering::is_eq),
        Operator::Neq => compared.is_some_and(std::cmp::Ordering::is_ne),
        Operator::Lt => compared.is_some_and(std::cmp::Ordering::is_lt),
        Operator::Lte => compared.is_some_and(std::cmp::Ordering::is_le),
        Operator::Gt => compared.is_some_and(std::cmp::Ordering::is_gt),
        Operator::Gte => compared.is_some_and(std::cmp::Ordering::is_ge),
        Operator::In => list.contains(&0.0),
        Operator::Nin => !list.contains(&0.0),
        Operator::Between => within,
        Operator::Nbetween => list.len() == 2 && !within,
        Operator::Null => !truth(value),
        Operator::Nnull => truth(value),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use model::Filter;
    use serde_json::json;

    use super::holds;
    use crate::shape::tests::shop;

    #[test]
    fn filters_hold_of_what_is_not_there() {
        let schema = shop();
        let authors = schema.collection("authors").unwrap();
        for (conditions, expected) in [
            (json!({ "name": { "_null": true } }), true),
            (json!({ "name": { "_neq": "x" } }), false),
            (json!({ "count(posts)": { "_eq": 0 } }), true),
            (json!({ "count(posts)": { "_neq": "3" } }), true),
            (json!({ "count(posts)": { "_gt": 0 } }), false),
            (json!({ "count(posts)": { "_between": [-1, 4] } }), true),
            (json!({ "count(posts)": { "_nin": [0, 1] } }), false),
            (json!({ "posts": { "parent": { "_null": true } } }), true),
            (json!({ "posts": { "parent": { "count(tags)": { "_lt": 1 } } } }), true),
            (json!({ "posts": { "_none": { "title": "x" } } }), true),
            (json!({ "posts": { "_some": { "title": { "_null": true } } } }), false),
            (json!({ "_or": [{ "name": "x" }, { "name": { "_empty": true } }] }), true),
        ] {
            let query = query::Query::from_json(&json!({ "filter": conditions })).unwrap();
            let filter: Filter = query.filter.unwrap();
            assert_eq!(holds(&filter, authors, &schema), expected, "{conditions}");
        }
    }
}

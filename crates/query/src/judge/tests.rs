use model::Filter;
use serde_json::{Map, Value, json};

use super::{Item, Judge};
use crate::rule::read_rule;

fn rule(value: &Value) -> Filter {
    read_rule(value).unwrap_or(Filter::And(Vec::new()))
}

fn told(rule_value: &Value, sent: &Value, held: &Value) -> Vec<String> {
    let map = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (sent, held): (Map<_, _>, Map<_, _>) = (map(sent), map(held));
    let failures =
        Judge::default().failures(&rule(rule_value), Item { sent: &sent, held: &held, whole: true });
    failures
        .iter()
        .map(|failure| {
            let error = failure.error(false);
            format!("{} {}", error.message, Value::Object(error.extensions))
        })
        .collect()
}

/// Each operator with values that fit and values that don't, as a live original judged them (`original.jsonl`: rule,
/// value, what it said; nothing means that it was taken).
#[test]
fn every_operator_judges_as_the_original() {
    let mut compared = 0;
    for line in include_str!("original.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let mut operator = Map::new();
        operator.insert(case["operator"].as_str().unwrap().to_owned(), case["rule"].clone());
        let said = told(&json!({"_and": [{"f": operator}]}), &json!({"f": case["value"]}), &Value::Null);
        let expected: Vec<String> = case["said"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| format!("{} {}", error["message"].as_str().unwrap(), error["extensions"]))
            .collect();
        assert_eq!(said, expected, "{line}");
        compared += 1;
    }
    assert!(compared > 140, "{compared}");
}

#[test]
fn what_is_unlike_the_original() {
    let refused =
        |rule: Value, value: Value| !told(&json!({"f": rule}), &json!({"f": value}), &Value::Null).is_empty();
    // Taken for granted there: an empty list, operators that it does not know, the value of a flag.
    assert!(refused(json!({"_in": []}), json!("a")));
    assert!(refused(json!({"_foo": 1}), json!("a")));
    assert!(refused(json!({"_json": {"a": {"_eq": 1}}}), json!({"a": 1})));
    assert!(refused(json!({"_nicontains": "ELL"}), json!("hello")));
    assert!(refused(json!({"_ieq": "x"}), json!("y")) && !refused(json!({"_ieq": "x"}), json!("X")));
    assert!(!refused(json!({"_null": false}), json!("x")) && refused(json!({"_nnull": false}), json!("x")));
    assert!(!refused(json!({"_empty": false}), json!("x")) && refused(json!({"_nempty": false}), json!("x")));
    // Never true there: what lies outside of two bounds.
    assert!(
        !refused(json!({"_nbetween": [2, 4]}), json!(1)) && refused(json!({"_nbetween": [2, 4]}), json!(3))
    );
    // 500 there.
    assert!(refused(json!({"_contains": "x"}), json!(null)));
    assert!(refused(json!({"_gt": "abc"}), json!("abd")));
    assert!(refused(json!({"_between": [2]}), json!(3)));
    assert!(refused(json!({"_regex": "("}), json!("a")));
}

#[test]
fn fields_that_were_not_sent_are_judged_by_what_they_hold() {
    let live = json!({"status": {"_eq": "live"}});
    let count = |rule: &Value, sent: Value, held: Value| told(rule, &sent, &held).len();
    assert_eq!(count(&live, json!({}), json!({"status": "draft"})), 1);
    assert_eq!(count(&live, json!({}), json!({"status": "live"})), 0);
    assert_eq!(count(&live, json!({"status": "live"}), json!({"status": "draft"})), 0);
    assert_eq!(count(&live, json!({"status": null}), json!({"status": "live"})), 1);
    // Nothing is known, or nothing is there.
    assert_eq!(count(&live, json!({}), json!({})), 0);
    assert_eq!(count(&live, json!({}), json!({"status": null})), 0);
    let there = json!({"status": {"_nnull": true}});
    assert_eq!(count(&there, json!({}), json!({"status": null})), 1);
    assert_eq!(count(&there, json!({}), json!({})), 0);
    let sent = json!({"status": {"_submitted": true}});
    assert_eq!(count(&sent, json!({}), json!({"status": "live"})), 1);
    assert_eq!(count(&sent, json!({"status": null}), json!({})), 0);
    let either = json!({"_or": [{"status": {"_neq": "live"}}, {"reviewer": {"_nnull": true}}]});
    assert_eq!(count(&either, json!({"status": "live"}), json!({"reviewer": null})), 2);
    assert_eq!(count(&either, json!({"status": "live"}), json!({"reviewer": 7})), 0);
    assert_eq!(count(&json!({"f": {"_foo": 1}}), json!({}), json!({})), 1);
}

#[test]
fn values_within_nested_items_are_judged_where_they_are_sent() {
    let rule = json!({"author": {"name": {"_eq": "Ann"}}});
    assert_eq!(told(&rule, &json!({}), &Value::Null).len(), 0);
    let key = told(&rule, &json!({"author": 3}), &Value::Null);
    assert_eq!(
        key,
        [
            r#"Validation failed for field "author". Value is required. {"field":"author","path":[],"type":"required"}"#
        ]
    );
    assert_eq!(told(&rule, &json!({"author": {"name": "Ann"}}), &Value::Null).len(), 0);
    let bob = told(&rule, &json!({"author": {"name": "Bob"}}), &Value::Null);
    assert!(bob[0].contains(r#""path":["author"]"#), "{bob:?}");
}

#[test]
fn logic_is_as_in_filters() {
    let e = json!({"_and": [{"_or": [{"e": {"_lt": 1}}, {"e": {"_gt": 9}}]}, {"e": {"_neq": 50}}]});
    let count = |value: i64| told(&e, &json!({"e": value}), &Value::Null).len();
    assert_eq!([count(5), count(50), count(10), count(0)], [2, 1, 0, 0]);
    for nothing in [json!({}), json!({"_and": []}), json!({"_or": []})] {
        assert!(told(&nothing, &json!({"e": 1}), &Value::Null).is_empty());
    }
    let below = json!({"n": {"_and": [{"_gt": 1}, {"_lt": 5}]}});
    assert_eq!(told(&below, &json!({"n": "9"}), &Value::Null).len(), 1);
    let broken =
        [json!({"_and": 5}), json!({"_or": [1]}), json!({"a.b": {"_eq": 1}}), json!({"year(a)": {"_eq": 1}})];
    for rule in broken {
        assert_eq!(told(&rule, &json!({"e": 1}), &Value::Null).len(), 1, "{rule}");
    }
}

proptest::proptest! {
    #[test]
    fn no_rule_and_no_value_makes_it_fail(pattern in ".{0,20}", text in ".{0,20}", number in proptest::num::f64::ANY) {
        for operator in ["_regex", "_contains", "_eq", "_lt", "_between", "_in", "_ends_with"] {
            let rule = json!({"f": {operator: pattern}});
            told(&rule, &json!({"f": text}), &Value::Null);
            told(&rule, &json!({"f": number}), &Value::Null);
        }
    }
}

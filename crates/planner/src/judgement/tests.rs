use access::{Access, Action, Fields, Rule};
use model::{Collection, Filter, Schema};
use serde_json::{Value, json};

use super::{Judgement, Known, look_ups, plan_held};
use crate::parse_payloads;
use crate::reader::Reader;
use crate::shape::tests::{articles, notes};
use crate::snapshots::{admin, shown, stamp};

fn rule(value: Value) -> Option<Box<Filter>> {
    query::read_rule(&value).map(Box::new)
}

/// Articles whose fields have rules of their own.
fn judged() -> Collection {
    let mut collection = articles();
    for field in &mut collection.fields {
        field.validation = match field.name.as_str() {
            "title" => rule(json!({"title": {"_regex": "^[A-Z]"}})),
            "words" => rule(json!({"_and": [{"words": {"_gt": 0}}, {"title": {"_neq": "X"}}]})),
            "token" => rule(json!({"token": {"_regex": "^.{8,}$"}})),
            // What can't be judged is only in the way of those who send it.
            "views" => rule(json!({"views": {"_foo": 1}})),
            _ => None,
        };
    }
    collection
}

fn told(collection: &Collection, access: &Access, action: Action, body: &str) -> Vec<String> {
    let (mut payloads, _) = parse_payloads(body.as_bytes()).unwrap();
    let reader = Reader { access, ..admin() };
    let mut judgement = Judgement::new(collection, reader, action, &Known::default());
    match judgement.admit(&mut payloads, &stamp()) {
        Ok(()) => Vec::new(),
        Err(errors) => errors
            .0
            .into_iter()
            .map(|error| format!("{:?} {} {}", error.code, error.message, Value::Object(error.extensions)))
            .collect(),
    }
}

#[test]
fn failures_come_in_the_order_of_the_fields() {
    let all = Access::admin();
    let collection = judged();
    let bodies = [
        (Action::Create, "{}"),
        (Action::Create, r#"{"title":null}"#),
        (Action::Create, r#"{"title":"x","words":-1,"token":"short"}"#),
        (Action::Create, r#"{"title":"X","words":5}"#),
        (Action::Create, r#"{"title":"Good","words":5,"id":null}"#),
        (Action::Create, r#"[{"title":"Good"},{"title":"bad"},{}]"#),
        (Action::Create, r#"{"title":"Good","unknown":1,"words":"7"}"#),
        (Action::Update, "{}"),
        (Action::Update, r#"{"title":null,"words":0}"#),
        (Action::Update, r#"{"words":3}"#),
        (Action::Update, r#"{"views":3}"#),
    ];
    let lines = bodies.map(|(action, body)| {
        format!("{action:?} {body}\n  {}", told(&collection, &all, action, body).join("\n  "))
    });
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn fields_out_of_reach_are_not_sent() {
    let fields = Fields::Named(["title".to_owned()].into());
    let access = Access::by([
        Rule::new("articles", Action::Create, None, fields.clone()),
        Rule::new("articles", Action::Update, None, fields),
    ]);
    let refused = |action: Action, body: &str| told(&articles(), &access, action, body).concat();
    assert_eq!(refused(Action::Create, r#"{"title":"x"}"#), "");
    for body in [r#"{"title":"x","words":1}"#, r#"{"title":"x","nope":1}"#, r#"{"title":"x","id":7}"#] {
        assert!(refused(Action::Create, body).starts_with("Forbidden"), "{body}");
    }
    // A change names its item.
    assert_eq!(refused(Action::Update, r#"{"id":7,"title":"x"}"#), "");
    assert!(refused(Action::Update, r#"{"id":7,"words":1}"#).starts_with("Forbidden"));
}

#[test]
fn present_items_are_read_only_where_a_rule_looks_at_them() {
    let validation = query::read_rule(&json!({"_or": [{"status": {"_neq": "live"}}, {"words": {"_gt": 5}}]}));
    let all = Rule { validation, ..Rule::new("articles", Action::Update, None, Fields::All) };
    let access = Access::by([all]);
    let reader = Reader { access: &access, ..admin() };
    let collection = articles();
    let judgement = Judgement::new(&collection, reader, Action::Update, &Known::default());
    let looks_at = |body: &str| {
        let (payloads, _) = parse_payloads(body.as_bytes()).unwrap();
        judgement.looks_at(&payloads).iter().map(|field| field.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(looks_at(r#"{"title":"x"}"#), ["status", "words"]);
    assert_eq!(looks_at(r#"{"status":"x"}"#), ["words"]);
    assert_eq!(looks_at(r#"[{"status":"x","words":1},{"words":1}]"#), ["status"]);
    assert!(looks_at(r#"{"status":"x","words":null}"#).is_empty());
    let (payloads, _) = parse_payloads(br#"{"title":"x"}"#).unwrap();
    let fields = judgement.looks_at(&payloads);
    let keys = ["2".to_owned(), "1".to_owned()];
    insta::assert_snapshot!(shown(&plan_held(&keys, &fields, None, &collection, reader).unwrap()));
    let nobody = Reader { access: &Access::none(), ..admin() };
    plan_held(&keys, &fields, None, &collection, nobody).unwrap_err();
}

#[test]
fn only_paths_of_variables_are_looked_up() {
    let validation =
        query::read_rule(&json!({"title": {"_in": ["$CURRENT_USER.body", "$CURRENT_USER", "$NOW"]}}));
    let presets =
        json!({"status": "$CURRENT_USER.body", "title": "$CURRENT_ROLE.name", "words": "$CURRENT_USER.nope"});
    let presets = presets.as_object().unwrap().clone();
    let all = Rule { validation, presets, ..Rule::new("articles", Action::Create, None, Fields::All) };
    let access = Access::by([all]);
    let users = Collection { name: "directus_users".to_owned(), ..notes() };
    let collections = [(users.name.clone(), users.into())].into();
    let schema = Schema { version: 1, collections, ..Schema::default() };
    let reader = Reader { access: &access, schema: &schema, ..admin() };
    let found = look_ups(&articles(), reader, Action::Create);
    // The same text twice is one; there is no role, and no such field.
    assert_eq!(found.len(), 1);
    insta::assert_snapshot!(shown(&found[0].statement));
    assert!(look_ups(&articles(), reader, Action::Update).is_empty());
}

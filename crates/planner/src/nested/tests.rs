//! Payloads with others in them, taken apart; and the statements that only nested writes have.

use access::{Access, Action};
use model::ErrorCode;
use uuid::Uuid;

use super::{Split, is_nested, own_key, split};
use crate::payload::{Payload, parse_payloads};
use crate::snapshots::{admin, shown};
use crate::{
    Appended, CreateNeeds, UpdateChange, plan_append, plan_children, plan_create_unlogged, plan_present,
    plan_update_unlogged,
};

fn payload(body: &str) -> Payload {
    parse_payloads(body.as_bytes()).unwrap().0.remove(0)
}

fn apart(collection: &str, body: &str) -> Result<Split, model::Error> {
    let schema = admin().schema;
    let everything = Access::admin();
    split(payload(body), schema.collection(collection).unwrap(), schema, (&everything, Action::Create))
}

#[test]
fn payloads_are_taken_apart() {
    let post = r#"{"title":"a","author":{"name":"n"},"parent":7,"tags":[1,{"tags_id":{"name":"t"}}],
        "children":{"create":[{"title":"c"}],"update":[{"id":"3","title":"d"}],"delete":[4]},"blocks":null}"#;
    insta::assert_debug_snapshot!(apart("posts", post).unwrap());
    let block = r#"{"collection":"headings","item":{"text":"h"}}"#;
    insta::assert_debug_snapshot!(apart("posts_blocks", block).unwrap());
    let plain = payload(r#"{"title":"a","author":7,"unknown":{"a":1}}"#);
    assert!(!is_nested(&plain, admin().schema.collection("posts").unwrap()));
}

#[test]
fn what_has_no_meaning_is_refused() {
    for (collection, body, code) in [
        ("posts", r#"{"tags":5}"#, ErrorCode::InvalidPayload),
        ("posts", r#"{"tags":"x"}"#, ErrorCode::InvalidPayload),
        ("posts", r#"{"tags":true}"#, ErrorCode::InvalidPayload),
        ("posts", r#"{"tags":[null]}"#, ErrorCode::InvalidPayload),
        ("posts", r#"{"tags":[[1]]}"#, ErrorCode::InvalidPayload),
        ("posts", r#"{"tags":["x"]}"#, ErrorCode::Forbidden),
        ("posts", r#"{"tags":{"other":[]}}"#, ErrorCode::InvalidPayload),
        ("posts", r#"{"tags":{"create":{}}}"#, ErrorCode::InvalidPayload),
        ("posts", r#"{"tags":{"update":[{"tags_id":1}]}}"#, ErrorCode::InvalidPayload),
        ("posts", r#"{"tags":{"delete":[{"id":1}]}}"#, ErrorCode::InvalidPayload),
        ("posts_blocks", r#"{"item":{"text":"h"}}"#, ErrorCode::InvalidPayload),
        ("posts_blocks", r#"{"item":{"text":"h"},"collection":"authors"}"#, ErrorCode::InvalidPayload),
    ] {
        assert_eq!(apart(collection, body).unwrap_err().code, code, "{body}");
    }
    let none = Access::none();
    let posts = admin().schema.collection("posts").unwrap();
    let refused = split(payload(r#"{"tags":[]}"#), posts, admin().schema, (&none, Action::Update));
    assert_eq!(refused.unwrap_err().code, ErrorCode::Forbidden);
}

#[test]
fn items_name_themselves_by_their_key() {
    let posts = admin().schema.collection("posts").unwrap();
    let key = |body: &str| own_key(&payload(body), posts).map_err(|error| error.code);
    assert_eq!(key(r#"{"id":"007"}"#), Ok(Some("7".to_owned())));
    assert_eq!(key(r#"{"id":7}"#), Ok(Some("7".to_owned())));
    for none in ["{}", r#"{"id":null}"#, r#"{"id":""}"#] {
        assert_eq!(key(none), Ok(None), "{none}");
    }
    for bad in [r#"{"id":{}}"#, r#"{"id":1.5}"#, r#"{"id":"x"}"#, r#"{"id":true}"#] {
        assert_eq!(key(bad), Err(ErrorCode::Forbidden), "{bad}");
    }
}

#[test]
fn statements_of_a_nested_write() {
    let reader = admin();
    let posts = reader.schema.collection("posts").unwrap();
    let stamp = crate::snapshots::stamp();
    let needs = CreateNeeds { event_ids: &[], fresh_keys: &[] };
    let create = |body: &str| {
        let (payloads, _) = parse_payloads(body.as_bytes()).unwrap();
        plan_create_unlogged(&payloads, &needs, posts, reader.access, &stamp).unwrap()
    };
    insta::assert_snapshot!(shown(&create(r#"[{"title":"a"},{"title":"b","author":"2"}]"#)));
    insta::assert_snapshot!(shown(&create(r#"[{"title":"a"},{"id":9}]"#)));
    let keys = ["1".to_owned(), "2".to_owned()];
    let update = |body: &str, touched| {
        let (payloads, _) = parse_payloads(body.as_bytes()).unwrap();
        let (keys, payloads) = (&keys[..], &payloads[..]);
        let change = UpdateChange { keys, payloads, event_ids: &[], filter: None };
        plan_update_unlogged(&change, touched, posts, reader, &stamp).unwrap()
    };
    let change = update(r#"[{"title":"a"},{"title":"b"}]"#, false).unwrap();
    assert_eq!(change.fields, ["title"]);
    insta::assert_snapshot!(shown(&change.statement));
    insta::assert_snapshot!(shown(&update("{}", true).unwrap().statement));
    assert!(update("{}", false).is_none());
    insta::assert_snapshot!(shown(&plan_present(&keys, posts).unwrap()));
    insta::assert_snapshot!(shown(&plan_children(posts, ("parent", Some("price")), &keys, reader).unwrap()));
    let event = Appended {
        id: Uuid::from_u128(1),
        name: "items.update".to_owned(),
        collection: "posts".to_owned(),
        key: "1".to_owned(),
        version: 2,
        payload: Some(r#"{"title":"a"}"#.to_owned()),
        previous: Some(r#"{"title":"b"}"#.to_owned()),
        fields: Some(vec!["title".to_owned()]),
        causation_id: Some(Uuid::from_u128(2)),
        depth: 1,
    };
    insta::assert_snapshot!(shown(&plan_append(&[event], &stamp.further(5))));
}

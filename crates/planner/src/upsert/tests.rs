//! Upserts and sorting by hand, as snapshots.

use model::{Collection, ErrorCode, Errors};

use crate::shape::tests::articles;
use crate::snapshots::{admin, query, shown};
use crate::{Statement, parse_payloads, plan_agreeing, plan_order, plan_places, plan_read_ordered};

fn agreeing(body: &str, fields: &[&str]) -> Result<Statement, Errors> {
    let (payloads, _) = parse_payloads(body.as_bytes()).unwrap();
    let articles = articles();
    let fields: Vec<_> = fields.iter().map(|name| articles.field(name).unwrap()).collect();
    plan_agreeing(&payloads, &fields, &articles)
}

#[test]
fn payloads_agree_by_typed_values() {
    let body = r#"[{"title":"a'","price":"1.0"},{"title":"b"},{"price":2}]"#;
    insta::assert_snapshot!(shown(&agreeing(body, &["title", "price"]).unwrap()));
    assert_eq!(agreeing(r#"{"id":"x"}"#, &["id"]).unwrap_err().0[0].code, ErrorCode::InvalidPayload);
}

#[test]
fn answers_follow_the_payloads() {
    let keys = ["3".to_owned(), "1".to_owned()];
    let plan = plan_read_ordered(&keys, &query("fields=id,title"), &articles(), admin());
    insta::assert_snapshot!(shown(&plan.unwrap()));
}

#[test]
fn places_and_what_stands_between_them() {
    let sorted = Collection { sort_field: Some("words".to_owned()), ..articles() };
    insta::assert_snapshot!(shown(&plan_places("1", "2", &sorted, admin()).unwrap()));
    insta::assert_snapshot!(shown(&plan_order(Some((2, 5)), &sorted).unwrap()));
    insta::assert_snapshot!(shown(&plan_order(None, &sorted).unwrap()));
    assert_eq!(plan_places("x", "2", &sorted, admin()).unwrap_err().code, ErrorCode::Forbidden);
    let by_text = Collection { sort_field: Some("title".to_owned()), ..articles() };
    for unsorted in [Collection { sort_field: None, ..articles() }, by_text] {
        assert_eq!(plan_places("1", "2", &unsorted, admin()).unwrap_err().code, ErrorCode::InvalidPayload);
    }
}

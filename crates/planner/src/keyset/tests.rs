//! Pages by place -> SQL, as snapshots.

use std::sync::LazyLock;

use access::{Access, Action};
use model::{ErrorCode, Schema};
use query::Query;
use time::OffsetDateTime;

use super::{Place, plan_page};
use crate::shape::tests::shop;
use crate::{Reader, Statement, Variables, plan_estimate, plan_keys};

static ADMIN: Access = Access::admin();
static SHOP: LazyLock<Schema> = LazyLock::new(shop);
static VARIABLES: LazyLock<Variables> = LazyLock::new(|| Variables {
    now: OffsetDateTime::UNIX_EPOCH,
    user: None,
    role: None,
    roles: Vec::new(),
    policies: Vec::new(),
});

fn admin() -> Reader<'static> {
    Reader { schema: &SHOP, access: &ADMIN, variables: &VARIABLES, limits: crate::Limits::default() }
}

fn query(text: &str) -> Query {
    Query::from_query_string(text).unwrap()
}

fn shown(statement: &Statement) -> String {
    format!("{}\n{:?}", statement.sql, statement.bindings)
}

/// A page of the posts behind a place, or the first one.
fn page(text: &str, place: &[Option<&str>]) -> String {
    let place: Place = place.iter().map(|value| value.map(str::to_owned)).collect();
    let after = (!place.is_empty()).then_some(&place);
    match plan_page(&query(text), SHOP.collection("posts").unwrap(), admin(), after) {
        Ok(plan) => shown(&plan.statement),
        Err(error) => format!("{:?} {}", error.code, error.message),
    }
}

#[test]
fn one_way_and_no_nulls_is_a_comparison_of_rows() {
    insta::assert_snapshot!(page("fields=id,title&sort=title&limit=2&cursor=", &[]));
    insta::assert_snapshot!(page("fields=id&cursor=x&limit=5", &[Some("7")]));
    insta::assert_snapshot!(page("fields=id&sort=-id&cursor=x&limit=5", &[Some("7")]));
    insta::assert_snapshot!(page("fields=id&limit=-1&cursor=", &[]));
}

#[test]
fn nulls_and_both_ways_are_a_chain() {
    insta::assert_snapshot!(page(
        "fields=id&sort=-at,price&cursor=x",
        &[Some("2026-01-02T03:04:05.123456+00:00"), Some("1.50"), Some("7")]
    ));
    insta::assert_snapshot!(page("fields=id&sort=title,-at&cursor=x", &[Some("a"), None, Some("7")]));
    insta::assert_snapshot!(page("fields=id&sort=title&cursor=x", &[None, Some("7")]));
    insta::assert_snapshot!(page("fields=id&sort=title&limit=-1&cursor=x", &[Some("a"), Some("7")]));
}

#[test]
fn what_is_ordered_by_may_be_far_away() {
    insta::assert_snapshot!(page(
        "fields=id&sort=author.name,year(at)&cursor=x&search=a&meta=filter_count",
        &[Some("a"), Some("2026"), Some("7")]
    ));
}

#[test]
fn what_is_refused() {
    for (text, place, expected) in [
        ("cursor=&limit=0", &[][..], "InvalidQuery"),
        ("cursor=&aggregate[count]=*", &[][..], "InvalidQuery"),
        ("cursor=&groupBy=title", &[][..], "InvalidQuery"),
        ("cursor=x&sort=title", &[Some("a")][..], "InvalidQuery"),
        ("cursor=x", &[Some("1"), Some("2")][..], "InvalidQuery"),
        ("cursor=&sort=nope", &[][..], "Forbidden"),
    ] {
        let said = page(text, place);
        assert!(said.starts_with(expected), "{text}: {said}");
    }
    let articles = SHOP.collection("articles").unwrap();
    let concealed = plan_page(&query("cursor=&sort=token"), articles, admin(), None).unwrap_err();
    assert_eq!(concealed.code, ErrorCode::Forbidden);
    let mut by_secret = (**articles).clone();
    by_secret.sort_field = Some("token".to_owned());
    let statement = plan_page(&query("cursor="), &by_secret, admin(), None).unwrap().statement;
    assert!(!statement.sql.contains("ORDER BY t.\"token\""), "{}", statement.sql);
    let keys = plan_keys(&query("cursor="), articles, admin(), (Action::Delete, &[]));
    assert_eq!(keys.unwrap_err().code, ErrorCode::InvalidQuery);
}

#[test]
fn estimates_are_explained() {
    let posts = SHOP.collection("posts").unwrap();
    let wanted = query("filter[author][name][_eq]=x&search=5");
    insta::assert_snapshot!(shown(&plan_estimate(&wanted, posts, admin()).unwrap()));
}

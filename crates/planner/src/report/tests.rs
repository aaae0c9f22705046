//! Reports -> SQL, as snapshots.

use std::sync::LazyLock;

use access::Access;
use model::Schema;
use query::Report;
use time::OffsetDateTime;

use crate::shape::tests::shop;
use crate::{Reader, Statement, Variables, plan_tree, plan_window};

static ADMIN: Access = Access::admin();
static NONE: LazyLock<Access> = LazyLock::new(Access::none);
static SHOP: LazyLock<Schema> = LazyLock::new(shop);
static VARIABLES: LazyLock<Variables> = LazyLock::new(|| Variables {
    now: OffsetDateTime::UNIX_EPOCH,
    user: None,
    role: None,
    roles: Vec::new(),
    policies: Vec::new(),
});

fn planned(report: &Report, access: &Access) -> Result<Statement, model::Error> {
    let reader = Reader { schema: &SHOP, access, variables: &VARIABLES, limits: crate::Limits::default() };
    let posts = SHOP.collection("posts").unwrap();
    match report {
        Report::Tree(tree) => plan_tree(tree, posts, reader),
        Report::Window(window) => plan_window(window, posts, reader).map(|plan| plan.statement),
    }
}

fn shown(report: Report) -> String {
    assert!(planned(&report, &NONE).is_err());
    match planned(&report, &ADMIN) {
        Ok(statement) => format!("{}\n{:?}", statement.sql, statement.bindings),
        Err(error) => format!("{:?} {}", error.code, error.message),
    }
}

fn tree(text: &str) -> String {
    shown(Report::tree(text).unwrap())
}

fn window(text: &str) -> String {
    shown(Report::window(text).unwrap())
}

#[test]
fn trees_are_one_statement() {
    insta::assert_snapshot!(tree("parent=parent&fields=id,title"));
    insta::assert_snapshot!(tree(
        "parent=parent&root=5&depth=3&limit=20&fields=author.name&sort=-author.name&filter[title][_contains]=x"
    ));
}

#[test]
fn windows_are_one_statement() {
    insta::assert_snapshot!(window(
        "compute=running_sum(price),moving_avg(price,7),difference(id),rank&order=-at&partition=author&fields=id&limit=5"
    ));
    insta::assert_snapshot!(window(
        "compute=lag(id,2),percent_rank,ntile(4),running_count,running_avg(id)&order=price,title&partition=year(at)&fields=title&sort=author.name&filter[price][_gt]=1&search=a&meta=*"
    ));
}

#[test]
fn what_is_refused() {
    for (said, expected) in [
        (tree("parent=nope"), "Forbidden"),
        (tree("parent=title"), "InvalidQuery"),
        (tree("parent=author"), "InvalidQuery"),
        (tree("parent=children"), "InvalidQuery"),
        (tree("parent=parent&root=x"), "Forbidden"),
        (tree("parent=parent&fields=nope"), "Forbidden"),
        (tree("parent=parent&sort=nope"), "Forbidden"),
        (tree("parent=parent&filter[nope]=1"), "Forbidden"),
        (window("compute=running_sum(nope)&order=id"), "Forbidden"),
        (window("compute=running_sum(title)&order=id"), "InvalidQuery"),
        (window("compute=running_sum(children)&order=id"), "Forbidden"),
        (window("compute=rank&order=nope"), "Forbidden"),
        (window("compute=rank&order=author.name"), "InvalidQuery"),
        (window("compute=rank&order=id&partition=nope"), "Forbidden"),
        (window("compute=rank&order=id&partition=children"), "Forbidden"),
        (window("compute=rank&order=id&partition=year(title)"), "InvalidQuery"),
    ] {
        assert!(said.starts_with(expected), "{said}");
    }
}

mod access_holds {
    //! Rules about items and fields stand in every plan of this kind.

    use std::collections::BTreeSet;

    use access::{Access, Action, Fields, Rule};
    use query::{Query, Report};

    use super::{SHOP, VARIABLES, planned};
    use crate::{Reader, plan_estimate, plan_page};

    /// He sees cheap posts; of their fields all but the price when they have no title.
    fn reader() -> Access {
        let filter = |text: &str| Query::from_query_string(text).unwrap().filter;
        let rule = |items: &str, fields: &[&str]| {
            let fields = fields.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
            Rule::new("posts", Action::Read, filter(items), Fields::Named(fields))
        };
        Access::by([
            rule("filter[price][_lt]=5", &["id", "title", "parent", "at"]),
            rule("filter[title][_nnull]=true", &["id", "title", "parent", "price"]),
        ])
    }

    fn shown(report: Result<Report, model::Error>) -> String {
        planned(&report.unwrap(), &reader())
            .map_or_else(|error| format!("{:?}", error.code), |statement| statement.sql.to_string())
    }

    #[test]
    fn in_reports() {
        insta::assert_snapshot!(shown(Report::tree("parent=parent&fields=id,price&sort=price")));
        insta::assert_snapshot!(shown(Report::window(
            "compute=running_sum(price),rank&order=at&partition=parent&fields=id&meta=*"
        )));
        assert_eq!(shown(Report::window("compute=rank&order=author")), "Forbidden");
        assert_eq!(shown(Report::tree("parent=parent&fields=author")), "Forbidden");
    }

    #[test]
    fn in_pages() {
        let (access, posts) = (reader(), SHOP.collection("posts").unwrap());
        let reader = Reader {
            schema: &SHOP,
            access: &access,
            variables: &VARIABLES,
            limits: crate::Limits::default(),
        };
        let query = |text: &str| Query::from_query_string(text).unwrap();
        let place = ["3.00", "7"].map(|value| Some(value.to_owned())).to_vec();
        let page = |text: &str, place| plan_page(&query(text), posts, reader, place);
        insta::assert_snapshot!(
            page("fields=id&sort=price&limit=2&cursor=x&meta=*", Some(&place)).unwrap().statement.sql
        );
        insta::assert_snapshot!(plan_estimate(&query("filter[at][_null]=true"), posts, reader).unwrap().sql);
        assert_eq!(
            page("fields=id&sort=author&cursor=", None).unwrap_err().code,
            model::ErrorCode::Forbidden
        );
        // A cursor names keys, so they must be his to see.
        let title = Fields::Named(BTreeSet::from(["title".to_owned()]));
        let keyless = Access::by([Rule::new("posts", Action::Read, None, title)]);
        let blind = Reader { access: &keyless, ..reader };
        let refused = plan_page(&query("fields=title&cursor="), posts, blind, None).unwrap_err();
        assert_eq!(refused.code, model::ErrorCode::Forbidden);
    }
}

mod no_client_text_in_sql {
    use proptest::prelude::*;
    use query::Report;

    use super::{ADMIN, planned};

    fn encoded(text: &str) -> String {
        text.bytes().map(|byte| format!("%{byte:02X}")).collect()
    }

    proptest! {
        /// Wherever a name is asked for, a strange one is refused; a value is bound.
        #[test]
        fn strange_names_are_refused_and_values_bound(text in "[a-z'\"\\\\;%_ ,()-]{1,30}", at in 0usize..8) {
            let marked = encoded(&format!("zq9{text}zq9"));
            let report = match at {
                0 => Report::tree(&format!("parent={marked}")),
                1 => Report::tree(&format!("parent=parent&root={marked}")),
                2 => Report::tree(&format!("parent=parent&sort=title&filter[title][_contains]={marked}")),
                3 => Report::tree(&format!("parent=parent&sort={marked}")),
                4 => Report::window(&format!("compute={marked}&order=id")),
                5 => Report::window(&format!("compute=running_sum({marked})&order=id")),
                6 => Report::window(&format!("compute=rank&order={marked}")),
                _ => Report::window(&format!("compute=rank&order=id&partition={marked}&search={marked}")),
            };
            if let Ok(statement) = report.and_then(|report| planned(&report, &ADMIN)) {
                prop_assert!(!statement.sql.contains("zq9"), "{}", statement.sql);
            }
        }
    }
}

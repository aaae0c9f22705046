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
    let reader = Reader { schema: &SHOP, access, variables: &VARIABLES };
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

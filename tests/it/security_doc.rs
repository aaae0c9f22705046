//! docs/SECURITY.md names tests that are there.

use crate::all_in_one::routes::{exists, file};

/// Words of the page that look like names of tests.
fn named(page: &str) -> Vec<&str> {
    page.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect()
}

#[test]
fn every_test_that_the_page_names_is_there() {
    let page = file("docs/SECURITY.md");
    let named = named(&page);
    assert!(named.len() > 70, "{}", named.len());
    for name in named {
        match name.split_once(".rs::") {
            Some((path, test)) => {
                let text = file(&format!("{path}.rs"));
                assert!(text.contains(&format!("fn {test}(")), "there is no test {name}");
            }
            None => exists(name),
        }
    }
}

/// Each sentence of the checklist that the page is about has a row.
#[test]
fn every_attack_has_a_row() {
    let page = file("docs/SECURITY.md");
    for number in (1..=20).chain(31..=42).chain(54..=56) {
        assert!(page.contains(&format!("\n| {number} ")), "attack {number}");
    }
}

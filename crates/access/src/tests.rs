use model::{Filter, Operator};

use serde_json::json;

use super::{Access, Action, Fields, Reach, Rule, Which};

fn rule(fields: &[&str], items: Option<&Filter>) -> Rule {
    let fields = match fields {
        ["*"] => Fields::All,
        names => Fields::Named(names.iter().map(|name| (*name).to_owned()).collect()),
    };
    Rule::new("articles", Action::Read, items.cloned(), fields)
}

/// The filters; nothing where every item is reached.
fn said<'a>(reach: Reach<'a>) -> Option<Vec<&'a Filter>> {
    let filter = |which: &'a Which| match which {
        Which::Fitting(filter) => filter,
        Which::Shared(_) => panic!("not of a share"),
    };
    match reach {
        Reach::All => None,
        Reach::Fitting(all) => Some(all.into_iter().map(filter).collect()),
    }
}

fn status(value: &str) -> Filter {
    let (field, value) = ("status".to_owned(), value.into());
    Filter::Compare { field, function: None, operator: Operator::Eq, value }
}

#[test]
fn only_an_admin_may_do_anything() {
    let access = Access::none();
    assert!(!access.allows("articles", Action::Read));
    assert!(!access.allows_field("articles", "id", Action::Read));
    assert_eq!(said(access.items("articles", Action::Read)), Some(Vec::new()));
    assert_eq!(said(access.items_with("articles", "id", Action::Read)), Some(Vec::new()));
    assert!(!access.skips_missing());
    let admin = Access::admin();
    assert!(admin.allows("articles", Action::Delete));
    assert_eq!(said(admin.items("articles", Action::Delete)), None);
}

#[test]
fn one_rule_that_fits_is_enough() {
    let (published, mine) = (status("published"), status("mine"));
    let access = Access::by([rule(&["id", "title"], Some(&published)), rule(&["id", "notes"], Some(&mine))]);
    assert_eq!(said(access.items("articles", Action::Read)), Some(vec![&published, &mine]));
    // Who sees the item sees what every rule names.
    assert_eq!(said(access.items_with("articles", "id", Action::Read)), None);
    assert_eq!(said(access.items_with("articles", "notes", Action::Read)), Some(vec![&mine]));
    assert!(!access.allows_field("articles", "secret", Action::Read));
    assert_eq!(said(access.items_with("articles", "secret", Action::Read)), Some(Vec::new()));
    let any = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        access.items_with_any("articles", &names, Action::Read)
    };
    assert_eq!(said(any(&["notes"])), Some(vec![&mine]));
    assert_eq!(said(any(&["notes", "title"])), Some(vec![&published, &mine]));
    assert_eq!(said(any(&[])), Some(Vec::new()));
    assert!(!access.allows("articles", Action::Update) && !access.allows("authors", Action::Read));
}

#[test]
fn a_rule_without_a_filter_reaches_every_item() {
    let published = status("published");
    let access = Access::by([rule(&["*"], Some(&published)), rule(&["id"], None)]);
    assert_eq!(said(access.items("articles", Action::Read)), None);
    assert_eq!(said(access.items_with("articles", "id", Action::Read)), None);
    assert_eq!(said(access.items_with("articles", "title", Action::Read)), Some(vec![&published]));
    assert!(access.allows_field("articles", "made_later", Action::Read));
}

#[test]
fn of_two_presets_the_later_one_counts() {
    let with = |presets: serde_json::Value| Rule {
        presets: presets.as_object().unwrap().clone(),
        action: Action::Create,
        ..rule(&["*"], None)
    };
    let access = Access::by([with(json!({"a": 1, "b": 1})), with(json!({"b": 2, "c": null}))]);
    let expected = json!({"a": 1, "b": 2, "c": null});
    assert_eq!(access.presets("articles", Action::Create), *expected.as_object().unwrap());
    assert!(access.presets("articles", Action::Update).is_empty());
    assert!(Access::admin().presets("articles", Action::Create).is_empty());
}

#[test]
fn every_validation_holds() {
    let (draft, live) = (status("draft"), status("live"));
    let with = |validation: Option<&Filter>| Rule { validation: validation.cloned(), ..rule(&["*"], None) };
    let three = Access::by([with(Some(&draft)), with(None), with(Some(&live))]);
    assert_eq!(three.validations("articles", Action::Read), [&draft, &live]);
    assert!(three.validations("articles", Action::Create).is_empty());
    assert!(Access::admin().validations("articles", Action::Read).is_empty());
}

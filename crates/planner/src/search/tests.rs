//! Search with managed indexes -> SQL.

use model::{Collection, SearchIndex};

use crate::shape::tests::articles;
use crate::snapshots::{admin, query, shown};
use crate::{plan_keys, plan_read, search_index_parts};

/// Titles in two languages, parts of states; a mark on what is concealed or not to be searched changes nothing.
fn marked() -> Collection {
    let mut articles = articles();
    let words = SearchIndex::Words(vec!["english".to_owned(), "ger'man".to_owned()]);
    for field in &mut articles.fields {
        match field.name.as_str() {
            "title" | "token" => field.search = Some(words.clone()),
            "status" => field.search = Some(SearchIndex::Trigrams { schema: "ext".to_owned() }),
            _ => {}
        }
    }
    articles
}

fn read(text: &str) -> String {
    match plan_read(&query(text), &marked(), admin()) {
        Ok(plan) => shown(&plan.statement),
        Err(error) => format!("{:?} {}", error.code, error.message),
    }
}

#[test]
fn an_index_is_asked_with_the_expression_that_it_is_of() {
    let parts =
        |field: &str| search_index_parts(field, marked().field(field).unwrap().search.as_ref().unwrap());
    insta::assert_debug_snapshot!((parts("title"), parts("status")));
    let found = read("fields=id&search=running%20-slow");
    for part in parts("title") {
        assert!(found.contains(&part.replace("\"title\"", "t.\"title\"")), "{part}: {found}");
    }
    insta::assert_snapshot!(found);
    insta::assert_snapshot!(read("fields=id&search=12&sort=-_relevance&limit=5&meta=filter_count"));
    insta::assert_snapshot!(read("fields=title,_excerpt&search=a%00b"));
    let keys = plan_keys(&query("search=x"), &marked(), admin(), (access::Action::Delete, &[])).unwrap();
    insta::assert_snapshot!(shown(&keys));
}

#[test]
fn pages_behind_a_cursor_go_through_the_indexes_too() {
    let page = |text: &str| crate::plan_page(&query(text), &marked(), admin(), None);
    insta::assert_snapshot!(shown(&page("cursor=&fields=id&search=a&limit=2").unwrap().statement));
    let refused = page("cursor=&search=a&sort=-_relevance").unwrap_err();
    assert_eq!(refused.code, model::ErrorCode::InvalidQuery);
}

#[test]
fn relevance_and_excerpts_need_a_text_and_an_index() {
    let long = format!("search={}", "x".repeat(2_001));
    for (text, said) in [
        ("sort=_relevance", "InvalidQuery"),
        ("fields=_excerpt", "InvalidQuery"),
        ("sort=_relevance.id&search=a", "Forbidden"),
        ("filter[_relevance][_gt]=1&search=a", "Forbidden"),
        ("fields=year(_excerpt)&search=a", "Forbidden"),
        ("fields=_excerpt.title&search=a", "Forbidden"),
        (&long, "InvalidQuery"),
    ] {
        assert!(read(text).starts_with(said), "{text}: {}", read(text));
    }
    for text in ["sort=_relevance&search=a", "fields=_excerpt&search=a"] {
        let refused = plan_read(&query(text), &articles(), admin()).unwrap_err();
        assert_eq!(refused.code, model::ErrorCode::Forbidden, "{text}");
    }
    let mut own = marked();
    own.fields.push(crate::shape::tests::field("_excerpt", model::FieldType::Text, "text"));
    own.fields.push(crate::shape::tests::field("_relevance", model::FieldType::Integer, "integer"));
    let plan = plan_read(&query("fields=_excerpt&sort=_relevance&search=a"), &own, admin()).unwrap();
    insta::assert_snapshot!(shown(&plan.statement));
}

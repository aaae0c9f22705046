//! Questions about a field, in every place of a query where a field may be named.

use serde_json::Value;

/// What stands in the questions for fields of one kind: a text, a number, a day and the item above of an article; a text
/// and a list of its author.
pub type Names = [(&'static str, &'static str); 6];

/// What everybody of the test may read.
pub const SHOWN: Names = [
    ("TEXT", "title"),
    ("NUMBER", "words"),
    ("DAY", "day"),
    ("UP", "whole"),
    ("NAME", "name"),
    ("LIST", "articles"),
];
/// What is there and not shown.
pub const HIDDEN: Names = [
    ("TEXT", "notes"),
    ("NUMBER", "costs"),
    ("DAY", "born"),
    ("UP", "first"),
    ("NAME", "salary"),
    ("LIST", "drafted"),
];
/// What is not there.
pub const MISSING: Names = [
    ("TEXT", "nope1"),
    ("NUMBER", "nope2"),
    ("DAY", "nope3"),
    ("UP", "nope4"),
    ("NAME", "nope5"),
    ("LIST", "nope6"),
];

/// Fields that are compared. The first article fits, whatever the field holds.
pub const FILTERS: [&str; 25] = [
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"TEXT":{"_eq":"x"}}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"TEXT":{"_neq":"x"}}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"TEXT":{"_in":["x","y"]}}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"TEXT":{"_nin":["x"]}}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"TEXT":{"_contains":"x"}}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"TEXT":{"_icontains":"x"}}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"TEXT":{"_starts_with":"x"}}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"TEXT":{"_nistarts_with":"x"}}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"TEXT":{"_ends_with":"x"}}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"NUMBER":{"_gt":1}}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"NUMBER":{"_between":[1,2]}}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"DAY":{"_lt":"$NOW"}}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"year(DAY)":{"_eq":2020}}]}}"#,
    r#"{"filter":{"_and":[{"_or":[{"id":{"_eq":1}},{"_and":[{"TEXT":{"_eq":"x"}}]}]}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"author":{"NAME":{"_eq":"x"}}}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"author":{"count(LIST)":{"_gt":0}}}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"author":{"articles":{"TEXT":{"_eq":"x"}}}}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"author":{"articles":{"_some":{"TEXT":{"_eq":"x"}}}}}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"author":{"articles":{"_none":{"TEXT":{"_eq":"x"}}}}}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"author":{"LIST":{"_some":{"id":{"_gt":0}}}}}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"UP":{"id":{"_gt":0}}}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"whole":{"author":{"NAME":{"_eq":"x"}}}}]}}"#,
    r#"{"fields":["author.articles.id"],"deep":{"author":{"articles":{"_filter":{"TEXT":{"_eq":"x"}}}}}}"#,
    r#"{"fields":["author.articles.id"],"deep":{"author":{"articles":{"_filter":{"author":{"NAME":{"_eq":"x"}}}}}}}"#,
    r#"{"fields":["author.id"],"deep":{"author":{"_filter":{"NAME":{"_eq":"x"}}}}}"#,
];

/// Fields that are asked whether they are there.
pub const NULLS: [&str; 2] = [
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"TEXT":{"_null":true}}]}}"#,
    r#"{"filter":{"_or":[{"id":{"_eq":1}},{"author":{"articles":{"TEXT":{"_nnull":true}}}}]}}"#,
];

/// Fields that items are put in order by.
pub const SORTS: [&str; 7] = [
    r#"{"fields":["id"],"sort":["TEXT"]}"#,
    r#"{"fields":["id"],"sort":["-TEXT","id"]}"#,
    r#"{"fields":["id"],"sort":["id","author.NAME"]}"#,
    r#"{"fields":["id"],"sort":["whole.TEXT"]}"#,
    r#"{"fields":["id"],"sort":["year(DAY)"]}"#,
    r#"{"fields":["id"],"sort":["NUMBER"]}"#,
    r#"{"fields":["author.articles.id"],"deep":{"author":{"articles":{"_sort":["-TEXT"]}}}}"#,
];

/// Fields that are to be shown.
pub const WISHES: [&str; 9] = [
    r#"{"fields":["TEXT"]}"#,
    r#"{"fields":["id","author.NAME"]}"#,
    r#"{"fields":["id","year(DAY)"]}"#,
    r#"{"fields":["id","author.count(LIST)"]}"#,
    r#"{"fields":["author.articles.TEXT"]}"#,
    r#"{"fields":["UP.id"]}"#,
    r#"{"fields":["x"],"alias":{"x":"TEXT"}}"#,
    r#"{"fields":["author.x"],"deep":{"author":{"_alias":{"x":"NAME"}}}}"#,
    r#"{"fields":["author.x.id"],"deep":{"author":{"_alias":{"x":"LIST"}}}}"#,
];

/// Fields that figures are made of, and that make groups.
pub const FIGURES: [&str; 11] = [
    r#"{"aggregate":{"min":["TEXT"]}}"#,
    r#"{"aggregate":{"max":["TEXT"]}}"#,
    r#"{"aggregate":{"count":["TEXT"]}}"#,
    r#"{"aggregate":{"countDistinct":["TEXT"]}}"#,
    r#"{"aggregate":{"sum":["NUMBER"],"avg":["NUMBER"]}}"#,
    r#"{"aggregate":{"sumDistinct":["NUMBER"]}}"#,
    r#"{"aggregate":{"count":["*"]},"groupBy":["TEXT"]}"#,
    r#"{"aggregate":{"count":["*"]},"groupBy":["year(DAY)"]}"#,
    r#"{"aggregate":{"count":["*"]},"groupBy":["UP"]}"#,
    r#"{"aggregate":{"count":["*"]},"groupBy":["status"],"filter":{"TEXT":{"_nnull":true}}}"#,
    r#"{"aggregate":{"count":["*"]},"groupBy":["status","TEXT"],"sort":["TEXT"]}"#,
];

/// Questions that name no field: what they find must be in what is shown.
pub const SEARCHES: [&str; 6] = [
    r#"{"search":"hidden"}"#,
    r#"{"search":"one","fields":["id","author.name"]}"#,
    r#"{"search":"200"}"#,
    r#"{"fields":["*","author.*","author.articles.*"]}"#,
    r#"{"fields":["author.articles.id"],"deep":{"author":{"articles":{"_search":"hidden"}}}}"#,
    r#"{"fields":["id"],"sort":["-id"],"offset":1}"#,
];

/// Places of roads' own, and questions that begin elsewhere.
pub const PLACES: [&str; 13] = [
    "/reports/articles/tree?parent=UP",
    "/reports/articles/tree?parent=whole&root=1&fields=id,TEXT",
    "/reports/articles/window?compute=rank&order=TEXT",
    "/reports/articles/window?compute=rank&order=id&partition=TEXT",
    "/reports/articles/window?compute=running_sum(NUMBER)&order=id",
    "/reports/articles/window?compute=lag(NUMBER)&order=id",
    "/items/articles?export=xml&fields=TEXT",
    "/items/articles?search=x&fields=TEXT&meta=*",
    "/items/articles?cursor=&limit=1&fields=id&sort=-TEXT",
    "/items/authors?filter[articles][_some][TEXT][_eq]=x",
    "/items/authors?fields=articles.TEXT",
    "/items/authors?fields=LIST.id",
    "/items/authors?sort=NAME&fields=id",
];

/// A place with these fields in it.
pub fn named(place: &str, names: &Names) -> String {
    names.iter().fold(place.to_owned(), |text, (kind, name)| text.replace(kind, name))
}

/// Every question that names a field.
pub fn all() -> impl Iterator<Item = &'static str> {
    FILTERS.into_iter().chain(NULLS).chain(SORTS).chain(WISHES).chain(FIGURES)
}

/// A question about these fields.
pub fn about(question: &str, names: &Names) -> Value {
    serde_json::from_str(&named(question, names)).unwrap()
}

use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Query, Report};

/// The canonical JSON, or the reason why not.
fn shown(outcome: Result<Query, model::Error>) -> String {
    match outcome {
        Ok(query) => serde_json::to_string(&query).unwrap(),
        Err(error) => {
            assert_eq!(error.code, model::ErrorCode::InvalidQuery);
            format!("400 {}", error.extensions["reason"].as_str().unwrap())
        }
    }
}

fn text(text: &str) -> String {
    shown(Query::from_query_string(text))
}

fn body(text: &str) -> String {
    shown(Query::from_json_text(text))
}

#[test]
fn values_inside_json_have_paths() {
    let read = |filter: serde_json::Value| shown(Query::from_json(&json!({ "filter": filter })));
    assert_snapshot!(read(json!({"meta": {"_json": {"a.b[0]": {"_gt": 5, "_nnull": true}}}})), @r#"{"filter":{"and":[{"compare":{"field":"meta","function":{"json":"a.b[0]"},"operator":"_gt","value":5}},{"compare":{"field":"meta","function":{"json":"a.b[0]"},"operator":"_nnull","value":true}}]}}"#);
    assert_snapshot!(read(json!({"author": {"meta": {"_json": {"_or": [{"a": "x"}, {"b": {"c": {"_in": "1,2"}}}]}}}})), @r#"{"filter":{"related":{"field":"author","filter":{"or":[{"compare":{"field":"meta","function":{"json":"a"},"operator":"_eq","value":"x"}},{"compare":{"field":"meta","function":{"json":"b.c"},"operator":"_in","value":["1","2"]}}]}}}}"#);
    assert_snapshot!(text(r#"filter[meta][_json][a][_eq]=1&filter[other][_json]={"_x":null}"#), @r#"{"filter":{"and":[{"compare":{"field":"meta","function":{"json":"a"},"operator":"_eq","value":"1"}},{"compare":{"field":"other","function":{"json":"_x"},"operator":"_null","value":true}}]}}"#);
    let deep = (0..30).fold(json!("x"), |inner, _| json!({ "a": inner }));
    for wrong in [
        json!({"meta": {"_json": []}}),
        json!({"meta": {"_json": {"_and": 5}}}),
        json!({"meta": {"_json": {"": 5}}}),
        json!({"meta": {"_json": {"a": {"_json": {"b": 1}}}}}),
        json!({"year(at)": {"_json": {"a": 1}}}),
        json!({"meta": {"_json": deep}}),
        json!({"meta": {"_json": {"_or": vec![json!({"a": 1}); 501]}}}),
    ] {
        assert!(read(wrong.clone()).starts_with("400"), "{wrong}: {}", read(wrong.clone()));
    }
}

#[test]
fn nothing_asked() {
    assert_snapshot!(text(""), @"{}");
    assert_snapshot!(text("&&access_token=x&utm[a=1&cb=%ff"), @"{}");
    assert_snapshot!(body("{}"), @"{}");
    assert_snapshot!(body(r#"{"fields":null,"filter":{},"sort":[],"search":""}"#), @"{}");
    assert_snapshot!(body("[]"), @r#"400 "query" must be of type object"#);
}

#[test]
fn fields() {
    assert_snapshot!(text("fields=id,title"), @r#"{"fields":["id","title"]}"#);
    assert_snapshot!(text("fields[]=id&fields[]=title,%20slug&fields[]=id"), @r#"{"fields":["id","title","slug"]}"#);
    assert_snapshot!(text("fields=id&fields=title"), @r#"{"fields":["id","title"]}"#);
    assert_snapshot!(text("fields[1]=title&fields[0]=id"), @r#"{"fields":["id","title"]}"#);
    assert_snapshot!(text("fields=%5B%22id%22,%22title%22%5D"), @r#"{"fields":["[\"id\"","\"title\"]"]}"#);
    assert_snapshot!(text("fields=id,"), @r#"400 "fields[1]" is not allowed to be empty"#);
    assert_snapshot!(text("fields[]="), @r#"400 "fields[0]" is not allowed to be empty"#);
    assert_snapshot!(body(r#"{"fields":["id","title"]}"#), @r#"{"fields":["id","title"]}"#);
    assert_snapshot!(text("fields=*"), @"{}");
    assert_snapshot!(text("fields="), @"{}");
    assert_snapshot!(text("fields=*,id"), @r#"{"fields":["*","id"]}"#);
    assert_snapshot!(text("fields=*,author.name"), @r#"{"fields":["*","author.name"]}"#);
    assert_snapshot!(text("fields=year(created),json(meta, a.b)"), @r#"{"fields":["year(created)","json(meta, a.b)"]}"#);
    assert_snapshot!(text("fields=nope(created)"), @r#"400 "nope(created)" is not the name of a field"#);
    assert_snapshot!(body(r#"{"fields":[1]}"#), @r#"400 "fields" must be a list of names"#);
}

#[test]
fn sort_and_pages() {
    assert_snapshot!(text("sort=-date,id"), @r#"{"sort":[{"field":"date","descending":true},{"field":"id"}]}"#);
    assert_snapshot!(text("sort[]=-date&sort[]=id"), @r#"{"sort":[{"field":"date","descending":true},{"field":"id"}]}"#);
    assert_snapshot!(text("sort=author.name,-year(date)"), @r#"{"sort":[{"field":"author.name"},{"field":"year(date)","descending":true}]}"#);
    assert_snapshot!(text("sort[]=a,-b"), @r#"{"sort":[{"field":"a,-b"}]}"#);
    assert_snapshot!(text("sort=-"), @r#"{"sort":[{"field":"","descending":true}]}"#);
    assert_snapshot!(text("sort=a,"), @r#"400 "sort[1]" is not allowed to be empty"#);
    assert_snapshot!(text("offset=&page=&limit[]=2"), @r#"{"limit":2}"#);
    assert_snapshot!(text("limit=25&offset=50&page=3"), @r#"{"limit":25,"offset":50,"page":3}"#);
    assert_snapshot!(body(r#"{"limit":-1,"offset":0,"page":1}"#), @r#"{"limit":-1,"offset":0,"page":1}"#);
    assert_snapshot!(text("limit=1e2"), @r#"{"limit":100}"#);
    assert_snapshot!(text("limit=abc"), @r#"400 "limit" must be a number"#);
    assert_snapshot!(text("limit="), @r#"400 "limit" must be a number"#);
    assert_snapshot!(text("limit=-5"), @r#"400 "limit" must be greater than or equal to -1"#);
    assert_snapshot!(text("limit=1.5"), @r#"400 "limit" must be an integer"#);
    assert_snapshot!(text("limit=99999999999999999999"), @r#"400 "limit" must be a safe number"#);
    assert_snapshot!(text("limit=1&limit=2"), @r#"400 "limit" must be a number"#);
    assert_snapshot!(text("limit=NaN"), @r#"400 "limit" must be a number"#);
    assert_snapshot!(text("offset=-1"), @r#"400 "offset" must be greater than or equal to 0"#);
    assert_snapshot!(text("page=x"), @r#"400 "page" must be a number"#);
}

#[test]
fn meta() {
    assert_snapshot!(text("meta=total_count,filter_count"), @r#"{"meta":{"total_count":true,"filter_count":true}}"#);
    assert_snapshot!(text("meta=*"), @r#"{"meta":{"total_count":true,"filter_count":true}}"#);
    assert_snapshot!(text("meta[]=filter_count&meta[]=other"), @r#"400 "meta[1]" must be one of [total_count, filter_count, filter_count_estimate]"#);
    assert_snapshot!(text("meta=filter_count_estimate"), @r#"{"meta":{"filter_count_estimate":true}}"#);
}

#[test]
fn filter_forms() {
    assert_snapshot!(text("filter[status][_eq]=published"), @r#"{"filter":{"compare":{"field":"status","operator":"_eq","value":"published"}}}"#);
    assert_snapshot!(text("filter%5Bstatus%5D%5B_eq%5D=published+news"), @r#"{"filter":{"compare":{"field":"status","operator":"_eq","value":"published news"}}}"#);
    assert_snapshot!(text(r#"filter={"status":{"_eq":"published"}}"#), @r#"{"filter":{"compare":{"field":"status","operator":"_eq","value":"published"}}}"#);
    assert_snapshot!(text("filter[status]=published"), @r#"{"filter":{"compare":{"field":"status","operator":"_eq","value":"published"}}}"#);
    assert_snapshot!(body(r#"{"filter":{"id":5}}"#), @r#"{"filter":{"compare":{"field":"id","operator":"_eq","value":5}}}"#);
    assert_snapshot!(body(r#"{"filter":"{\"id\":5}"}"#), @r#"{"filter":{"compare":{"field":"id","operator":"_eq","value":5}}}"#);
    assert_snapshot!(text("filter[id][_gte]=1&filter[id][_lt]=9&filter[status]=draft"), @r#"{"filter":{"and":[{"and":[{"compare":{"field":"id","operator":"_gte","value":"1"}},{"compare":{"field":"id","operator":"_lt","value":"9"}}]},{"compare":{"field":"status","operator":"_eq","value":"draft"}}]}}"#);
    assert_snapshot!(text("filter[_or][0][id][_eq]=1&filter[_or][1][name][_contains]=a"), @r#"{"filter":{"or":[{"compare":{"field":"id","operator":"_eq","value":"1"}},{"compare":{"field":"name","operator":"_contains","value":"a"}}]}}"#);
    // A part of a text is a text, whatever it spells.
    assert_snapshot!(text("filter[a][_contains]=true"), @r#"{"filter":{"compare":{"field":"a","operator":"_contains","value":"true"}}}"#);
    assert_snapshot!(text("filter[_and][][id]=1&filter[_and][][id]=2"), @r#"{"filter":{"and":[{"compare":{"field":"id","operator":"_eq","value":"1"}},{"compare":{"field":"id","operator":"_eq","value":"2"}}]}}"#);
    assert_snapshot!(body(r#"{"filter":{"_or":[{},{"id":1}]}}"#), @r#"{"filter":{"or":[{"and":[]},{"compare":{"field":"id","operator":"_eq","value":1}}]}}"#);
    assert_snapshot!(body(r#"{"filter":{"_and":[]}}"#), @r#"{"filter":{"and":[]}}"#);
    assert_snapshot!(body(r#"{"filter":{"price":{"_or":[{"_lt":1},{"_gt":9}]}}}"#), @r#"{"filter":{"or":[{"compare":{"field":"price","operator":"_lt","value":1}},{"compare":{"field":"price","operator":"_gt","value":9}}]}}"#);
}

#[test]
fn filter_values() {
    assert_snapshot!(text("filter[id][_in]=1,2"), @r#"{"filter":{"compare":{"field":"id","operator":"_in","value":["1","2"]}}}"#);
    assert_snapshot!(text("filter[id][_in][]=1&filter[id][_in][]=2"), @r#"{"filter":{"compare":{"field":"id","operator":"_in","value":["1","2"]}}}"#);
    assert_snapshot!(text("filter[id][_nin][0]=1&filter[id][_nin][1]=2"), @r#"{"filter":{"compare":{"field":"id","operator":"_nin","value":["1","2"]}}}"#);
    assert_snapshot!(body(r#"{"filter":{"id":{"_in":[1,"b",true]}}}"#), @r#"{"filter":{"compare":{"field":"id","operator":"_in","value":[1,"b",true]}}}"#);
    assert_snapshot!(body(r#"{"filter":{"id":{"_in":7}}}"#), @r#"{"filter":{"compare":{"field":"id","operator":"_in","value":[7]}}}"#);
    assert_snapshot!(text("filter[id][_null]=true&filter[b][_nnull]=false&filter[c][_null]"), @r#"{"filter":{"and":[{"compare":{"field":"b","operator":"_nnull","value":false}},{"compare":{"field":"c","operator":"_null","value":true}},{"compare":{"field":"id","operator":"_null","value":true}}]}}"#);
    assert_snapshot!(text("filter[on][_eq]=true&filter[a][_eq]=null&filter[b][_neq]=null"), @r#"{"filter":{"and":[{"compare":{"field":"a","operator":"_null","value":true}},{"compare":{"field":"b","operator":"_nnull","value":true}},{"compare":{"field":"on","operator":"_eq","value":true}}]}}"#);
    assert_snapshot!(text("filter[a]=null"), @r#"{"filter":{"compare":{"field":"a","operator":"_null","value":true}}}"#);
    assert_snapshot!(
        body(r#"{"filter":{"a":12345678901234567890123,"b":0.10,"c":9007199254740993,"d":1.5}}"#),
        @r#"{"filter":{"and":[{"compare":{"field":"a","operator":"_eq","value":"12345678901234567890123"}},{"compare":{"field":"b","operator":"_eq","value":"0.10"}},{"compare":{"field":"c","operator":"_eq","value":9007199254740993}},{"compare":{"field":"d","operator":"_eq","value":1.5}}]}}"#
    );
    assert_snapshot!(text("filter[price][_eq]=$NOWHERE"), @r#"{"filter":{"compare":{"field":"price","operator":"_eq","value":"$NOWHERE"}}}"#);
}

#[test]
fn filter_geometries() {
    let expected = r#"{"filter":{"compare":{"field":"at","operator":"_intersects","value":{"coordinates":["0.10",2],"type":"Point"}}}}"#;
    let point = r#"{"type":"Point","coordinates":[0.10,2]}"#;
    assert_eq!(body(&format!(r#"{{"filter":{{"at":{{"_intersects":{point}}}}}}}"#)), expected);
    assert_eq!(text(&format!("filter[at][_intersects]={point}")), expected, "digits stay");
    assert_snapshot!(text("filter[at][_nintersects_bbox]=POINT(1 2)"), @r#"400 "_nintersects_bbox" has to be a valid GeoJSON object"#);
    assert_snapshot!(body(r#"{"filter":{"at":{"_intersects":null}}}"#), @r#"400 "_intersects" has to be a valid GeoJSON object"#);
}

#[test]
fn filter_refusals() {
    assert_snapshot!(text("filter={bad"), @"400 Invalid JSON for filter object");
    assert_snapshot!(text("filter="), @"{}");
    assert_snapshot!(text("filter=[]"), @"{}");
    assert_snapshot!(text("filter=null"), @r#"400 "filter" must be of type object"#);
    assert_snapshot!(body(r#"{"filter":{"a":null}}"#), @"400 Invalid filter object");
    assert_snapshot!(body(r#"{"filter":{"item:notes":{"_null":true}}}"#), @r#"400 Invalid filter key "item:notes""#);
    assert_snapshot!(text("filter=[1]"), @r#"400 "filter" must be of type object"#);
    assert_snapshot!(text("filter=5"), @r#"400 "filter" must be of type object"#);
    assert_snapshot!(text("filter[id][_foo]=1"), @r#"400 Field "id" does not contain the "_foo" filter operator"#);
    assert_snapshot!(text("filter[author.name][_eq]=1"), @r#"{"filter":{"compare":{"field":"author.name","operator":"_eq","value":"1"}}}"#);
    assert_snapshot!(body(r#"{"filter":{"year(date)":{"name":1}}}"#), @r#"400 "year(date)" leads to no other items"#);
    assert_snapshot!(body(r#"{"filter":{"tags":{"_some":1}}}"#), @r#"400 "_some" must be of type object"#);
    assert_snapshot!(body(r#"{"filter":{"place":{"_intersects":1}}}"#), @r#"400 "_intersects" has to be a valid GeoJSON object"#);
    assert_snapshot!(text("filter[name][_eq]="), @r#"400 The filter value for "_eq" is empty"#);
    assert_snapshot!(text("filter[id][_in]=1,,2"), @r#"{"filter":{"compare":{"field":"id","operator":"_in","value":["1","","2"]}}}"#);
    assert_snapshot!(text("filter[id][_in]="), @r#"{"filter":{"compare":{"field":"id","operator":"_in","value":[""]}}}"#);
    assert_snapshot!(body(r#"{"filter":{"id":{"_in":[]}}}"#), @r#"400 "_in" has to be an array of values"#);
    assert_snapshot!(body(r#"{"filter":{"id":{"_in":null}}}"#), @r#"400 "_in" has to be an array of values"#);
    assert_snapshot!(body(r#"{"filter":{"id":{"_in":{"a":1}}}}"#), @r#"{"filter":{"compare":{"field":"id","operator":"_in","value":[1]}}}"#);
    assert_snapshot!(body(r#"{"filter":{"_or":[{"id":1},{"_and":[]}]}}"#), @r#"{"filter":{"or":[{"compare":{"field":"id","operator":"_eq","value":1}}]}}"#);
    assert_snapshot!(text("filter[id][_null]=7"), @r#"400 The filter value for "_null" has to be a boolean"#);
    assert_snapshot!(text("filter[id][_lt]=null"), @r#"400 The filter value for "_lt" has to be a string, number, or boolean"#);
    assert_snapshot!(body(r#"{"filter":{"id":[1]}}"#), @r#"400 The filter value for "_eq" has to be a string, number, or boolean"#);
    assert_snapshot!(body(r#"{"filter":{"id":{"_eq":{"a":1}}}}"#), @r#"400 The filter value for "_eq" has to be a string, number, or boolean"#);
    assert_snapshot!(text("filter[_or]=1"), @r#"400 "_or" must be an array of objects"#);
    assert_snapshot!(body(r#"{"filter":{"_and":[1]}}"#), @r#"400 "_and" must be an array of objects"#);
    assert_snapshot!(text("filter[a=1"), @r#"400 Parameter "filter[a" is malformed"#);
    assert_snapshot!(text("filter=x&filter[a]=1"), @r#"400 Parameter "filter[a]" is malformed"#);
}

#[test]
fn parameters_that_are_not_ours_yet() {
    assert_snapshot!(text("version=x"), @r#"{"version":"x"}"#);
    assert_snapshot!(text("version=x&versionRaw=true"), @r#"{"version":"x","version_raw":true}"#);
    assert_snapshot!(text("version=x&versionRaw=false"), @r#"{"version":"x"}"#);
    // The form of the answer is no part of the query.
    assert_eq!(text("export=x"), "{}");
}

#[test]
fn related_items() {
    assert_snapshot!(text("filter[author][name][_eq]=1"), @r#"{"filter":{"related":{"field":"author","filter":{"compare":{"field":"name","operator":"_eq","value":"1"}}}}}"#);
    assert_snapshot!(body(r#"{"filter":{"tags":{"_some":{"name":{"_eq":"x"}}},"item:notes":{"text":{"_nnull":true}}}}"#), @r#"{"filter":{"and":[{"related":{"field":"item","scope":"notes","filter":{"compare":{"field":"text","operator":"_nnull","value":true}}}},{"related":{"field":"tags","quantifier":"some","filter":{"compare":{"field":"name","operator":"_eq","value":"x"}}}}]}}"#);
    assert_snapshot!(body(r#"{"filter":{"author":{"_or":[{"name":"a"},{"team":{"id":{"_in":[1,2]}}}]}}}"#), @r#"{"filter":{"or":[{"related":{"field":"author","filter":{"compare":{"field":"name","operator":"_eq","value":"a"}}}},{"related":{"field":"author","filter":{"related":{"field":"team","filter":{"compare":{"field":"id","operator":"_in","value":[1,2]}}}}}}]}}"#);
    assert_snapshot!(text("filter[year(date)][_gt]=2020&filter[count(tags)][_eq]=0"), @r#"{"filter":{"and":[{"compare":{"field":"tags","function":"count","operator":"_eq","value":"0"}},{"compare":{"field":"date","function":"year","operator":"_gt","value":"2020"}}]}}"#);
    assert_snapshot!(body(r#"{"deep":{"tags":{"_limit":1,"_filter":{"id":1},"tags_id":{"_sort":["-name"]}}},"alias":{"all":"tags"}}"#), @r#"{"deep":{"tags":{"filter":{"compare":{"field":"id","operator":"_eq","value":1}},"limit":1,"deep":{"tags_id":{"sort":[{"field":"name","descending":true}]}}}},"alias":{"all":"tags"}}"#);
    assert_snapshot!(text(r#"deep={"tags":{"_alias":{"n":"name"},"_fields":["n"]}}&backlink=false"#), @r#"{"deep":{"tags":{"fields":["n"],"alias":{"n":"name"}}},"no_backlink":true}"#);
    assert_snapshot!(text("deep=x"), @r#"400 "deep" must be of type object"#);
    assert_snapshot!(body(r#"{"deep":{"tags":1}}"#), @r#"400 "deep" must be of type object"#);
    assert_snapshot!(text("alias[a]="), @r#"{"alias":{"a":""}}"#);
    assert_snapshot!(text("alias[a.b]=c"), @r#"400 "a.b" can't be used as an alias"#);
}

#[test]
fn figures() {
    assert_snapshot!(text("aggregate[count]=*&groupBy[]=status,year(at)&search=x"), @r#"{"search":"x","aggregate":[{"function":"count"}],"group":["status","year(at)"]}"#);
    assert_snapshot!(body(r#"{"aggregate":{"sum":["a","b"],"countDistinct":"c"},"groupBy":["d"],"sort":["-sum.a"]}"#), @r#"{"sort":[{"field":"sum.a","descending":true}],"aggregate":[{"function":"countDistinct","field":"c"},{"function":"sum","field":"a"},{"function":"sum","field":"b"}],"group":["d"]}"#);
    assert_snapshot!(text("aggregate[median]=a"), @r#"400 "median" is not a supported aggregate function"#);
    assert_snapshot!(text("aggregate[count]="), @r#"{"aggregate":[{"function":"count","field":""}]}"#);
    assert_snapshot!(text("aggregate=5"), @r#"400 "aggregate" must be of type object"#);
}

#[test]
fn cursors() {
    assert_snapshot!(text("cursor=&limit=5"), @r#"{"limit":5,"cursor":""}"#);
    assert_snapshot!(text("cursor=abc"), @r#"{"cursor":"abc"}"#);
    assert_snapshot!(body(r#"{"cursor":null}"#), @"{}");
    assert_snapshot!(text("cursor=&page=1"), @r#"400 "page" can't be used together with "cursor""#);
    assert_snapshot!(text("cursor=abc&offset=0"), @r#"400 "offset" can't be used together with "cursor""#);
    assert_snapshot!(text("cursor=a&cursor=b"), @r#"400 "cursor" is not one that was given out"#);
    assert_snapshot!(body(r#"{"cursor":7}"#), @r#"400 "cursor" is not one that was given out"#);
    assert_snapshot!(text("deep[tags][_cursor]="), @r#"400 "deep" does not support "_cursor""#);
    assert_snapshot!(text(&format!("cursor={}", "a".repeat(9_000))), @r#"400 "cursor" is not one that was given out"#);
}

#[test]
fn limits() {
    let many = |count: usize| vec!["1"; count].join(",");
    assert!(Query::from_query_string(&format!("filter[id][_in]={}", many(10_000))).is_ok());
    assert_snapshot!(text(&format!("filter[id][_in]={}", many(10_001))), @r#"400 "_in" has more than 10000 entries"#);
    assert_snapshot!(text(&"fields[]=a&".repeat(501)), @r#"400 "fields" has more than 500 entries"#);
    assert_snapshot!(text(&"x=1&".repeat(1_001)), @"400 Too many parameters");
    let nested = |depth: usize| {
        let open = r#"{"_and":["#.repeat(depth);
        format!(r#"{{"filter":{open}{{}}{}}}"#, "]}".repeat(depth))
    };
    assert!(Query::from_json_text(&nested(9)).is_ok());
    assert_snapshot!(body(&nested(15)), @"400 The query has 16 levels in a filter: its budget is 10");
    assert_snapshot!(body(&nested(16)), @"400 Invalid JSON for query object");
    let wrapped = (0..24).fold(json!({}), |inner, _| json!({"_and": [inner]}));
    assert_snapshot!(shown(Query::from_json(&json!({"filter": wrapped}))), @r#"400 "filter" is nested deeper than 24 levels"#);
    assert_snapshot!(body(&nested(100_000)), @"400 Invalid JSON for query object");
    assert_snapshot!(text(&format!("filter{}=1", "[_and][0]".repeat(20))), @r#"400 Parameter "filter[_and][0][_and][0][_and][0][_and][0][_and][0][_and][0][_and][0][_and][0][_and][0][_and][0][_and][0][_and][0][_and][0][_and][0][_and][0][_and][0][_and][0][_and][0][_and][0][_and][0]" is malformed"#);
    let wide = |count: usize| json!({ "filter": { "_or": vec![json!({ "id": 1 }); count] } });
    assert!(Query::from_json(&wide(99)).is_ok());
    assert_snapshot!(shown(Query::from_json(&wide(499))), @"400 The query has 500 conditions in filters: its budget is 100");
    assert_snapshot!(shown(Query::from_json(&wide(500))), @r#"400 "filter" has more than 500 conditions"#);
}

#[test]
fn bytes_that_are_no_query() {
    assert!(Query::from_bytes(b"{").is_err());
    assert!(Query::default().to_bytes().is_empty());
}

/// Filters as a client would write them, with text as the only scalar (all that brackets can say).
fn filters() -> impl Strategy<Value = Value> {
    let scalar = "[a-z0-9 %&=+\\[\\],\u{e9}]{1,6}";
    let operator = prop::sample::select(vec!["_eq", "_neq", "_lt", "_gte", "_contains", "_null", "_in"]);
    let condition = ("[a-z]{1,4}", operator, scalar, prop::collection::vec(scalar, 1..4)).prop_map(
        |(field, operator, scalar, list)| match operator {
            "_null" => json!({ field: { operator: "true" } }),
            "_in" => json!({ field: { operator: list } }),
            _ => json!({ field: { operator: scalar } }),
        },
    );
    condition.prop_recursive(3, 12, 3, |inner| {
        (prop::sample::select(vec!["_and", "_or"]), prop::collection::vec(inner, 1..3))
            .prop_map(|(logic, members)| json!({ logic: members }))
    })
}

/// The bracket form of a value.
fn brackets(path: &str, value: &Value, pairs: &mut Vec<String>) {
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| brackets(&format!("{path}[{key}]"), value, pairs))
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, value)| brackets(&format!("{path}[{i}]"), value, pairs));
        }
        Value::String(text) => pairs.push(format!("{}={}", encode(path), encode(text))),
        _ => unreachable!("text only"),
    }
}

proptest! {
    #[test]
    fn never_panics(text in ".{0,80}") {
        let _ = Query::from_query_string(&text);
        let _ = (Report::tree(&text), Report::window(&text));
        let _ = Query::from_json_text(&text);
        let _ = Query::from_bytes(text.as_bytes());
    }

    #[test]
    fn never_panics_near_the_grammar(
        text in "((filter|sort|fields|limit|deep)(\\[(_and|_or|_in|_eq|a|0|1||\\]|\\[)\\]){0,4}=?[1a,*{}\"%\\[\\]-]{0,4}&?){0,5}"
    ) {
        let _ = Query::from_query_string(&text);
    }

    #[test]
    fn reports_never_panic(
        text in "((parent|root|depth|limit|shape|compute|order|partition)=[-1a(),.%]{0,6}|compute=(lag|rank|ntile|moving_avg)\\([a1,]{0,4}\\)){1}(&order=[-a,()]{0,4}){0,1}"
    ) {
        let _ = (Report::tree(&text), Report::window(&text));
    }

    #[test]
    fn forms_agree_and_bytes_keep_all(filter in filters(), limit in -1i64..200, sort in "[a-z]{1,3}") {
        let mut pairs = vec![format!("limit={limit}"), format!("sort=-{sort}")];
        brackets("filter", &filter, &mut pairs);
        let from_brackets = Query::from_query_string(&pairs.join("&")).unwrap();
        let mut parameters = Map::new();
        parameters.insert("filter".into(), filter);
        parameters.insert("limit".into(), json!(limit));
        parameters.insert("sort".into(), json!([format!("-{sort}")]));
        let object = Value::Object(parameters);
        prop_assert_eq!(&from_brackets, &Query::from_json(&object).unwrap());
        prop_assert_eq!(&from_brackets, &Query::from_json_text(&object.to_string()).unwrap());
        prop_assert_eq!(&from_brackets, &Query::from_bytes(&from_brackets.to_bytes()).unwrap());
    }
}

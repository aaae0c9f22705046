//! Query or payload -> SQL, as snapshots.

use access::Access;
use model::{ErrorCode, Schema};
use query::Query;
use std::sync::LazyLock;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::shape::tests::{articles, notes, shop};
use crate::{
    Binding, CreateNeeds, Deletion, Hanging, Limits, Reader, Reference, Stamp, Statement, UpdateChange,
    Variables, parse_payloads, plan_create, plan_delete, plan_keys, plan_read, plan_read_one, plan_update,
};

pub(crate) fn stamp() -> Stamp {
    Stamp {
        user: Some(Uuid::from_u128(7)),
        role: None,
        ip: Some("192.0.2.1".to_owned()),
        user_agent: None,
        origin: None,
        request_id: Some("r1".to_owned()),
        traceparent: None,
        causation_id: None,
        depth: 0,
        batch_id: Uuid::from_u128(8),
        first_index: 0,
        silent: false,
        by_key: false,
        now: OffsetDateTime::UNIX_EPOCH,
        once: None,
        each: Vec::new(),
    }
}

pub(crate) fn query(text: &str) -> Query {
    Query::from_query_string(text).unwrap()
}

pub(crate) fn shown(statement: &Statement) -> String {
    format!("{}\n{:?}", statement.sql, statement.bindings)
}

static ADMIN: Access = Access::admin();
static NONE: LazyLock<Access> = LazyLock::new(Access::none);

fn variables() -> &'static Variables {
    static VARIABLES: LazyLock<Variables> = LazyLock::new(|| Variables {
        now: OffsetDateTime::UNIX_EPOCH,
        user: Some(Uuid::from_u128(7)),
        role: None,
        roles: Vec::new(),
        policies: Vec::new(),
    });
    &VARIABLES
}

/// An admin before a shop: authors of articles, tags by a junction, blocks of several kinds.
pub(crate) fn admin() -> Reader<'static> {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(shop);
    Reader { schema: &SCHEMA, access: &ADMIN, variables: variables(), limits: Limits::default() }
}

fn read(text: &str) -> String {
    shown(&plan_read(&query(text), &articles(), admin()).unwrap().statement)
}

fn create(body: &str) -> Result<Statement, model::Errors> {
    let (payloads, _) = parse_payloads(body.as_bytes()).unwrap();
    let ids: Vec<Uuid> = (0..payloads.len() as u128).map(Uuid::from_u128).collect();
    let needs = CreateNeeds { event_ids: &ids, fresh_keys: &ids };
    plan_create(&payloads, &needs, &query("fields=id,title"), &articles(), admin(), &stamp())
}

#[test]
fn a_list_is_one_statement() {
    insta::assert_snapshot!(read("fields=id,title,price,published_at,token"));
    insta::assert_snapshot!(read(
        "fields=id&filter[status][_eq]=published&filter[words][_gte]=5&sort=-published_at,title&limit=25&page=3&meta=*"
    ));
    insta::assert_snapshot!(read(
        r#"fields=id&limit=-1&offset=2&filter={"_or":[{"id":{"_in":[1,2]}},{"title":{"_contains":"50%_"}},{"tags":{"_null":true}}]}"#
    ));
}

#[test]
fn a_singleton_is_one_object() {
    let mut one = articles();
    one.singleton = true;
    let plan = plan_read(&query("fields=id,status,token&meta=total_count"), &one, admin()).unwrap();
    insta::assert_snapshot!(shown(&plan.statement));
}

/// Fields that are called like columns of our own statement stand in its lists of fields only.
#[test]
fn names_of_fields_do_not_meet_names_of_ours() {
    let mut collection = notes();
    collection.fields[1].name = "event_id".to_owned();
    let (payloads, _) = parse_payloads(br#"{"event_id":"x"}"#).unwrap();
    let ids = [Uuid::from_u128(1)];
    let needs = CreateNeeds { event_ids: &ids, fresh_keys: &ids };
    let plan = plan_create(&payloads, &needs, &query("fields=id"), &collection, admin(), &stamp()).unwrap();
    let (input, rest) = plan.sql.split_once(", item AS (").unwrap();
    assert!(!input.contains("\"event_id\""), "{input}");
    assert!(
        rest.starts_with(
            "INSERT INTO \"public\".\"no\"\"tes\" AS t (\"id\", \"event_id\") OVERRIDING SYSTEM VALUE SELECT i.key, i.v0 "
        )
    );
}

#[test]
fn one_item_is_found_by_its_key() {
    let plan = plan_read_one(&query(""), &articles(), admin()).unwrap();
    insta::assert_snapshot!(shown(&plan.of("7", &articles()).unwrap()));
    let other = plan.of("8", &articles()).unwrap();
    assert_eq!((&other.sql, &other.bindings[0]), (&plan.keyless().sql, &Binding::Text(Some("8".to_owned()))));
    assert_eq!(plan.keyless().bindings[0], Binding::Text(None));
    assert_eq!(plan.of("x", &articles()).unwrap_err().code, ErrorCode::Forbidden);
}

#[test]
fn a_create_is_one_statement() {
    insta::assert_snapshot!(shown(&create(r#"{"title":"a","price":1.10,"unknown":1}"#).unwrap()));
    insta::assert_snapshot!(shown(&create(r#"[{"title":"a","status":null},{"title":"b","id":9}]"#).unwrap()));
    let (payloads, _) = parse_payloads(br#"{"body":"x"}"#).unwrap();
    let ids = [Uuid::from_u128(1)];
    let needs = CreateNeeds { event_ids: &ids, fresh_keys: &ids };
    let plan = plan_create(&payloads, &needs, &query("fields=*"), &notes(), admin(), &stamp()).unwrap();
    insta::assert_snapshot!(shown(&plan));
}

#[test]
fn a_change_is_one_statement() {
    let ids = [Uuid::from_u128(1), Uuid::from_u128(2)];
    let keys = ["1".to_owned(), "2".to_owned()];
    let plan = |body: &str| {
        let (payloads, _) = parse_payloads(body.as_bytes()).unwrap();
        let change = UpdateChange { keys: &keys, payloads: &payloads, event_ids: &ids, filter: None };
        plan_update(&change, &query("fields=id"), &articles(), admin(), &stamp()).unwrap().unwrap()
    };
    insta::assert_snapshot!(shown(&plan(r#"{"title":"a","words":3}"#)));
    insta::assert_snapshot!(shown(&plan(r#"[{"id":1,"title":"a"},{"id":2,"title":"b"}]"#)));
    // Nothing but who and when.
    assert!(plan(r#"{"nope":1}"#).sql.contains(r#"SET "updated" = $3::text::timestamp with time zone FROM"#));
    let (payloads, _) = parse_payloads(br#"{"nope":1}"#).unwrap();
    let keys = [Uuid::from_u128(1).to_string()];
    let change = UpdateChange { keys: &keys, payloads: &payloads, event_ids: &ids, filter: None };
    assert_eq!(plan_update(&change, &query(""), &notes(), admin(), &stamp()).unwrap(), None);
}

#[test]
fn a_deletion_is_one_statement() {
    let plan = plan_delete(
        Deletion::Whole,
        &["1".to_owned()],
        &[Uuid::from_u128(1)],
        query("filter[words][_gt]=5").filter.as_ref(),
        &articles(),
        admin(),
        &stamp(),
    )
    .unwrap();
    insta::assert_snapshot!(shown(&plan));
    let keys =
        plan_keys(&query("filter[id][_gt]=5&limit=10"), &articles(), admin(), (access::Action::Delete, &[]));
    insta::assert_snapshot!(shown(&keys.unwrap()));
}

#[test]
fn refusals_come_before_any_statement() {
    let code = |text: &str| plan_read(&query(text), &articles(), admin()).unwrap_err().code;
    assert_eq!(code("fields=nope"), ErrorCode::Forbidden);
    assert_eq!(code("sort=nope"), ErrorCode::Forbidden);
    assert_eq!(code("sort=meta"), ErrorCode::InvalidQuery);
    assert_eq!(code("sort=token"), ErrorCode::Forbidden);
    assert_eq!(code("filter[nope][_eq]=1"), ErrorCode::Forbidden);
    assert_eq!(code("filter[id][_eq]=abc"), ErrorCode::InvalidQuery);
    assert_eq!(code("filter[id][_contains]=1"), ErrorCode::InvalidQuery);
    assert_eq!(code("filter[token][_eq]=x"), ErrorCode::InvalidQuery);
    assert_eq!(code("filter[token][_contains]=x"), ErrorCode::InvalidQuery);
    assert_eq!(code("filter[meta][_eq]=x"), ErrorCode::InvalidQuery);
    let codes = |body: &str| create(body).unwrap_err().0.iter().map(|e| e.code).collect::<Vec<_>>();
    assert_eq!(codes("{}"), [ErrorCode::FailedValidation]);
    assert_eq!(
        codes(r#"{"title":null,"words":"x"}"#),
        [ErrorCode::FailedValidation, ErrorCode::InvalidPayload]
    );
}

#[test]
fn nobody_but_an_admin_gets_a_plan() {
    let none = Reader { access: &NONE, ..admin() };
    assert_eq!(plan_read(&query(""), &articles(), none).unwrap_err().code, ErrorCode::Forbidden);
    assert_eq!(plan_read_one(&query(""), &articles(), none).unwrap_err().code, ErrorCode::Forbidden);
    assert!(plan_delete(Deletion::Whole, &[], &[], None, &articles(), none, &stamp()).is_err());
}

#[test]
fn the_public_table_is_the_only_table_a_name_can_reach() {
    let plan = plan_read(&query("fields=body"), &notes(), admin()).unwrap();
    assert!(plan.statement.sql.contains("FROM \"public\".\"no\"\"tes\" t"));
}

mod no_client_text_in_sql {
    use super::{admin, create, query};
    use crate::plan_read;
    use crate::shape::tests::articles;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_are_bound(text in "[a-zA-Z'\"\\\\;%_ -]{6,40}") {
            let marked = format!("zq9{text}zq9");
            let body = serde_json::json!({ "title": marked, "status": marked.chars().take(20).collect::<String>() });
            if let Ok(statement) = create(&body.to_string()) {
                prop_assert!(!statement.sql.contains("zq9"));
            }
            let filter = serde_json::json!({ "_or": [
                { "title": { "_contains": marked } }, { "title": { "_in": [marked] } }, { "title": { "_eq": marked } }
            ] });
            let mut asked = query("fields=id&limit=1");
            asked.filter = query(&format!("filter={}", urlencoded(&filter.to_string()))).filter;
            let plan = plan_read(&asked, &articles(), admin()).unwrap();
            prop_assert!(!plan.statement.sql.contains("zq9"));
        }
    }

    fn urlencoded(text: &str) -> String {
        text.bytes().map(|byte| format!("%{byte:02X}")).collect()
    }
}

/// A collection whose places PostGIS keeps.
fn places() -> model::Collection {
    use crate::shape::tests::field;
    use model::{FieldType, GeometryKind};
    let mut collection = notes();
    collection.name = "places".to_owned();
    let kinds = [
        ("at", GeometryKind::Point, "geometry(Point,4326)"),
        ("any", GeometryKind::Any, "ext.geometry"),
        ("globe", GeometryKind::Polygon, "geography(Polygon,4326)"),
    ];
    for (name, kind, column) in kinds {
        collection.fields.push(field(name, FieldType::Geometry(kind), column));
    }
    collection
}

#[test]
fn geometries_are_texts_of_postgis_on_their_way_in_and_geojson_on_their_way_out() {
    let (payloads, _) = parse_payloads(br#"{"at":{"type":"Point","coordinates":[1,2]},"any":null}"#).unwrap();
    let ids = [Uuid::from_u128(1)];
    let needs = CreateNeeds { event_ids: &ids, fresh_keys: &ids };
    let fields = query("fields=at,any,globe");
    let plan = plan_create(&payloads, &needs, &fields, &places(), admin(), &stamp()).unwrap();
    insta::assert_snapshot!(shown(&plan));
    let filter = |operator: &str, field: &str| {
        let text = format!(
            r#"fields=id&filter={{"{field}":{{"{operator}":{{"type":"Point","coordinates":[1,2]}}}}}}"#
        );
        plan_read(&query(&text), &places(), admin()).map(|plan| shown(&plan.statement))
    };
    insta::assert_snapshot!(filter("_intersects", "at").unwrap());
    insta::assert_snapshot!(filter("_nintersects", "any").unwrap());
    insta::assert_snapshot!(filter("_nintersects_bbox", "globe").unwrap());
    let refused = filter("_intersects", "body").unwrap_err();
    assert!(refused.message.contains("\"text\" field type does not contain"), "{refused:?}");
    let refused = plan_read(&query("filter[at][_eq]=x"), &places(), admin()).unwrap_err();
    assert!(refused.message.contains("\"geometry\" field type does not contain"), "{refused:?}");
}

#[test]
fn geometries_that_a_field_cannot_hold_are_refused() {
    for (field, value, reason) in [
        ("at", r#"{"type":"LineString","coordinates":[[1,2],[3,4]]}"#, "must be a Point, not a LineString"),
        ("at", r#"{"type":"Point","coordinates":[1,2,3]}"#, "must have positions of 2 numbers"),
        ("at", r#""POINT(1 2)""#, "must be a GeoJSON geometry"),
        ("any", "7", "must be a GeoJSON geometry"),
    ] {
        let body = format!(r#"{{"{field}":{value}}}"#);
        let (payloads, _) = parse_payloads(body.as_bytes()).unwrap();
        let ids = [Uuid::from_u128(1)];
        let needs = CreateNeeds { event_ids: &ids, fresh_keys: &ids };
        let plan = plan_create(&payloads, &needs, &query(""), &places(), admin(), &stamp());
        let error = &plan.unwrap_err().0[0];
        assert_eq!(error.code, ErrorCode::InvalidPayload);
        assert_eq!(error.extensions["reason"].as_str().unwrap(), format!("\"{field}\" {reason}"));
    }
}

mod reading {
    //! The query language -> SQL, feature by feature.

    use super::{admin, query, shown};
    use crate::plan_read;

    fn posts(text: &str) -> String {
        let posts = admin().schema.collection("posts").unwrap();
        match plan_read(&query(text), posts, admin()) {
            Ok(plan) => shown(&plan.statement),
            Err(error) => format!("{:?} {}", error.code, error.message),
        }
    }

    #[test]
    fn related_items_are_sub_selects() {
        insta::assert_snapshot!(posts("fields=id,author.name,year(at)"));
        insta::assert_snapshot!(posts("fields=*&limit=2"));
        insta::assert_snapshot!(posts(
            "fields=tags.tags_id.name,t.id&alias[t]=children&deep[tags][_limit]=3&deep[tags][_sort]=-id&deep[t][_filter][title][_nnull]=true"
        ));
        insta::assert_snapshot!(posts("fields=blocks.item:headings.text,blocks.item:notes.*"));
        insta::assert_snapshot!(posts("fields=author.*.title&backlink=false"));
    }

    #[test]
    fn filters_follow_relations() {
        insta::assert_snapshot!(posts(
            r#"fields=id&filter={"author":{"name":{"_eq":"x"}},"tags":{"tags_id":{"name":{"_istarts_with":"50%"}}}}"#
        ));
        insta::assert_snapshot!(posts(
            r#"fields=id&filter={"_and":[{"children":{"title":{"_eq":"a"}}},{"children":{"id":{"_gt":5}}}]}"#
        ));
        insta::assert_snapshot!(posts(
            r#"fields=id&filter={"_or":[{"children":{"_none":{"title":{"_null":true}}}},{"author":{"name":{"_null":true}}},{"tags":{"_null":true}}]}"#
        ));
        insta::assert_snapshot!(posts(
            r#"fields=id&filter={"blocks":{"item:headings":{"text":{"_nempty":true}}}}"#
        ));
        insta::assert_snapshot!(posts(
            r#"fields=id&filter={"year(at)":{"_between":[2020,"2024"]},"count(tags)":{"_gt":1},"at":{"_lt":"$NOW(-1 day)"},"author":{"_in":["$CURRENT_USER.id"]}}"#
        ));
    }

    #[test]
    fn order_search_and_figures() {
        insta::assert_snapshot!(posts("fields=id&sort=-author.name,year(at)&search=12&limit=5"));
        insta::assert_snapshot!(posts(
            "aggregate[count]=*&aggregate[sum]=price&aggregate[max]=at&groupBy=author,year(at)&sort=-count,author&filter[price][_gt]=1&limit=7"
        ));
        insta::assert_snapshot!(posts("fields=id&sort=-tags.tags_id.name,children&limit=1"));
        insta::assert_snapshot!(posts("aggregate[countDistinct]=title&search=zzz"));
        insta::assert_snapshot!(posts(
            "fields=id,tags.id&deep[tags][_aggregate][count]=*&deep[tags][_group]=tags_id&deep[tags][_filter][id][_gt]=1&deep[tags][_limit]=2"
        ));
    }

    #[test]
    fn what_is_refused() {
        for (text, expected) in [
            ("fields=nope.id", "Forbidden"),
            ("fields=author.nope", "Forbidden"),
            ("fields=title.id", "Forbidden"),
            ("fields=*.nope", "Forbidden"),
            ("fields=year(title)", "InvalidQuery"),
            ("fields=count(title)", "InvalidQuery"),
            ("sort=blocks.item.text", "Forbidden"),
            ("sort=tags.nope", "Forbidden"),
            ("filter[author][_some][id]=1", "InvalidQuery"),
            ("filter[title][id]=1", "Forbidden"),
            ("filter[blocks][item][text]=1", "Forbidden"),
            ("filter[blocks][item:nope][title]=1", "Forbidden"),
            ("sort=year(author.at)", "Forbidden"),
            ("sort=json(title,a)", "Forbidden"),
            ("filter[author.name][_eq]=1", "Forbidden"),
            ("filter[year(at)][_contains]=1", "InvalidQuery"),
            ("filter[at][_lt]=$NOW(soon)", "InvalidQuery"),
            ("filter[price][_between]=1", "InvalidQuery"),
            ("aggregate[avg]=title", "InvalidQuery"),
            ("aggregate[sum]=*", "InvalidQuery"),
            ("groupBy=tags", "Forbidden"),
            ("groupBy=title&sort=price", "Forbidden"),
            ("deep[author][_aggregate][count]=*&fields=author.id", "InvalidQuery"),
        ] {
            let said = posts(text);
            assert!(said.starts_with(expected), "{text}: {said}");
        }
        let far = format!("fields={}title", "author.posts.".repeat(6));
        assert!(posts(&far).starts_with("InvalidQuery"));
        assert!(posts("fields=*.*.*.*.*.*.*.*.*").starts_with("InvalidQuery"));
    }
}

/// The parts of a statement that tell the requests apart whose writes go together.
#[test]
fn writes_of_several_requests_are_one_statement() {
    let stamps =
        [stamp(), Stamp { request_id: Some("r2".to_owned()), batch_id: Uuid::from_u128(9), ..stamp() }];
    let together = Stamp::together(&stamps).unwrap();
    let alone = Stamp::together(&stamps[1..]).unwrap();
    assert!(alone.each.is_empty() && alone.request_id.as_deref() == Some("r2"));
    let ids = [Uuid::from_u128(1), Uuid::from_u128(2)];
    let keys = ["1".to_owned(), "2".to_owned()];
    let (payloads, _) = parse_payloads(br#"[{"title":"a"},{"title":"b"}]"#).unwrap();
    let needs = CreateNeeds { event_ids: &ids, fresh_keys: &[] };
    let created =
        plan_create(&payloads, &needs, &query("fields=id"), &articles(), admin(), &together).unwrap();
    insta::assert_snapshot!(shown(&created));
    let change = UpdateChange { keys: &keys, payloads: &payloads, event_ids: &ids, filter: None };
    let changed =
        plan_update(&change, &query("fields=id"), &articles(), admin(), &together).unwrap().unwrap();
    insta::assert_snapshot!(shown(&changed));
}

#[test]
fn what_nothing_hangs_on_goes_in_one_statement() {
    let (articles, notes) = (articles(), notes());
    let references = [Reference { many: &notes, column: "article", one: &articles, target: "id" }];
    let alone = Deletion::Alone(Hanging { references: &references, versions: Some(&notes) });
    let keys = ["1".to_owned(), "2".to_owned()];
    let ids = [Uuid::from_u128(1), Uuid::from_u128(2)];
    insta::assert_snapshot!(shown(
        &plan_delete(alone, &keys, &ids, None, &articles, admin(), &stamp()).unwrap()
    ));
}

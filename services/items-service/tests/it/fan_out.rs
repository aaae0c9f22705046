//! What a page per parent costs where one parent has 20,000 children: as much as it shows, not as much as there is.

use proto::items::v1::ReadItemsRequest;
use proto::schema::v1::schema_service_client::SchemaServiceClient;
use proto::schema::v1::{CreateRelationRequest, FieldRequest};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::Service;

/// Children of the one parent that has many; the others have twenty each.
const FAN_OUT: i64 = 20_000;
const PARENTS: i64 = 50;
/// Children of each that are asked for.
const LIMIT: i64 = 10;

impl Service {
    pub async fn relation(&self, definition: Value) {
        let definition = definition.to_string().into();
        let mut schema = SchemaServiceClient::new(self.channel.clone());
        schema.create_relation(self.ask(CreateRelationRequest { definition })).await.unwrap();
    }

    /// Parents and tags with a junction between them, made as clients make them, filled by SQL.
    async fn parents_with_tags(&self) {
        let text = json!({"field": "name", "type": "string"});
        let number = |name: &str| json!({"field": name, "type": "integer"});
        let alias = json!({"field": "tags", "type": "alias", "meta": {"special": ["m2m"]}});
        self.collection(json!({"collection": "parents", "schema": {}, "fields": [text, alias]})).await;
        self.collection(json!({"collection": "tags", "schema": {}, "fields": [text]})).await;
        let fields = [number("parent"), number("tag"), number("place"), number("weight")];
        self.collection(json!({"collection": "tagged", "schema": {}, "fields": fields})).await;
        let meta = json!({"one_field": "tags", "junction_field": "tag", "sort_field": "place"});
        let to = |field: &str, related: &str, meta: Value| json!({"collection": "tagged", "field": field, "related_collection": related, "meta": meta});
        self.relation(to("parent", "parents", meta)).await;
        self.relation(to("tag", "tags", json!({"junction_field": "parent"}))).await;
        let fill = format!(
            "INSERT INTO parents (name) SELECT 'parent ' || n FROM generate_series(1, {PARENTS}) n;
             INSERT INTO tags (name) SELECT 'tag ' || n FROM generate_series(1, 500) n;
             INSERT INTO tagged (parent, tag, place, weight) SELECT 1, 1 + n % 500, n * 7 % {FAN_OUT}, n * 13 % 1000
             FROM generate_series(1, {FAN_OUT}) n;
             INSERT INTO tagged (parent, tag, place, weight) SELECT 2 + n % ({PARENTS} - 1), 1 + n % 500, n, n
             FROM generate_series(0, 20 * ({PARENTS} - 1) - 1) n;"
        );
        for statement in fill.split_inclusive(';') {
            sqlx::query(AssertSqlSafe(statement)).execute(&self.pool).await.unwrap();
        }
        for table in ["parents", "tags", "tagged"] {
            sqlx::query(AssertSqlSafe(format!("VACUUM ANALYZE {table}"))).execute(&self.pool).await.unwrap();
        }
    }

    /// The answer to a query, and what PostgreSQL does for it.
    async fn explained(&self, query: &str) -> (Value, Value) {
        // Held before the read: the session that reads keeps its statement.
        let mut other = self.pool.acquire().await.unwrap();
        let query = query::Query::from_query_string(query).unwrap().to_bytes().into();
        let request = ReadItemsRequest { collection: "parents".to_owned(), query, ..Default::default() };
        let answer = self.items().read_items(self.ask(request)).await.unwrap().into_inner();
        let sql: String = sqlx::query_scalar(
            "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
             AND query LIKE 'SELECT%\"tagged\"%\"parents\"%' ORDER BY state_change DESC LIMIT 1",
        )
        .fetch_one(&mut *other)
        .await
        .unwrap();
        assert!(sql.len() < 1_000, "PostgreSQL cuts what it shows: {sql}");
        let explain = format!("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {sql}");
        let plan: Value = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_one(&mut *other).await.unwrap();
        (serde_json::from_slice(&answer.items).unwrap(), plan[0]["Plan"].clone())
    }
}

/// Every node of a plan.
fn nodes(plan: &Value) -> Vec<&Value> {
    let below = plan["Plans"].as_array().into_iter().flatten().flat_map(nodes);
    [plan].into_iter().chain(below).collect()
}

/// How many rows the nodes over a table have read, those that a condition dropped included.
fn rows_of(plan: &Value, table: &str) -> i64 {
    let number = |node: &Value, name: &str| node[name].as_f64().unwrap_or_default();
    let scans = nodes(plan).into_iter().filter(|node| node["Relation Name"] == table);
    let rows = scans.map(|node| {
        (number(node, "Actual Rows") + number(node, "Rows Removed by Filter")) * number(node, "Actual Loops")
    });
    #[expect(clippy::cast_possible_truncation, reason = "counts of rows")]
    let rows = rows.sum::<f64>() as i64;
    rows
}

fn buffers(plan: &Value) -> i64 {
    ["Shared Hit Blocks", "Shared Read Blocks"].iter().filter_map(|name| plan[name].as_i64()).sum()
}

fn check_answer(answer: &Value) {
    let parents = answer.as_array().unwrap();
    assert_eq!(parents.len(), usize::try_from(PARENTS).unwrap());
    for parent in parents {
        let tags = parent["tags"].as_array().unwrap();
        assert_eq!(tags.len(), usize::try_from(LIMIT).unwrap());
        assert!(tags.iter().all(|tag| tag["tag"]["name"].is_string()), "{parent}");
    }
}

/// In the order of the relation, by its key, and backwards: the index of the reference gives the page, so nothing is read
/// that is not shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_20_000_children_reads_the_page() {
    let service = Service::start().await;
    service.parents_with_tags().await;
    // Backwards the key is no part of the order that the index has: some more are read to sort those with equal places.
    for (sort, most) in [("", 11), ("&deep[tags][_sort]=place", 11), ("&deep[tags][_sort]=-place", 40)] {
        let (answer, plan) =
            service.explained(&format!("fields=tags.tag.name&deep[tags][_limit]={LIMIT}{sort}")).await;
        check_answer(&answer);
        let shown = PARENTS * LIMIT;
        assert!(rows_of(&plan, "tagged") <= PARENTS * most, "{sort}: {plan:#}");
        assert!(buffers(&plan) < 4 * shown + 8 * PARENTS, "{sort}: {} buffers, {plan:#}", buffers(&plan));
    }
}

/// In an order that no index has: all children are looked at once, each under its parent, and what they lead to is
/// read for those of the page only.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_page_leaves_out_is_not_followed() {
    let service = Service::start().await;
    service.parents_with_tags().await;
    let query = format!("fields=tags.tag.name&deep[tags][_limit]={LIMIT}&deep[tags][_sort]=-weight");
    let (answer, plan) = service.explained(&query).await;
    check_answer(&answer);
    let all = FAN_OUT + 20 * (PARENTS - 1);
    assert!(rows_of(&plan, "tagged") <= all + PARENTS, "{plan:#}");
    assert!(rows_of(&plan, "tags") <= PARENTS * LIMIT, "{plan:#}");
}

/// The index of a reference comes and goes with its relation, and is none that a client has chosen.
#[tokio::test(flavor = "multi_thread")]
async fn references_have_an_index() {
    const INDEXES: &str =
        "SELECT count(*) FROM pg_indexes WHERE tablename = 'tagged' AND indexname LIKE '%_reference'";
    let service = Service::start().await;
    service.parents_with_tags().await;
    assert_eq!(service.count(INDEXES).await, 2);
    // Through a junction nobody reads its rows: the index holds where they lead.
    const OTHERS: &str = "SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%(tag, id) INCLUDE (parent)' \
                          OR indexdef LIKE '%(parent, place, id) INCLUDE (tag)'";
    assert_eq!(service.count(OTHERS).await, 2);
    let field = FieldRequest { collection: "tagged".to_owned(), field: "tag".to_owned() };
    let mut schema = SchemaServiceClient::new(service.channel.clone());
    let shown = schema.get_field(service.ask(field.clone())).await.unwrap().into_inner();
    let shown: Value = serde_json::from_slice(&shown.json).unwrap();
    assert_eq!(shown["schema"]["is_indexed"], false);
    schema.delete_relation(service.ask(field)).await.unwrap();
    assert_eq!(service.count(INDEXES).await, 1);
}

//! What a read costs and how it is made: explanations, kept plans, limits in time, lines about slow ones, budgets.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Api};
use crate::world::{Options, World};

/// Stands in filters, and nowhere else.
const VALUE: &str = "zq9zq9";
const SOON: Duration = Duration::from_secs(20);

/// Articles of authors.
async fn library(options: Options) -> World {
    let world = World::with(shape!(), options).await;
    world.collection("authors", json!([{"field": "name", "type": "string"}])).await;
    let fields = json!([{"field": "title", "type": "string"}, {"field": "author", "type": "integer"}]);
    world.collection("articles", fields).await;
    let relation = json!({"collection": "articles", "field": "author", "related_collection": "authors"});
    world.api.post("/relations", relation).await.expect(200);
    world.api.post("/items/authors", json!({"name": "a"})).await.expect(200);
    world.api.post("/items/articles", json!([{"title": "x", "author": 1}, {"title": "y"}])).await.expect(200);
    world
}

/// What the processes count, under this name and labels.
pub async fn counted(world: &World, metric: &str) -> f64 {
    let mut sum = 0.0;
    for process in &world.processes {
        let text = Api::new(format!("http://{}", process.admin), None).get("/metrics").await.expect(200).text;
        let found = text.lines().filter_map(|line| line.strip_prefix(metric)?.trim().parse::<f64>().ok());
        sum += found.sum::<f64>();
    }
    sum
}

fn is_explained(answer: &Answer) -> Value {
    let data = answer.data();
    assert!(data["sql"].as_str().unwrap().starts_with("SELECT "), "{data}");
    assert!(data["explain"][0]["Plan"]["Node Type"].is_string(), "{data}");
    for part in ["plan", "sql", "bindings"] {
        assert!(!data[part].to_string().contains(VALUE), "{data}");
    }
    data
}

#[tokio::test]
async fn administrators_see_how_a_list_is_made() {
    let world = library(Options::default()).await;
    let api = &world.api;
    let filter = format!(
        r#"{{"_and":[{{"title":{{"_contains":"{VALUE}"}}}},{{"author":{{"name":{{"_eq":"{VALUE}"}}}}}}]}}"#
    );
    let query = format!("fields=id,author.name&filter={filter}&sort=-title,author.name&limit=7&page=2");
    let query = query.replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
    let data = is_explained(&api.get(&format!("/items/articles?explain=true&{query}")).await.expect(200));
    let expected = json!({
        "collection": "articles",
        "fields": ["id"],
        "relations": {"author": {"collection": "authors", "fields": ["name"]}},
        "filter": {"_and": [{"title": "_contains"}, {"author": {"name": "_eq"}}]},
        "sort": ["-title", "author.name"],
        "limit": 7,
        "page": 2,
    });
    assert_eq!(data["plan"], expected);
    assert_eq!((&data["bindings"], &data["statement"]), (&json!(["text", "text"]), &json!("items.read")));
    assert!(data["explain"][0]["Execution Time"].is_null(), "it was not run");
    let run = is_explained(&api.get("/items/articles?explain=analyze").await.expect(200));
    assert!(run["explain"][0]["Execution Time"].is_number(), "{run}");
    assert_eq!(run["plan"]["fields"], json!(["*"]));
    let figures = api.get("/items/articles?aggregate[count]=*&groupBy=author&explain").await.expect(200);
    let figures = is_explained(&figures);
    assert_eq!(figures["plan"]["figures"], json!(["count(*)"]));
    assert_eq!(figures["statement"], "items.figures");
    let search = Method::from_bytes(b"SEARCH").unwrap();
    let body = json!({"keys": [1], "query": {"search": VALUE}});
    let found = api.call(search, "/items/articles?explain=true", Some(body)).await.expect(200);
    assert_eq!(is_explained(&found)["plan"]["search"], true);
    is_explained(&api.get("/users?explain=true").await.expect(200));
    // Who does not ask gets his items.
    assert_eq!(
        api.get("/items/articles?explain=false&fields=id").await.expect(200).data(),
        json!([{"id": 1}, {"id": 2}])
    );
}

#[tokio::test]
async fn explanations_are_for_administrators_and_of_good_queries() {
    let world = library(Options::default()).await;
    world.user("user@example.com", "token-of-a-user-0123456789").await;
    for who in [None, Some("token-of-a-user-0123456789")] {
        for path in ["/items/articles?explain=true", "/items/nope?explain=analyze", "/users?explain=true"] {
            world.api.with_token(who).get(path).await.refused(403, "FORBIDDEN");
        }
    }
    let api = &world.api;
    api.get("/items/articles?explain=yes").await.refused(400, "INVALID_QUERY");
    api.get("/items/nope?explain=true").await.refused(403, "FORBIDDEN");
    api.get("/items/articles?explain=true&fields=nope").await.refused(403, "FORBIDDEN");
    api.get("/items/articles?explain=true&limit=x").await.refused(400, "INVALID_QUERY");
    let described = api.get("/server/specs/oas").await.expect(200).json();
    assert_eq!(described["components"]["parameters"]["Explain"]["name"], "explain");
}

#[tokio::test]
async fn a_query_that_comes_again_is_planned_once_and_never_against_an_old_schema() {
    let world = library(Options::default()).await;
    let (hits, misses) = (r#"eventus_plans_total{outcome="hit"}"#, r#"eventus_plans_total{outcome="miss"}"#);
    let path = "/items/articles?fields=*&filter[title][_neq]=never&sort=id";
    let before = world.api.get(path).await.expect(200).data();
    let (hit, miss) = (counted(&world, hits).await, counted(&world, misses).await);
    for _ in 0..10 {
        assert_eq!(world.api.get(path).await.expect(200).data(), before);
        assert_eq!(world.api.get("/items/articles/2?fields=id").await.expect(200).data()["id"], 2);
        assert_eq!(world.api.get("/items/articles/1?fields=id").await.expect(200).data()["id"], 1);
    }
    let (hit, miss) = (counted(&world, hits).await - hit, counted(&world, misses).await - miss);
    assert!(hit >= 29.0 && miss <= 1.0, "{hit} {miss}");
    let field = json!({"field": "extra", "type": "integer", "schema": {"default_value": 5}});
    world.api.post("/fields/articles", field).await.expect(200);
    assert_eq!(world.api.get(path).await.expect(200).data()[0]["extra"], 5);
    // Somebody else's change is not told to anybody: the statement itself says that it no longer fits.
    sqlx::query("ALTER TABLE articles DROP COLUMN extra").execute(&world.pool().await).await.unwrap();
    let deadline = Instant::now() + SOON;
    while !world.api.get(path).await.expect(200).data()[0]["extra"].is_null() {
        assert!(Instant::now() < deadline);
    }
}

/// A time that was asked for once is not the time of the next request.
#[tokio::test]
async fn variables_are_those_of_the_request() {
    let world = World::start(shape!()).await;
    let at = json!({"field": "at", "type": "timestamp", "meta": {"special": ["date-created"]}});
    world.collection("notes", json!([at, {"field": "owner", "type": "uuid"}])).await;
    let mut users = Vec::new();
    for name in ["one", "two"] {
        let email = format!("{name}@example.com");
        let role = world.api.get("/users/me?fields=role").await.expect(200).data()["role"].clone();
        let token = format!("token-of-{name}-0123456789");
        let user = json!({"email": email, "role": role, "token": token});
        let id = world.api.post("/users", user).await.expect(200).data()["id"].clone();
        world.api.post("/items/notes", json!({"owner": id})).await.expect(200);
        users.push((world.api.with_token(Some(&token)), id));
    }
    let path = "/items/notes?fields=owner&filter[owner]=$CURRENT_USER";
    for _ in 0..3 {
        for (api, id) in &users {
            assert_eq!(api.get(path).await.expect(200).data(), json!([{ "owner": id }]));
        }
    }
    let path = "/items/notes?aggregate[count]=*&filter[at][_lte]=$NOW";
    for expected in 2..6 {
        assert_eq!(world.api.get(path).await.expect(200).data()[0]["count"], expected.to_string());
        world.api.post("/items/notes", json!({})).await.expect(200);
    }
}

#[tokio::test]
async fn a_read_that_takes_long_is_told_and_one_that_takes_too_long_is_stopped() {
    let options = Options::default().set("DB_STATEMENT_TIMEOUT", "3s").set("EVENTUS_SLOW_QUERY", "200ms");
    let world = library(options).await;
    let path = format!("/items/articles?fields=id,author.name&filter[title][_eq]={VALUE}");
    world.api.get(&path).await.expect(200);
    let pool = world.pool().await;
    let mut holder = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE authors IN ACCESS EXCLUSIVE MODE").execute(&mut *holder).await.unwrap();
    let begun = Instant::now();
    let refused = world.api.get(&path).await.refused(408, "OUT_OF_TIME");
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(refused.text.contains("took too long"), "{}", refused.text);
    holder.rollback().await.unwrap();
    world.api.get(&path).await.expect(200);
    let logs = world.whole_logs();
    let line = logs.lines().find(|line| line.contains("\"slow query\"")).unwrap_or_else(|| panic!("{logs}"));
    let line: Value = serde_json::from_str(line).unwrap();
    let plan = r#"{"collection":"articles","fields":["id"],"filter":{"title":"_eq"}"#;
    assert!(line.to_string().contains(&plan.replace('"', "\\\"")), "{line}");
    assert!(line.to_string().contains("items.read") && !line.to_string().contains(VALUE), "{line}");
}

#[tokio::test]
async fn what_costs_too_much_is_refused_by_name() {
    let world = library(Options::default()).await;
    let list = |count: usize, one: Value| Value::from(vec![one; count]);
    let nested = |levels: usize| (0..levels).fold(json!({"id": 1}), |inner, _| json!({"_and": [inner]}));
    let search = async |query: Value| {
        let method = Method::from_bytes(b"SEARCH").unwrap();
        world.api.call(method, "/items/articles", Some(json!({ "query": query }))).await
    };
    search(json!({"filter": {"_or": list(99, json!({"id": 1}))}})).await.expect(200);
    search(json!({"filter": nested(10)})).await.expect(200);
    let ways: Vec<String> = (0..101).map(|number| format!("r{number}.id")).collect();
    let names: Vec<String> = (0..500).map(|number| format!("f{number}")).collect();
    for (query, named) in [
        (
            json!({"filter": {"_or": list(100, json!({"id": 1}))}}),
            "101 conditions in filters: its budget is 100",
        ),
        (
            json!({"deep": {"author": {"_filter": {"_or": list(120, json!({"id": 1}))}}}}),
            "conditions in filters",
        ),
        (json!({"filter": nested(11)}), "11 levels in a filter: its budget is 10"),
        (json!({"deep": {"author": {"_filter": nested(12)}}}), "levels in a filter"),
        (json!({"fields": ways}), "101 relations: its budget is 100"),
        (
            json!({"fields": names, "sort": names, "alias": {"x": "id"}}),
            "1001 names and conditions: its budget is 1000",
        ),
    ] {
        let refused = search(query).await.refused(400, "INVALID_QUERY");
        assert!(refused.text.contains(named), "{named}: {}", refused.text);
    }
}

//! A page behind a cursor enters the index of its order, wherever it begins.

use access::Access;
use model::{Collection, Field, FieldType, KeySource, Schema};
use planner::{Binding, Reader, Variables, plan_page};
use query::Query;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;

const ITEMS: i64 = 20_000;

fn field(name: &str, kind: FieldType, column: &str, nullable: bool) -> Field {
    Field {
        name: name.to_owned(),
        kind,
        column_type: column.to_owned(),
        nullable,
        default: None,
        unique: false,
        validation: None,
        generated: false,
        special: Vec::new(),
        searchable: true,
        search: None,
        link: None,
    }
}

fn entries() -> Collection {
    Collection {
        name: "entries".to_owned(),
        view: None,
        primary_key: "id".to_owned(),
        key_source: KeySource::Client,
        first_version: 1,
        fields: vec![
            field("id", FieldType::Integer, "integer", false),
            field("sure", FieldType::Timestamp, "timestamp with time zone", false),
            field("perhaps", FieldType::Integer, "integer", true),
        ],
        singleton: false,
        sort_field: None,
        system: false,
    }
}

/// The plan that PostgreSQL makes for a page behind a place, with what it did.
async fn explained(pool: &db::Db, query: &str, place: &[Option<&str>]) -> Value {
    let now = OffsetDateTime::UNIX_EPOCH;
    let variables = Variables { now, user: None, role: None, roles: Vec::new(), policies: Vec::new() };
    let (schema, access) = (Schema { version: 1, ..Schema::default() }, Access::admin());
    let limits = planner::Limits::default();
    let reader = Reader { schema: &schema, access: &access, variables: &variables, limits };
    let query = Query::from_query_string(query).unwrap();
    let place = place.iter().map(|value| value.map(str::to_owned)).collect();
    let statement = plan_page(&query, &entries(), reader, Some(&place)).unwrap().statement;
    let sql = format!("EXPLAIN (ANALYZE, FORMAT JSON) {}", statement.sql);
    let mut explain = sqlx::query_scalar::<_, Value>(AssertSqlSafe(sql));
    for binding in &statement.bindings {
        let Binding::Text(text) = binding else { panic!("a page binds texts: {binding:?}") };
        explain = explain.bind(text);
    }
    explain.fetch_one(pool).await.unwrap()
}

/// Nodes of a plan with their names, what they were entered by, and how many rows they gave and threw away.
fn nodes(plan: &Value, found: &mut Vec<(String, String, f64)>) {
    let text = |name: &str| plan[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| plan[name].as_f64().unwrap_or_default();
    let rows =
        number("Actual Rows") + number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
    found.push((text("Node Type"), text("Index Cond"), rows));
    for below in plan["Plans"].as_array().into_iter().flatten() {
        nodes(below, found);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_enters_the_index() {
    let world = testkit::World::start("items").await;
    let pool = &world.db;
    for sql in [
        "CREATE TABLE public.entries (id integer PRIMARY KEY, sure timestamptz NOT NULL, perhaps integer)",
        "INSERT INTO public.entries SELECT n, '2026-01-01'::timestamptz + (n % 5000) * interval '1 ms', \
         CASE WHEN n % 10 > 0 THEN n % 4000 END FROM generate_series(1, 20000) n",
        "CREATE INDEX ON public.entries (sure)",
        "CREATE INDEX ON public.entries (perhaps)",
        "VACUUM ANALYZE public.entries",
    ] {
        sqlx::query(sql).execute(pool).await.unwrap();
    }
    let at = Some("2026-01-01T00:00:04.9+00:00");
    for (query, place) in [
        ("fields=id&limit=20&cursor=x", &[Some("19000")][..]),
        ("fields=id&limit=20&cursor=x&sort=-id", &[Some("1000")][..]),
        ("fields=id&limit=20&cursor=x&sort=sure", &[at, Some("4900")][..]),
        ("fields=id&limit=20&cursor=x&sort=-sure", &[at, Some("4900")][..]),
        ("fields=id&limit=20&cursor=x&sort=sure,-id", &[at, Some("4900")][..]),
        ("fields=id&limit=20&cursor=x&sort=perhaps", &[Some("3901"), Some("7901")][..]),
        ("fields=id&limit=20&cursor=x&sort=-perhaps", &[Some("99"), Some("99")][..]),
    ] {
        let plan = explained(pool, query, place).await;
        let mut found = Vec::new();
        nodes(&plan[0]["Plan"], &mut found);
        let entered: Vec<_> = found
            .iter()
            .filter(|(node, condition, _)| {
                node.contains("Index") && (condition.contains('>') || condition.contains('<'))
            })
            .collect();
        assert!(!entered.is_empty(), "{query}: {found:?}");
        assert!(!found.iter().any(|(node, ..)| node == "Seq Scan"), "{query}: {found:?}");
        // A page and those that are equal to its ends, never the way to it.
        let most = found.iter().map(|(.., rows)| *rows).fold(0.0, f64::max);
        assert!(most < 1_000.0, "{query}: {most} of {ITEMS}: {found:?}");
    }
}

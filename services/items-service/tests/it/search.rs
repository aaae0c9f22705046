//! The statements of a search by managed indexes, looked at with EXPLAIN on a table of some size.

use access::Access;
use model::{Collection, Field, FieldType, KeySource, Schema, SearchIndex};
use planner::{Binding, Reader, Variables, plan_read, search_index_parts};
use query::Query;
use sqlx::{AssertSqlSafe, Row as _};
use time::OffsetDateTime;

const TABLE: &str = "
    CREATE TABLE documents (id serial PRIMARY KEY, title varchar(255), body text, rank integer);
    INSERT INTO documents (title, body, rank)
    SELECT 'title ' || md5(n::text) || CASE WHEN n % 1000 = 0 THEN ' runners' ELSE '' END,
           (SELECT string_agg('word' || (n * w) % 5000, ' ') FROM generate_series(1, 10) w)
               || CASE WHEN n % 2 = 0 THEN ' common' ELSE '' END,
           n % 7
    FROM generate_series(1, 20000) n;
    CREATE INDEX ON documents (rank)";

fn field(name: &str, kind: FieldType, column_type: &str, search: Option<SearchIndex>) -> Field {
    Field {
        name: name.to_owned(),
        kind,
        column_type: column_type.to_owned(),
        nullable: true,
        default: None,
        unique: name == "id",
        validation: None,
        generated: false,
        special: Vec::new(),
        searchable: true,
        search,
        link: None,
    }
}

fn documents(title: SearchIndex, body: SearchIndex) -> Collection {
    Collection {
        name: "documents".to_owned(),
        view: None,
        primary_key: "id".to_owned(),
        key_source: KeySource::Client,
        first_version: 1,
        fields: vec![
            field("id", FieldType::Integer, "integer", None),
            field("title", FieldType::String, "character varying(255)", Some(title)),
            field("body", FieldType::Text, "text", Some(body)),
            field("rank", FieldType::Integer, "integer", None),
        ],
        singleton: false,
        sort_field: None,
        system: false,
    }
}

/// PostgreSQL's plan of a query, made for its values or, as of a statement that was run often, for any.
async fn explained(pool: &db::Db, documents: &Collection, query: &str, mode: &'static str) -> String {
    let (schema, access) = (Schema::default(), Access::admin());
    let variables = Variables {
        now: OffsetDateTime::UNIX_EPOCH,
        user: None,
        role: None,
        roles: Vec::new(),
        policies: Vec::new(),
    };
    let limits = planner::Limits::default();
    let reader = Reader { schema: &schema, access: &access, variables: &variables, limits };
    let statement =
        plan_read(&Query::from_query_string(query).unwrap(), documents, reader).unwrap().statement;
    let types: Vec<&str> = statement.bindings.iter().map(|_| "text").collect();
    let values: Vec<String> = statement
        .bindings
        .iter()
        .map(|binding| match binding {
            Binding::Text(Some(text)) => format!("'{}'", text.replace('\'', "''")),
            other => panic!("no text: {other:?}"),
        })
        .collect();
    let mut conn = pool.acquire().await.unwrap();
    let prepare = format!(
        "SET plan_cache_mode = {mode}; DEALLOCATE ALL; PREPARE asked ({}) AS {}",
        types.join(", "),
        statement.sql
    );
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *conn).await.unwrap();
    let execute = format!("EXPLAIN (COSTS OFF) EXECUTE asked ({})", values.join(", "));
    let rows = sqlx::raw_sql(AssertSqlSafe(execute)).fetch_all(&mut *conn).await.unwrap();
    conn.close_on_drop();
    rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>().join("\n")
}

async fn index(pool: &db::Db, name: &str, field: &str, index: &SearchIndex) {
    let parts = search_index_parts(field, index).join(", ");
    let sql = format!("SET statement_timeout = 0; CREATE INDEX {name} ON documents USING gin ({parts})");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.unwrap();
}

#[tokio::test]
async fn a_search_goes_through_its_indexes() {
    let servers = testkit::World::start("search").await;
    let pool = servers.db.clone();
    sqlx::raw_sql(TABLE).execute(&pool).await.unwrap();
    let title = SearchIndex::Words(vec!["english".to_owned(), "german".to_owned()]);
    let body = SearchIndex::Words(vec!["simple".to_owned()]);
    let documents = documents(title.clone(), body.clone());
    index(&pool, "by_title", "title", &title).await;
    index(&pool, "by_body", "body", &body).await;
    sqlx::raw_sql("VACUUM ANALYZE documents").execute(&pool).await.unwrap();
    for query in [
        "fields=id&search=runner",
        "fields=id&search=runner&limit=1",
        "fields=id&search=common&limit=5",
        "fields=id&search=nowhere&sort=-id&limit=1",
        "fields=id,_excerpt&search=runner&sort=-_relevance&limit=10",
        "fields=id&search=runner&sort=rank&limit=10&meta=filter_count",
        "fields=id&search=7",
        "aggregate[count]=*&search=runner",
    ] {
        for mode in ["force_custom_plan", "force_generic_plan"] {
            let plan = explained(&pool, &documents, query, mode).await;
            assert!(plan.contains("Bitmap Index Scan on by_title"), "{query} {mode}\n{plan}");
            assert!(plan.contains("Bitmap Index Scan on by_body"), "{query} {mode}\n{plan}");
            assert!(!plan.contains("Seq Scan"), "{query} {mode}\n{plan}");
        }
    }
    let found: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM documents WHERE to_tsvector('english', left(title, 100000)) @@ to_tsquery('english', 'runner')",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(found, 20);
}

#[tokio::test]
async fn a_search_of_parts_goes_through_its_index() {
    let servers = testkit::World::start("search").await;
    let pool = servers.db.clone();
    if sqlx::raw_sql("CREATE EXTENSION pg_trgm").execute(&pool).await.is_err() {
        println!("the server has no pg_trgm");
        return;
    }
    sqlx::raw_sql(TABLE).execute(&pool).await.unwrap();
    let parts = SearchIndex::Trigrams { schema: "public".to_owned() };
    let documents = documents(parts.clone(), parts.clone());
    index(&pool, "by_title", "title", &parts).await;
    index(&pool, "by_body", "body", &parts).await;
    sqlx::raw_sql("VACUUM ANALYZE documents").execute(&pool).await.unwrap();
    for query in ["fields=id&search=unner", "fields=id,_excerpt&search=RUNN&sort=-_relevance&limit=10"] {
        for mode in ["force_custom_plan", "force_generic_plan"] {
            let plan = explained(&pool, &documents, query, mode).await;
            assert!(plan.contains("Bitmap Index Scan on by_title"), "{query} {mode}\n{plan}");
            assert!(plan.contains("Bitmap Index Scan on by_body"), "{query} {mode}\n{plan}");
        }
    }
}

//! Reading and writing under rules, on PostgreSQL: plans made with hand-made [`Access`] values are run on a shop whose
//! items, fields and relations are seen in part.

use std::sync::Arc;

use access::{Access, Action, Fields, Rule};
use model::{ErrorCode, Filter};
use planner::{Limits, Reader, Variables};
use query::Query;
use serde_json::{Value, json};
use sqlx::Row as _;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::execute;
use crate::snapshot::{Snapshot, Snapshots};

mod fields;
mod items;
mod nested;
mod pages;
mod past;
mod relations;
mod search;
mod variables;
mod writes;

/// Ann writes articles, Bob too, and Eve is hidden. Each article has notes for its author's eyes.
const SHOP: &str = r#"
CREATE TABLE authors (id integer PRIMARY KEY, name text, salary integer, token varchar(255), boss integer REFERENCES authors);
CREATE TABLE articles (id integer PRIMARY KEY, title text, status varchar(20), notes text, words integer,
    published_at timestamptz, author integer REFERENCES authors);
CREATE TABLE tags (id integer PRIMARY KEY, name text);
CREATE TABLE articles_tags (id integer PRIMARY KEY, articles_id integer REFERENCES articles, tags_id integer REFERENCES tags);
INSERT INTO authors VALUES (1, 'Ann', 100, 'token of Ann', NULL), (2, 'Bob', 200, 'token of Bob', 1), (3, 'Eve', 300, NULL, 1);
INSERT INTO articles VALUES
    (1, 'one', 'published', 'first of Ann', 10, '2026-01-01', 1), (2, 'two', 'draft', 'second of Ann', 20, '2026-01-02', 1),
    (3, 'three', 'published', 'first of Bob', 30, '2026-01-03', 2), (4, 'four', 'draft', 'second of Bob', 40, '2026-01-04', 2),
    (5, 'five', 'published', 'only one of Eve', 50, '2026-01-05', 3), (6, 'six', 'published', NULL, 60, NULL, NULL);
INSERT INTO tags VALUES (1, 'open'), (2, 'secret');
INSERT INTO articles_tags VALUES (1, 1, 1), (2, 1, 2), (3, 3, 2);
INSERT INTO directus_collections (collection) VALUES ('authors'), ('articles'), ('tags'), ('articles_tags');
INSERT INTO directus_fields (collection, field, special) VALUES ('authors', 'articles', 'o2m'), ('articles', 'tags', 'm2m'),
    ('authors', 'token', 'conceal');
INSERT INTO directus_relations (many_collection, many_field, one_collection, one_field, junction_field) VALUES
    ('articles', 'author', 'authors', 'articles', NULL), ('authors', 'boss', 'authors', NULL, NULL),
    ('articles_tags', 'articles_id', 'articles', 'tags', 'tags_id'), ('articles_tags', 'tags_id', 'tags', NULL, 'articles_id');
"#;

/// The shop.
struct Shop {
    snapshot: Arc<Snapshot>,
    servers: testkit::World,
}

/// One who asks.
#[derive(Clone)]
struct Asker {
    access: Access,
    variables: Variables,
}

fn filter(value: Value) -> Filter {
    Query::from_json(&json!({"filter": value})).unwrap().filter.unwrap()
}

fn may(action: Action, collection: &str, fields: &[&str], items: Value) -> Rule {
    let fields = match fields {
        ["*"] => Fields::All,
        names => Fields::Named(names.iter().map(|name| (*name).to_owned()).collect()),
    };
    let items = (!items.is_null()).then(|| filter(items));
    Rule { collection: collection.to_owned(), action, items, fields }
}

fn read(collection: &str, fields: &[&str], items: Value) -> Rule {
    may(Action::Read, collection, fields, items)
}

fn asker(rules: impl IntoIterator<Item = Rule>) -> Asker {
    let now = OffsetDateTime::UNIX_EPOCH;
    let variables = Variables { now, user: None, role: None, roles: Vec::new(), policies: Vec::new() };
    Asker { access: Access::by(rules), variables }
}

/// Sees what is published and everything of Ann's, whose notes he sees; no salaries; nothing of Eve, no secret tag.
fn editor() -> Asker {
    asker([
        read(
            "articles",
            &["id", "title", "status", "author", "tags", "words"],
            json!({"status": {"_eq": "published"}}),
        ),
        read("articles", &["*"], json!({"author": {"name": {"_eq": "Ann"}}})),
        read("authors", &["id", "name", "articles", "token", "boss"], json!({"name": {"_neq": "Eve"}})),
        read("tags", &["*"], json!({"name": {"_neq": "secret"}})),
        read("articles_tags", &["*"], Value::Null),
    ])
}

impl Shop {
    async fn open() -> Self {
        let servers = testkit::World::start("rights").await;
        sqlx::raw_sql(SHOP).execute(&servers.db).await.unwrap();
        let snapshot = Snapshots::new(servers.db.clone()).refresh().await.unwrap();
        Self { snapshot, servers }
    }

    fn reader<'a>(&'a self, asker: &'a Asker) -> Reader<'a> {
        let (schema, variables) = (&self.snapshot.schema, &asker.variables);
        Reader { schema, access: &asker.access, variables, limits: Limits::default() }
    }

    async fn list_with(&self, asker: &Asker, collection: &str, query: &Query) -> Result<Value, model::Error> {
        let found = self.snapshot.collection(collection)?;
        let plan = planner::plan_read(query, found, self.reader(asker))?;
        let rows = execute::rows_alone(&self.servers.db, &plan.statement).await.unwrap();
        let mut answer = json!({"data": serde_json::from_str::<Value>(rows[0].get("items")).unwrap()});
        for (wanted, name) in
            [(query.meta.total_count, "total_count"), (query.meta.filter_count, "filter_count")]
        {
            if wanted {
                answer[name] = rows[0].get::<i64, _>(name).into();
            }
        }
        Ok(answer)
    }

    /// The answer to a list.
    async fn list(&self, asker: &Asker, collection: &str, query: &str) -> Result<Value, model::Error> {
        self.list_with(asker, collection, &Query::from_query_string(query).unwrap()).await
    }

    /// The items of a list.
    async fn items(&self, asker: &Asker, collection: &str, query: &str) -> Value {
        self.list(asker, collection, query).await.unwrap()["data"].take()
    }

    /// The ids of a list that is filtered so.
    async fn ids(&self, asker: &Asker, collection: &str, filter: Value) -> Vec<i64> {
        let query = Query::from_json(&json!({"fields": ["id"], "filter": filter})).unwrap();
        let answer = self.list_with(asker, collection, &query).await.unwrap();
        answer["data"].as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()).collect()
    }

    /// One item, if he may see it.
    async fn item(&self, asker: &Asker, collection: &str, key: &str) -> Option<Value> {
        let found = self.snapshot.collection(collection).unwrap();
        let plan = planner::plan_read_one(&Query::default(), found, self.reader(asker)).unwrap();
        let rows = execute::rows_alone(&self.servers.db, &plan.of(key, found).unwrap()).await.unwrap();
        rows.first().map(|row| serde_json::from_str(row.get("item")).unwrap())
    }

    /// The list is refused, in the words in which a field is refused that is not there.
    async fn refuses(&self, asker: &Asker, collection: &str, query: &str, field: &str) {
        let refused = self.list(asker, collection, query).await.expect_err(query);
        assert_eq!(refused.code, ErrorCode::Forbidden, "{query}");
        let missing = self.list(asker, collection, "fields=nothing_of_that_name").await.unwrap_err();
        let said =
            |message: &str, field: &str| message.split('.').next().unwrap_or_default().replace(field, "?");
        let (message, missing) =
            (said(&refused.message, field), said(&missing.message, "nothing_of_that_name"));
        let of = |text: &str| text.split(" in collection").next().unwrap_or_default().to_owned();
        assert_eq!(of(&message), of(&missing), "{query}");
    }
}

fn uuid() -> Uuid {
    Uuid::from_u128(7)
}

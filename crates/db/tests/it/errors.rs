//! PostgreSQL's own errors, sorted.

use db::{Class, Error};

use crate::open;

async fn class(db: &db::Db, statement: &'static str) -> Class {
    Error::classify(&sqlx::raw_sql(statement).execute(db).await.unwrap_err())
}

#[tokio::test]
async fn errors_are_sorted_by_what_can_be_done() {
    let (_database, db) = open().await;
    sqlx::raw_sql(
        "CREATE TABLE author (id int PRIMARY KEY, mail varchar(5) CONSTRAINT author_mail UNIQUE, age smallint);
         CREATE TABLE book (id int PRIMARY KEY, author int NOT NULL CONSTRAINT book_author REFERENCES author);
         INSERT INTO author VALUES (1, 'a', 3)",
    )
    .execute(&db)
    .await
    .unwrap();
    let text = |text: &str| text.to_owned();
    let unique =
        Class::Unique { constraint: text("author_mail"), table: text("author"), columns: vec![text("mail")] };
    assert_eq!(class(&db, "INSERT INTO author VALUES (2, 'a', 3)").await, unique);
    let foreign = Class::ForeignKey {
        constraint: text("book_author"),
        table: text("book"),
        columns: vec![text("author")],
    };
    assert_eq!(class(&db, "INSERT INTO book VALUES (1, 9)").await, foreign);
    let null = Class::NotNull { table: text("book"), column: text("author") };
    assert_eq!(class(&db, "INSERT INTO book VALUES (1, NULL)").await, null);
    for (statement, expected) in [
        ("INSERT INTO author VALUES (3, 'abcdef')", Class::TooLong),
        ("INSERT INTO author VALUES (3, 'b', 40000)", Class::OutOfRange),
        ("SELECT '2020-13-45'::date", Class::OutOfRange),
        ("SELECT 'x'::uuid", Class::InvalidText),
        ("SELECT * FROM nothing", Class::SchemaMoved),
        ("SELECT nothing FROM author", Class::SchemaMoved),
        ("SELECT nothing(1)", Class::SchemaMoved),
        ("SET statement_timeout = 5; SELECT pg_sleep(10)", Class::Cancelled),
        ("SELECT 1/0", Class::Other),
        ("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$", Class::Serialization),
        ("DO $$ BEGIN RAISE SQLSTATE '57P03'; END $$", Class::Unavailable),
    ] {
        assert_eq!(class(&db, statement).await, expected, "{statement}");
    }
}

#[tokio::test]
async fn a_plan_that_outlived_its_table_is_told_apart() {
    let (_database, db) = open().await;
    let mut connection = db.acquire().await.unwrap();
    sqlx::raw_sql("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
        .execute(&mut *connection)
        .await
        .unwrap();
    sqlx::query("SELECT * FROM t").fetch_all(&mut *connection).await.unwrap();
    sqlx::raw_sql("ALTER TABLE t ALTER a TYPE text").execute(&mut *connection).await.unwrap();
    // 0A000: cached plan must not change result type.
    let error = sqlx::query("SELECT * FROM t").fetch_all(&mut *connection).await.unwrap_err();
    assert_eq!(Error::classify(&error), Class::SchemaMoved, "{error}");
}

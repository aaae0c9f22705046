//! Tables that others made, and changes behind our back.

use std::time::Duration;

use serde_json::json;

use crate::world::World;

/// Tables of others: keys that only the database gives, references to what is no key, views on top.
#[tokio::test]
async fn tables_of_others_are_worked_with() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let pool = world.pool().await;
    sqlx::raw_sql(
        "CREATE TABLE public.always (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code integer UNIQUE, v text);
         CREATE TABLE public.refers (id serial PRIMARY KEY, code integer REFERENCES public.always (code) ON DELETE SET NULL);
         CREATE VIEW public.shown AS SELECT id, v FROM public.always",
    )
    .execute(&pool)
    .await
    .unwrap();
    let appears = || async { api.get("/items/refers").await.status == 200 };
    testkit::eventually(Duration::from_secs(10), appears).await;
    let made = api.post("/items/always", json!({"code": 7, "v": "a"})).await.expect(200).data();
    assert_eq!(made, json!({"id": 1, "code": 7, "v": "a"}));
    api.post("/items/refers", json!({"code": 7})).await.expect(200);
    let changed = api
        .patch("/relations/refers/code", json!({"schema": {"on_delete": "NO ACTION"}}))
        .await
        .expect(200)
        .data();
    assert_eq!(
        (&changed["schema"]["foreign_key_column"], &changed["schema"]["on_delete"]),
        (&json!("code"), &json!("NO ACTION"))
    );
    api.patch("/fields/always/v", json!({"type": "json"})).await.refused(400, "INVALID_PAYLOAD");
    api.delete("/fields/always/v", None).await.refused(400, "INVALID_PAYLOAD");
    api.delete("/collections/always", None).await.refused(400, "INVALID_PAYLOAD");
    let both = api
        .post("/collections", json!([{"collection": "x1", "schema": {}}, {"collection": "x2", "schema": {}}]))
        .await;
    assert_eq!(both.expect(200).data().as_array().unwrap().len(), 2);
}

/// Who knows SQL, or runs a Directus on the same database, needs to tell nobody.
#[tokio::test]
async fn tables_made_outside_appear() {
    let world = World::start(shape!()).await;
    let pool = world.pool().await;
    sqlx::raw_sql(
        "CREATE TABLE public.outside (id serial PRIMARY KEY, name text); INSERT INTO public.outside (name) VALUES ('here');
         CREATE TABLE public.keyless (name text); COMMENT ON TABLE public.outside IS 'made by hand'",
    )
    .execute(&pool)
    .await
    .unwrap();
    let appears = || async { world.api.get("/items/outside").await.status == 200 };
    testkit::eventually(Duration::from_secs(10), appears).await;
    assert_eq!(world.api.get("/items/outside").await.expect(200).data(), json!([{"id": 1, "name": "here"}]));
    let described = world.api.get("/collections/outside").await.expect(200).data();
    assert_eq!((&described["meta"], &described["schema"]["comment"]), (&json!(null), &json!("made by hand")));
    // Without a key it is seen, and can't be worked with.
    assert_eq!(world.api.get("/collections/keyless").await.expect(200).data()["meta"], json!(null));
    world.api.get("/items/keyless").await.refused(403, "FORBIDDEN");
    sqlx::raw_sql("ALTER TABLE outside RENAME COLUMN name TO title").execute(&pool).await.unwrap();
    let renamed = || async { world.api.get("/items/outside?fields=title").await.status == 200 };
    testkit::eventually(Duration::from_secs(10), renamed).await;
    // Metadata, as another server on this database would write it.
    sqlx::raw_sql("INSERT INTO directus_collections (collection, singleton) VALUES ('outside', true)")
        .execute(&pool)
        .await
        .unwrap();
    let singleton = || async { world.api.get("/items/outside").await.expect(200).data().is_object() };
    testkit::eventually(Duration::from_secs(10), singleton).await;
}

/// A table made behind our back is seen after the control row moves; a plan against a dropped column is made again.
#[tokio::test]
async fn a_schema_that_moves_under_a_plan_is_followed() {
    let world = World::start(shape!()).await;
    world
        .collection("posts", json!([{"field": "a", "type": "string"}, {"field": "b", "type": "string"}]))
        .await;
    world.api.post("/items/posts", json!({"a": "1", "b": "2"})).await.expect(200);
    let pool = world.pool().await;
    sqlx::query("ALTER TABLE posts DROP COLUMN b").execute(&pool).await.unwrap();
    assert_eq!(world.api.get("/items/posts/1").await.expect(200).data(), json!({"id": 1, "a": "1"}));
    sqlx::query("ALTER TABLE posts ALTER COLUMN a TYPE text").execute(&pool).await.unwrap();
    assert_eq!(world.api.get("/items/posts/1").await.expect(200).data(), json!({"id": 1, "a": "1"}));
}

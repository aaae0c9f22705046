//! Imports as jobs: their progress, their end, and what a kill -9 in the middle of them does.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;

use super::{CSV, JSON, count, events, form, import, import_with, items, no_pieces, world};
use crate::world::{Options, World};

/// Rows with their number, each about forty bytes.
fn file(rows: usize) -> String {
    let lines = (1..=rows).map(|row| format!("row {row:08} of many,{row}\n"));
    std::iter::once("s,n\n".to_owned()).chain(lines).collect()
}

async fn begun(world: &World, query: &str, file: &str) -> String {
    let answer = import(&world.api, &format!("goods?background=true{query}"), CSV, file).await.expect(202);
    let job = answer.data();
    let id = job["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), Some(format!("/utils/import/jobs/{id}").as_str()));
    assert_eq!(
        (&job["collection"], &job["format"], &job["state"]),
        (&json!("goods"), &json!("csv"), &json!("running"))
    );
    id
}

async fn job(world: &World, id: &str) -> Value {
    world.api.get(&format!("/utils/import/jobs/{id}")).await.expect(200).data()
}

/// The job when it is in this state, in time.
async fn in_state(world: &World, id: &str, state: &str, within: Duration) -> Value {
    eventually(within, || async { job(world, id).await["state"] == state }).await;
    job(world, id).await
}

/// Every row is there once, with one event, all of one batch and in their places.
async fn whole(world: &World, id: &str, rows: i64) {
    for (sql, expected) in [
        ("SELECT count(*) FROM goods", rows),
        ("SELECT count(DISTINCT n) FROM goods", rows),
        ("SELECT count(*) FROM eventus.events WHERE collection = 'goods'", rows),
        (
            "SELECT count(DISTINCT key) FROM eventus.events WHERE collection = 'goods' AND name = 'items.create'",
            rows,
        ),
        ("SELECT count(DISTINCT batch_index) FROM eventus.events WHERE collection = 'goods'", rows),
        ("SELECT max(batch_index)::bigint + 1 FROM eventus.events WHERE collection = 'goods'", rows),
        ("SELECT count(DISTINCT batch_id) FROM eventus.events WHERE collection = 'goods'", 1),
        ("SELECT count(DISTINCT request_id) FROM eventus.events WHERE collection = 'goods'", 1),
    ] {
        assert_eq!(count(world, sql).await, expected, "{sql}");
    }
    let batch = format!("SELECT count(*) FROM eventus.events WHERE batch_id = '{id}'");
    assert_eq!(count(world, &batch).await, rows);
    no_pieces(world).await;
}

#[tokio::test]
async fn a_job_tells_how_it_stands() {
    let world = world(shape!(), Options::default().set("EVENTUS_IMPORT_ATOMIC_ROWS", "100")).await;
    let file = file(2_500);
    let id = begun(&world, "", &file).await;
    let done = in_state(&world, &id, "done", testkit::PATIENCE).await;
    let expected = json!({"rows": 2_500, "bytes": file.len(), "bytes_total": file.len(), "atomic": false, "dry_run": false, "errors": []});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&done[name], value, "{name}");
    }
    assert!(
        done["finished"].is_string() && done["created"].is_string() && done["user"].is_string(),
        "{done}"
    );
    whole(&world, &id, 2_500).await;
    world.api.delete(&format!("/utils/import/jobs/{id}"), None).await.refused(409, "CONFLICT");
    let small = begun(&world, "", "s\na\n").await;
    assert_eq!(in_state(&world, &small, "done", testkit::PATIENCE).await["atomic"], true);
    world.quiet(Duration::from_secs(30)).await;
}

#[tokio::test]
async fn a_file_of_many_rows_is_written_in_chunks() {
    let world = world(shape!(), Options::default().set("EVENTUS_IMPORT_ATOMIC_ROWS", "100")).await;
    let mut rows = file(2_100);
    rows.push_str("wrong,x\n");
    let answer = import(&world.api, "goods", CSV, &rows).await.refused(400, "INVALID_PAYLOAD");
    let extensions = &answer.json()["errors"][0]["extensions"];
    // The chunk of the wrong row is not stored, those before it are, and the answer says so.
    assert_eq!((&extensions["rows"][0]["rows"], &extensions["stored"]), (&json!([2_101]), &json!(2_000)));
    assert_eq!((count(&world, "SELECT count(*) FROM goods").await, events(&world).await), (2_000, 2_000));
    // A few in one transaction are all or none.
    let small = import(&world.api, "goods", CSV, "s,n\na,1\nb,x\n").await.refused(400, "INVALID_PAYLOAD");
    assert_eq!(small.json()["errors"][0]["extensions"]["stored"], Value::Null);
    assert_eq!(events(&world).await, 2_000);
    // Under a key what was stored in part is not begun again.
    let send = async || {
        import_with(&world.api, "goods", &[("idempotency-key", "k")], form(CSV, rows.as_bytes())).await
    };
    send().await.refused(400, "INVALID_PAYLOAD");
    let again = send().await.refused(400, "INVALID_PAYLOAD");
    assert_eq!(
        (again.json()["errors"][0]["extensions"]["stored"].clone(), events(&world).await),
        (json!(2_000), 4_000)
    );
    no_pieces(&world).await;
}

#[tokio::test]
async fn a_rehearsal_writes_nothing() {
    let world = world(
        shape!(),
        Options::default().set("EVENTUS_IMPORT_ATOMIC_ROWS", "100").set("MAX_IMPORT_ERRORS", "3"),
    )
    .await;
    for rows in [5, 1_500] {
        let answer = import(&world.api, "goods?dry_run=true", CSV, file(rows)).await.expect(200).data();
        assert_eq!(
            (&answer["state"], &answer["rows"], &answer["dry_run"]),
            (&json!("done"), &json!(rows), &json!(true))
        );
    }
    let mut rows = file(1_500);
    rows.push_str("a,x\nb,1\nc,y\nd,z\ne,w\n");
    let id = begun(&world, "&dry_run=true", &rows).await;
    let failed = in_state(&world, &id, "failed", testkit::PATIENCE).await;
    let found: Vec<&Value> =
        failed["errors"].as_array().unwrap().iter().map(|error| &error["extensions"]["rows"]).collect();
    assert_eq!(
        json!(found),
        json!([[{"type": "lines", "rows": [1_501, 1_503, 1_504]}]]),
        "as many as are wanted: {failed}"
    );
    assert_eq!(failed["errors"][0]["extensions"]["code"], "INVALID_PAYLOAD");
    assert_eq!((items(&world).await, events(&world).await), (json!([]), 0));
    no_pieces(&world).await;
}

#[tokio::test]
async fn a_job_can_be_stopped() {
    let world = world(shape!(), Options::default()).await;
    let id = begun(&world, "", &file(60_000)).await;
    eventually(testkit::PATIENCE, || async { job(&world, &id).await["rows"].as_i64() > Some(1_000) }).await;
    let path = format!("/utils/import/jobs/{id}");
    world.api.delete(&path, None).await.expect(204);
    world.api.delete(&path, None).await.expect(204);
    let stopped = job(&world, &id).await;
    let rows = stopped["rows"].as_i64().unwrap();
    assert!(stopped["state"] == "cancelled" && rows < 60_000, "{stopped}");
    no_pieces(&world).await;
    assert_eq!((count(&world, "SELECT count(*) FROM goods").await, events(&world).await), (rows, rows));
    // Nobody goes on with it: another import runs to its end meanwhile.
    import(&world.api, "goods", JSON, r#"[{"s":"after"}]"#).await.expect(200);
    assert_eq!(events(&world).await, rows + 1);
}

/// kill -9 of the process that imports, and of all of them, in the middle: every row once, with one event.
#[tokio::test]
async fn kill_9_in_the_middle_loses_and_doubles_nothing() {
    const ROWS: i64 = 30_000;
    let mut world = world(shape!(), Options::default()).await;
    let id = begun(&world, "", &file(usize::try_from(ROWS).unwrap())).await;
    let items = world.process_of("items");
    for (part, everybody) in [(10, false), (30, true), (60, false)] {
        let rows = || count(&world, "SELECT max(rows) FROM eventus.imports");
        eventually(Duration::from_secs(120), || async { rows().await >= ROWS * part / 100 }).await;
        if everybody {
            world.kill9_all();
        } else {
            world.kill9(items);
        }
        // Whatever is committed, progress and rows agree.
        eventually(testkit::PATIENCE, || async { agrees(&world).await }).await;
        if everybody {
            world.spawn_all();
        } else {
            world.spawn(items);
        }
        world.ready().await;
    }
    let done = in_state(&world, &id, "done", Duration::from_secs(180)).await;
    assert_eq!((&done["rows"], &done["atomic"]), (&json!(ROWS), &json!(false)));
    whole(&world, &id, ROWS).await;
    world.quiet(Duration::from_secs(120)).await;
}

async fn agrees(world: &World) -> bool {
    let sql = "SELECT (SELECT max(rows) FROM eventus.imports) = (SELECT count(*) FROM goods) \
               AND (SELECT count(*) FROM goods) = (SELECT count(*) FROM eventus.events WHERE collection = 'goods')";
    sqlx::query_scalar(sql).fetch_one(&world.pool().await).await.unwrap()
}

/// An import in one transaction dies whole, and is done whole by the next process.
#[tokio::test]
async fn kill_9_of_a_small_import() {
    let mut world = world(shape!(), Options::default()).await;
    let id = begun(&world, "", &file(9_000)).await;
    let items = world.process_of("items");
    let under_way = || count(&world, "SELECT count(*) FROM eventus.imports WHERE atomic");
    eventually(testkit::PATIENCE, || async { under_way().await == 1 }).await;
    world.kill9(items);
    let there = count(&world, "SELECT count(*) FROM goods").await;
    assert!(there == 0 || there == 9_000, "{there}");
    world.spawn(items);
    world.ready().await;
    in_state(&world, &id, "done", Duration::from_secs(60)).await;
    whole(&world, &id, 9_000).await;
}

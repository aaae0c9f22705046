//! What comes before the rows: who may import, what is a file, and what an upload that breaks off leaves.

use std::io::{Read as _, Write as _};

use http::Method;
use serde_json::json;

use super::{CSV, JSON, count, events, form, import, import_with, items, no_pieces, world};
use crate::world::{Options, TOKEN};

#[tokio::test]
async fn others_and_other_collections_are_refused() {
    let world = world(shape!(), Options::default()).await;
    let single = json!({"collection": "site", "schema": {}, "meta": {"singleton": true}, "fields": [{"field": "s", "type": "string"}]});
    world.api.post("/collections", single).await.expect(200);
    world.user("limited@example.com", "limited-user-token-0001").await;
    let limited = world.api.with_token(Some("limited-user-token-0001"));
    let public = world.api.with_token(None);
    let reason =
        "You don't have permission to perform \"create\" for collection \"goods\" or it does not exist.";
    for api in [&public, &limited] {
        let answer = import(api, "goods", CSV, "s\na\n").await.refused(403, "FORBIDDEN");
        assert_eq!(answer.json()["errors"][0]["message"], reason);
        // Before it is known whether there is a file at all to be read.
        import(api, "goods", "text/xml", "s\na\n").await.refused(403, "FORBIDDEN");
    }
    for (api, collection) in [
        (&world.api, "nope"),
        (&public, "nope"),
        (&world.api, "directus_users"),
        (&world.api, "directus_nope"),
    ] {
        import(api, collection, CSV, "s\na\n").await.refused(403, "FORBIDDEN");
        import(api, collection, "text/xml", "s\na\n").await.refused(403, "FORBIDDEN");
    }
    import(&world.api, "site", CSV, "s\nx\n").await.refused(400, "INVALID_PAYLOAD");
    let wrong = world.api.with_token(Some("nope"));
    import(&wrong, "goods", CSV, "s\na\n").await.refused(401, "INVALID_CREDENTIALS");
    for path in ["jobs/nope", "jobs/00000000-0000-4000-8000-000000000001"] {
        for method in [Method::GET, Method::DELETE] {
            let path = format!("/utils/import/{path}");
            world.api.call(method.clone(), &path, None).await.refused(403, "FORBIDDEN");
            public.call(method, &path, None).await.refused(403, "FORBIDDEN");
        }
    }
    let job = import(&world.api, "goods?background=true", CSV, "s\na\n").await.expect(202).data();
    let path = format!("/utils/import/jobs/{}", job["id"].as_str().unwrap());
    for api in [&public, &limited] {
        api.get(&path).await.refused(403, "FORBIDDEN");
        api.delete(&path, None).await.refused(403, "FORBIDDEN");
    }
}

#[tokio::test]
async fn requests_that_are_no_upload_are_refused() {
    let world = world(shape!(), Options::default()).await;
    let api = &world.api;
    for said in
        ["application/octet-stream", "text/plain", "application/csv", "text/xml", "application/x-ndjson"]
    {
        let answer = import(api, "goods", said, "s\na\n").await.refused(415, "UNSUPPORTED_MEDIA_TYPE");
        let error = &answer.json()["errors"][0];
        assert_eq!(error["message"], format!("Unsupported media type \"{said}\" in file import."));
        assert_eq!(
            (&error["extensions"]["mediaType"], &error["extensions"]["where"]),
            (&json!(said), &json!("file import"))
        );
    }
    let path = "/utils/import/goods";
    for (said, body) in [("application/json", r#"[{"s":"a"}]"#), ("text/csv", "s\na\n")] {
        let answer = api.raw(Method::POST, path, &[("content-type", said)], body).await.unwrap();
        let answer = answer.refused(415, "UNSUPPORTED_MEDIA_TYPE");
        assert_eq!(answer.json()["errors"][0]["extensions"]["where"], "Content-Type header");
    }
    api.raw(Method::POST, path, &[], "").await.unwrap().refused(415, "UNSUPPORTED_MEDIA_TYPE");
    let form_data = [("content-type", "multipart/form-data; boundary=x")];
    let two = "--x\r\ncontent-disposition: form-data; name=\"a\"; filename=\"a\"\r\ncontent-type: text/csv\r\n\r\ns\na\n\r\n\
               --x\r\ncontent-disposition: form-data; name=\"b\"; filename=\"b\"\r\ncontent-type: text/csv\r\n\r\ns\nb\n\r\n--x--\r\n";
    for body in [
        "--x--\r\n",
        "hello",
        "",
        "--x\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x--\r\n",
        "--x\r\ncontent-disposition: form-data; name=\"a\"; filename=\"a\"\r\ncontent-type: text/csv\r\n\r\ns\r\nab",
        two,
    ] {
        api.raw(Method::POST, path, &form_data, body).await.unwrap().refused(400, "INVALID_PAYLOAD");
    }
    let bare = [("content-type", "multipart/form-data")];
    api.raw(Method::POST, path, &bare, "x").await.unwrap().refused(400, "INVALID_PAYLOAD");
    for query in ["background=yes", "dry_run=1"] {
        import(api, &format!("goods?{query}"), CSV, "s\na\n").await.refused(400, "INVALID_QUERY");
    }
    import_with(api, "goods", &[("if-match", "\"1\"")], form(CSV, b"s\na\n"))
        .await
        .refused(400, "INVALID_HEADER");
    for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
        api.call(method, path, None).await.refused(404, "ROUTE_NOT_FOUND");
    }
    api.call(Method::POST, "/utils/import", None).await.refused(404, "ROUTE_NOT_FOUND");
    assert_eq!((items(&world).await, events(&world).await), (json!([]), 0), "nothing is stored");
    // What the original takes for a file that it knows.
    for said in ["text/csv; charset=utf-8", "TEXT/CSV", "application/vnd.ms-excel"] {
        import(api, "goods", said, "s\na\n").await.expect(200);
    }
    no_pieces(&world).await;
}

#[tokio::test]
async fn files_have_a_limit_of_their_own() {
    let options = Options::default().set("EVENTUS_IMPORT_MAX_SIZE", "3mb").set("MAX_PAYLOAD_SIZE", "10kb");
    let world = world(shape!(), options).await;
    let rows =
        |bytes: usize| format!("s\n{}", "0123456789012345678901234567890123456789\n".repeat(bytes / 41));
    import(&world.api, "goods?dry_run=true", CSV, rows(4 << 20)).await.refused(413, "CONTENT_TOO_LARGE");
    import(&world.api, "goods", CSV, rows(16 << 20)).await.refused(413, "CONTENT_TOO_LARGE");
    import(&world.api, "goods", CSV, rows(100 << 10)).await.expect(200);
    assert_eq!(
        count(&world, "SELECT count(*) FROM eventus.imports").await,
        1,
        "what is too large leaves nothing"
    );
    no_pieces(&world).await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let world = world(shape!(), Options::default()).await;
    let address = world.api.base().strip_prefix("http://").unwrap().to_owned();
    let mut client = std::net::TcpStream::connect(&address).unwrap();
    let head = format!(
        "POST /utils/import/goods HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: multipart/form-data; boundary=x\r\ncontent-length: 100000000\r\n\r\n"
    );
    client.write_all(head.as_bytes()).unwrap();
    let begun = form(CSV, "s\n".as_bytes());
    client.write_all(&begun[..begun.len() - 9]).unwrap();
    for _ in 0..300 {
        client.write_all("a row of some length\n".repeat(1_000).as_bytes()).unwrap();
    }
    let pieces = || count(&world, "SELECT count(*) FROM eventus.import_pieces");
    testkit::eventually(testkit::PATIENCE, || async { pieces().await >= 3 }).await;
    drop(client);
    let all = || count(&world, "SELECT count(*) FROM eventus.imports");
    testkit::eventually(testkit::PATIENCE, || async { all().await == 0 }).await;
    no_pieces(&world).await;
    assert_eq!((items(&world).await, events(&world).await), (json!([]), 0));
    // A client that stops sending and waits is told.
    let mut client = std::net::TcpStream::connect(&address).unwrap();
    client.write_all(head.replace("100000000", "400").as_bytes()).unwrap();
    client.write_all(&begun[..begun.len() - 9]).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    _ = client.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    testkit::eventually(testkit::PATIENCE, || async { all().await == 0 }).await;
}

/// The same file under the same key is imported once.
#[tokio::test]
async fn a_repeated_upload_imports_once() {
    let world = world(shape!(), Options::default()).await;
    let send = async |key: &str, path: &str, file: &str| {
        import_with(&world.api, path, &[("idempotency-key", key)], form(JSON, file.as_bytes())).await
    };
    let file = r#"[{"s":"a"},{"s":"b"}]"#;
    let first = send("k1", "goods", file).await.expect(200);
    assert_eq!(first.header("idempotency-replayed"), None);
    let again = send("k1", "goods", file).await.expect(200);
    assert_eq!((again.header("idempotency-replayed"), again.text.as_str()), (Some("true"), ""));
    send("k1", "goods", r#"[{"s":"c"}]"#).await.refused(422, "UNPROCESSABLE_CONTENT");
    send("k1", "goods?dry_run=true", file).await.refused(422, "UNPROCESSABLE_CONTENT");
    assert_eq!((items(&world).await, events(&world).await), (json!([{"s": "a"}, {"s": "b"}]), 2));
    // At once: one of them imports, all are answered.
    let all = futures_util::future::join_all((0..4).map(|_| send("k2", "goods", r#"[{"s":"once"}]"#))).await;
    all.into_iter().for_each(|answer| drop(answer.expect(200)));
    assert_eq!(events(&world).await, 3);
    // What was refused whole may come again.
    send("k3", "goods", r#"[{"s":"x","v":"X"}]"#).await.refused(400, "FAILED_VALIDATION");
    send("k3", "goods", r#"[{"s":"x","v":"x"}]"#).await.expect(200);
    let public = world.api.with_token(None);
    import_with(&public, "goods", &[("idempotency-key", "k")], form(CSV, b"s\na\n")).await.expect(403);
    assert_eq!(events(&world).await, 4);
    no_pieces(&world).await;
}

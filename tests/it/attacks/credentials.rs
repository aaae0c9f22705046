//! Tokens: forged, expired, reused, revoked, leaked; and cookies sent by other sites.

use std::time::Duration;

use http::Method;
use proto::items::v1::ReadItemsRequest;
use proto::items::v1::items_service_client::ItemsServiceClient;
use serde_json::{Value, json};
use tonic::Code;
use tonic::transport::Endpoint;

use crate::api::Api;
use crate::world::{Options, PASSWORD, TOKEN, World};

/// `{"alg":"none","typ":"JWT"}`, `{"alg":"HS256","typ":"JWT"}`, `{"alg":"RS256","typ":"JWT"}`, `{"alg":"HS256","typ":"acc"}`.
const HEADERS: [&str; 4] = [
    "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6ImFjYyJ9",
];

async fn login(api: &Api) -> Value {
    let body = json!({"email": "admin@example.com", "password": PASSWORD});
    api.with_token(None).post("/auth/login", body).await.expect(200).data()
}

fn text<'a>(tokens: &'a Value, name: &str) -> &'a str {
    tokens[name].as_str().unwrap()
}

#[tokio::test]
async fn forged_tokens_open_nothing_at_either_door() {
    let world = World::start(shape!()).await;
    let good = login(&world.api).await;
    let access = text(&good, "access_token");
    let (_, rest) = access.split_once('.').unwrap();
    let (claims, tag) = rest.split_once('.').unwrap();
    let mut forged =
        vec![String::from("a.b.c"), format!("{access}."), format!("{access}x"), access[1..].to_owned()];
    for header in HEADERS {
        forged.extend([format!("{header}.{claims}."), format!("{header}.{claims}.AAAA")]);
        if header != HEADERS[1] {
            forged.push(format!("{header}.{claims}.{tag}"));
        }
    }
    // Rights raised in the claims, the old signature below.
    let raised = "eyJhZG1pbl9hY2Nlc3MiOnRydWUsImV4cCI6OTk5OTk5OTk5OX0";
    forged.push(format!("{}.{raised}.{tag}", HEADERS[1]));
    let stored: Vec<Option<String>> = sqlx::query_scalar("SELECT token FROM directus_users UNION SELECT token FROM directus_sessions UNION SELECT next_token FROM directus_sessions")
        .fetch_all(&world.pool().await)
        .await
        .unwrap();
    forged.extend(stored.into_iter().flatten());
    forged.extend(["' OR 1=1 --".to_owned(), "null".to_owned(), "x".repeat(20_000)]);
    let endpoint = Endpoint::from_shared(format!("http://{}", world.grpc)).unwrap();
    let mut items = ItemsServiceClient::new(endpoint.connect().await.unwrap());
    for token in forged {
        for path in ["/users/me", "/collections", "/server/info"] {
            let answer = world.api.with_token(Some(&token)).get(path).await;
            let known = matches!(
                (answer.status, answer.code().as_str()),
                (401, "INVALID_CREDENTIALS") | (403, "INVALID_TOKEN")
            );
            assert!(known, "{token}: {}", answer.text);
            assert!(!answer.text.contains(&token), "no token in an error");
        }
        for (name, value) in
            [("authorization", format!("Bearer {token}")), ("eventus-accountability", token.clone())]
        {
            let mut request = tonic::Request::new(ReadItemsRequest {
                collection: "directus_users".to_owned(),
                ..Default::default()
            });
            request.metadata_mut().insert(name, value.parse().unwrap());
            let refused = items.read_items(request).await.unwrap_err();
            // A header as long as that is refused before anybody looks at it.
            let expected = if token.len() > 10_000 { refused.code() } else { Code::Unauthenticated };
            assert_eq!(refused.code(), expected, "{name} {token}: {refused:?}");
        }
    }
    let nobody = items
        .read_items(ReadItemsRequest { collection: "directus_users".to_owned(), ..Default::default() })
        .await;
    assert_eq!(nobody.unwrap_err().code(), Code::PermissionDenied);
    world.api.with_token(Some(access)).get("/users/me").await.expect(200);
}

#[tokio::test]
async fn sessions_end_when_they_should() {
    let options = Options::default().set("ACCESS_TOKEN_TTL", "1s").set("SESSION_REFRESH_GRACE_PERIOD", "0");
    let world = World::with(shape!(), options).await;
    let nobody = world.api.with_token(None);
    let refresh = async |token: &str| {
        nobody.post("/auth/refresh", json!({"refresh_token": token, "mode": "json"})).await
    };
    let first = login(&nobody).await;
    let expired = nobody.with_token(first["access_token"].as_str());
    testkit::eventually(Duration::from_secs(5), || async { expired.get("/users/me").await.status == 401 })
        .await;
    for path in ["/users/me", "/items/x", "/server/info"] {
        let answer = expired.get(path).await.refused(401, "TOKEN_EXPIRED");
        assert_eq!(
            answer.text,
            r#"{"errors":[{"message":"Token expired.","extensions":{"code":"TOKEN_EXPIRED"}}]}"#
        );
    }
    let second = refresh(text(&first, "refresh_token")).await.expect(200).data();
    // The first one again: it was stolen, or was; the whole family ends.
    refresh(text(&first, "refresh_token")).await.refused(401, "INVALID_CREDENTIALS");
    refresh(text(&second, "refresh_token")).await.refused(401, "INVALID_CREDENTIALS");
    let ended = nobody.with_token(second["access_token"].as_str());
    testkit::eventually(Duration::from_secs(2), || async { ended.get("/users/me").await.status == 401 })
        .await;
    let third = login(&nobody).await;
    nobody.post("/auth/logout", json!({"refresh_token": third["refresh_token"]})).await.expect(204);
    refresh(text(&third, "refresh_token")).await.refused(401, "INVALID_CREDENTIALS");
}

/// Whoever is not let in is told the same, as slowly, whyever; suspension works at once.
#[tokio::test]
async fn refused_logins_look_alike() {
    let world = World::start(shape!()).await;
    let nobody = world.api.with_token(None);
    let pool = world.pool().await;
    world.user("suspended@example.com", "suspended-token-0001").await;
    world.user("elsewhere@example.com", "elsewhere-token-0001").await;
    let user = nobody.with_token(Some("suspended-token-0001"));
    user.get("/users/me").await.expect(200);
    let sql = "UPDATE directus_users SET status = 'suspended' WHERE email = 'suspended@example.com'";
    sqlx::query(sql).execute(&pool).await.unwrap();
    sqlx::query("UPDATE eventus.control SET version = version + 1").execute(&pool).await.unwrap();
    testkit::eventually(Duration::from_secs(2), || async { user.get("/users/me").await.status == 401 }).await;
    let sql = "UPDATE directus_users SET provider = 'sso' WHERE email = 'elsewhere@example.com'";
    sqlx::query(sql).execute(&pool).await.unwrap();
    let tries = [
        ("admin@example.com", "wrong"),
        ("nobody@example.com", PASSWORD),
        ("suspended@example.com", PASSWORD),
        ("elsewhere@example.com", PASSWORD),
        ("admin@examp\u{142}e.com", PASSWORD),
        ("%@example.com", PASSWORD),
    ];
    for (email, password) in tries {
        let begun = std::time::Instant::now();
        let answer = nobody
            .post("/auth/login", json!({"email": email, "password": password}))
            .await
            .refused(401, "INVALID_CREDENTIALS");
        assert!(begun.elapsed() >= Duration::from_millis(500), "{email}");
        assert_eq!(
            answer.text,
            r#"{"errors":[{"message":"Invalid user credentials.","extensions":{"code":"INVALID_CREDENTIALS"}}]}"#
        );
    }
}

/// No token, password or hash in any log line or event, however it came.
#[tokio::test]
async fn credentials_leave_no_trace() {
    let world = World::with(shape!(), Options::default().set("LOG_LEVEL", "debug")).await;
    let nobody = world.api.with_token(None);
    let tokens = login(&nobody).await;
    let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    nobody.get(&format!("/users/me?access_token={access}")).await.expect(200);
    nobody.get(&format!("/users/me?x=1&access%5Ftoken={TOKEN}&limit=1")).await.expect(200);
    nobody.get("/nope?access_token=a-stray-token-0001").await.refused(404, "ROUTE_NOT_FOUND");
    nobody.get("/users/me?access_token=a-stray-token-0001&access_token=a-stray-token-0002").await.expect(401);
    nobody
        .raw(Method::GET, "/users/me", &[("cookie", "directus_session_token=a-stray-token-0003")], "")
        .await
        .unwrap()
        .expect(401);
    let body = json!({"email": "admin@example.com", "password": "a-wrong-password-0001"});
    nobody.post("/auth/login", body).await.expect(401);
    let newer = nobody.post("/auth/refresh", json!({"refresh_token": refresh})).await.expect(200).data();
    let fields = json!([{"field": "open", "type": "string"}, {"field": "pin", "type": "string", "meta": {"special": ["conceal"]}}]);
    world.collection("vault", fields).await;
    world.api.post("/items/vault", json!({"open": "a", "pin": "a-secret-pin-0001"})).await.expect(200);
    world.api.patch("/items/vault/1", json!({"pin": "a-secret-pin-0002"})).await.expect(200);
    world.api.delete("/items/vault/1", None).await.expect(204);
    for query in ["sort=pin", "filter[pin][_contains]=a", "filter[pin][_eq]=a", "filter[pin][_in]=a"] {
        let status = world.api.get(&format!("/items/vault?{query}")).await.status;
        assert!([400, 403].contains(&status), "{query}: {status}");
    }
    nobody.post("/auth/logout", json!({"refresh_token": newer["refresh_token"]})).await.expect(204);
    world.quiet(Duration::from_secs(20)).await;
    let pool = world.pool().await;
    let hash: String =
        sqlx::query_scalar("SELECT password FROM directus_users").fetch_one(&pool).await.unwrap();
    let log: Vec<String> =
        sqlx::query_scalar("SELECT e::text FROM eventus.events e").fetch_all(&pool).await.unwrap();
    let (log, lines) = (log.join("\n"), world.whole_logs());
    assert!(log.contains("auth.login") && lines.contains("access_token=--redacted--"), "{lines}");
    let secrets = [
        TOKEN,
        PASSWORD,
        access,
        refresh,
        text(&newer, "access_token"),
        text(&newer, "refresh_token"),
        &hash,
    ];
    let given = ["a-stray-token-000", "a-wrong-password-0001", "a-secret-pin-000"];
    for secret in secrets.into_iter().chain(given) {
        assert!(!log.contains(secret), "{secret} is in the log of events");
        if let Some(line) = lines.lines().find(|line| line.contains(secret)) {
            panic!("{secret} is in the lines: {line}");
        }
    }
}

/// A browser that is on another site brings the cookie along: that changes nothing here, and reads nothing there.
#[tokio::test]
async fn another_site_can_do_nothing_with_a_cookie() {
    let world = World::start(shape!()).await;
    let nobody = world.api.with_token(None);
    world.collection("notes", json!([{"field": "n", "type": "integer"}])).await;
    let body = json!({"email": "admin@example.com", "password": PASSWORD, "mode": "session"});
    let set = nobody.post("/auth/login", body).await.expect(200).header("set-cookie").unwrap().to_owned();
    let cookie = set.split(';').next().unwrap();
    let call = async |method: Method, path: &str, more: &[(&str, &str)]| {
        let mut headers = vec![("cookie", cookie), ("content-type", "application/json")];
        headers.extend(more);
        nobody.raw(method, path, &headers, "{}").await.unwrap()
    };
    let home = nobody.base().to_owned();
    for origin in [
        "https://evil.example",
        "null",
        &home.replace("127.0.0.1", "127.0.0.1.evil.example"),
        &home.replace("http:", "https:x"),
    ] {
        for more in [
            vec![("origin", origin)],
            vec![("origin", origin), ("referer", &home)],
            vec![("referer", origin)],
            vec![],
        ] {
            call(Method::POST, "/items/notes", &more).await.refused(403, "FORBIDDEN");
            call(Method::PATCH, "/collections/notes", &more).await.refused(403, "FORBIDDEN");
            call(Method::DELETE, "/collections/notes", &more).await.refused(403, "FORBIDDEN");
            call(Method::POST, "/auth/refresh", &more).await.expect(400);
        }
        let read = call(Method::GET, "/items/notes", &[("origin", origin)]).await.expect(200);
        assert!(read.headers.keys().all(|name| !name.as_str().starts_with("access-control-")), "{read:?}");
        let asked = [("origin", origin), ("access-control-request-method", "POST")];
        let preflight = call(Method::OPTIONS, "/items/notes", &asked).await;
        assert!(
            preflight.headers.keys().all(|name| !name.as_str().starts_with("access-control-")),
            "{preflight:?}"
        );
    }
    call(Method::POST, "/items/notes", &[("origin", &home)]).await.expect(200);
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(count, 1);
}

//! What the gateway answers when all is well: envelopes, values, counts, filters, headers, tokens and cookies.

use http::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Api};
use crate::world::{PASSWORD, TOKEN, World};

/// A field of each type with a small and a great value, and a part of the small one's text where it has any.
const TYPES: [(&str, &str, &str, Option<&str>); 13] = [
    ("string", "a 50% _b", "z", Some("% _")),
    ("text", "Ärger", "ß", Some("rg")),
    ("csv", "a,b", "c", Some("a,")),
    ("uuid", "11111111-1111-4111-8111-111111111111", "99999999-9999-4999-8999-999999999999", None),
    ("integer", "-5", "7", None),
    ("bigInteger", "9007199254740993", "9007199254740995", None),
    ("float", "0.5", "1.5", None),
    ("decimal", "1.10", "2", None),
    ("boolean", "false", "true", None),
    ("date", "2025-12-31", "2026-01-01", None),
    ("time", "03:04:05", "23:00:00", None),
    ("dateTime", "2026-01-01T00:00:00", "2026-01-01T00:00:01", None),
    ("timestamp", "2026-01-01T00:00:00Z", "2026-01-01T02:00:01%2B01:00", None),
];

/// Operator, what it is asked of an item with the small value, one with the great one and one without; who fits.
const OPERATORS: [(&str, &str, &[u8]); 11] = [
    ("_eq", "small", &[1]),
    ("_neq", "small", &[2]),
    ("_lt", "great", &[1]),
    ("_lte", "great", &[1, 2]),
    ("_gt", "small", &[2]),
    ("_gte", "small", &[1, 2]),
    ("_in", "both", &[1, 2]),
    ("_nin", "small", &[2]),
    ("_null", "true", &[3]),
    ("_nnull", "true", &[1, 2]),
    ("_contains", "part", &[1]),
];

/// The operators of a type (the reference, section 2).
fn takes(kind: &str, operator: &str) -> bool {
    match operator {
        "_null" | "_nnull" => true,
        "_eq" | "_neq" => !matches!(kind, "json" | "binary"),
        "_in" | "_nin" => !matches!(kind, "json" | "binary" | "boolean"),
        "_contains" => matches!(kind, "string" | "text" | "csv"),
        _ => !matches!(kind, "json" | "binary" | "boolean" | "string" | "text" | "csv" | "uuid"),
    }
}

#[tokio::test]
async fn every_operator_with_every_type() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let named = |kind: &str| json!({"field": kind, "type": kind});
    let mut fields: Vec<Value> = TYPES.iter().map(|(kind, ..)| named(kind)).collect();
    fields.extend([named("json"), named("binary")]);
    world.collection("types", json!(fields)).await;
    let of = |great: bool| {
        let pick = |(kind, small, big, _): &(&str, &str, &str, _)| {
            ((*kind).to_owned(), Value::from((if great { *big } else { *small }).replace("%2B", "+")))
        };
        let mut item: serde_json::Map<_, _> = TYPES.iter().map(pick).collect();
        item.insert("json".to_owned(), json!({"great": great}));
        Value::Object(item)
    };
    api.post("/items/types", json!([of(false), of(true), {}])).await.expect(200);
    for (kind, small, great, part) in
        TYPES.into_iter().chain([("json", "1", "2", None), ("binary", "1", "2", None)])
    {
        for (operator, asked, fitting) in OPERATORS {
            let value = match asked {
                "great" => great.to_owned(),
                "both" => format!("{},{great}", small.split(',').next().unwrap()),
                "true" => "true".to_owned(),
                "part" => part.unwrap_or("1").replace('%', "%25"),
                _ => small.replace('%', "%25"),
            };
            let value = value.replace(' ', "%20").replace('Ä', "%C3%84").replace('ß', "%C3%9F");
            let path = format!("/items/types?fields=id&sort=id&filter[{kind}][{operator}]={value}");
            let answer = api.get(&path).await;
            if !takes(kind, operator) {
                answer.refused(400, "INVALID_QUERY");
                continue;
            }
            // A list in a query string is cut at its commas.
            let fitting: &[u8] = if (kind, operator) == ("csv", "_in") { &[2] } else { fitting };
            let fitting: &[u8] = if (kind, operator) == ("csv", "_nin") { &[1, 2] } else { fitting };
            // Nobody can write binary fields yet.
            let fitting: &[u8] = match (kind, operator) {
                ("binary", "_null") => &[1, 2, 3],
                ("binary", "_nnull") => &[],
                _ => fitting,
            };
            let expected: Vec<Value> = fitting.iter().map(|id| json!({"id": id})).collect();
            assert_eq!(answer.expect(200).data(), json!(expected), "{path}");
        }
    }
}

async fn numbers() -> World {
    let world = World::start(shape!()).await;
    let fields = json!([{"field": "n", "type": "integer"}, {"field": "s", "type": "string"}]);
    world.collection("numbers", fields).await;
    let items: Vec<Value> = (1..=120).map(|n| json!({"n": n, "s": (n % 2 == 0).then_some("even")})).collect();
    world.api.post("/items/numbers", json!(items)).await.expect(200);
    world
}

/// The values of `n`, or the error's code.
fn shown(answer: &Answer) -> String {
    match answer.status {
        200 => answer.data().as_array().unwrap().iter().map(|item| format!("{} ", item["n"])).collect(),
        _ => answer.code(),
    }
}

#[tokio::test]
async fn pages_orders_and_counts() {
    let world = numbers().await;
    let api = &world.api;
    let list = |numbers: std::ops::RangeInclusive<u32>| numbers.map(|n| format!("{n} ")).collect::<String>();
    for (query, expected) in [
        ("", list(1..=100)),
        ("limit=-1", list(1..=120)),
        ("limit=0", String::new()),
        ("limit=2&offset=3", list(4..=5)),
        ("limit=2&page=2", list(3..=4)),
        ("limit=2&page=2&offset=7", list(3..=4)),
        ("limit=2&page=0&offset=7", list(8..=9)),
        ("limit=-1&page=2&offset=118", list(119..=120)),
        ("page=2", list(101..=120)),
        ("limit=3&sort=-n", "120 119 118 ".to_owned()),
        ("limit=3&sort=s,-n", "120 118 116 ".to_owned()),
        ("limit=2&sort[]=s&sort[]=n&offset=60", "1 3 ".to_owned()),
        ("filter={\"_or\":[]}&limit=1", list(1..=1)),
        ("filter={\"_and\":[]}&limit=1", list(1..=1)),
        ("filter={\"_or\":[{\"n\":1},{\"n\":{\"_gt\":119}}]}", "1 120 ".to_owned()),
        ("filter[_or][0][n][_eq]=2&filter[_or][1][n][_eq]=3", list(2..=3)),
        ("filter[n]=5", list(5..=5)),
        ("filter[n][_in]=5,6", list(5..=6)),
        ("filter[n][_in][]=5&filter[n][_in][]=6", list(5..=6)),
        ("filter[s]=null&limit=1", list(1..=1)),
        ("filter[s][_neq]=null&limit=1", list(2..=2)),
        ("filter[s][_null]=false&limit=1", list(2..=2)),
        ("filter[s][_nnull]=false&limit=1", list(1..=1)),
        ("filter[s][_contains]=VEN", String::new()),
        ("filter={\"n\":{\"_gte\":3,\"_lt\":5}}", list(3..=4)),
        ("unknown=1&limit=1", list(1..=1)),
    ] {
        let path =
            format!("/items/numbers?{}", query.replace('"', "%22").replace('{', "%7B").replace('}', "%7D"));
        assert_eq!(shown(&api.get(&path).await), expected, "{query}");
    }
    for (query, expected) in [
        ("limit=0&meta=*", r#"{"meta":{"total_count":120,"filter_count":120},"data":[]}"#),
        ("limit=0&meta=total_count", r#"{"meta":{"total_count":120},"data":[]}"#),
        ("limit=0&meta=filter_count&filter[n][_gt]=100", r#"{"meta":{"filter_count":20},"data":[]}"#),
        (
            "limit=1&meta[]=total_count&meta[]=filter_count&fields=n,id&filter[s]=even",
            r#"{"meta":{"total_count":120,"filter_count":60},"data":[{"n":2,"id":2}]}"#,
        ),
        ("limit=1&fields[]=n&fields[]=n", r#"{"data":[{"n":1}]}"#),
        ("limit=1&fields=n,*", r#"{"data":[{"n":1,"id":1,"s":null}]}"#),
    ] {
        assert_eq!(api.get(&format!("/items/numbers?{query}")).await.expect(200).text, expected, "{query}");
    }
    let asked = json!({"query": {"filter": {"n": {"_in": [7, 8]}}, "fields": ["n"], "sort": ["-n"], "meta": ["filter_count"]}});
    let search = Method::from_bytes(b"SEARCH").unwrap();
    let found = api.call(search, "/items/numbers", Some(asked)).await.expect(200).text;
    assert_eq!(found, r#"{"meta":{"filter_count":2},"data":[{"n":8},{"n":7}]}"#);
    writes_of_nothing(api).await;
}

/// Nothing to do is done, and the answer has the shape of its kind.
async fn writes_of_nothing(api: &Api) {
    assert_eq!(api.post("/items/numbers", json!([])).await.expect(200).text, r#"{"data":[]}"#);
    assert_eq!(api.patch("/items/numbers", json!([])).await.expect(200).text, r#"{"data":[]}"#);
    let none = json!({"keys": [], "data": {"n": 1}});
    assert_eq!(api.patch("/items/numbers", none).await.expect(200).text, r#"{"data":[]}"#);
    let none = json!({"query": {"filter": {"n": {"_gt": 999}}}, "data": {"n": 1}});
    assert_eq!(api.patch("/items/numbers", none).await.expect(200).text, r#"{"data":[]}"#);
    api.delete("/items/numbers", Some(json!([]))).await.expect(204);
    api.delete("/items/numbers", Some(json!({"keys": [999]}))).await.expect(204);
    let same = api.patch("/items/numbers/1?fields=n", json!({"unknown": 1})).await.expect(200);
    assert_eq!(same.data(), json!({"n": 1}));
    let twice = r#"{"n":5,"n":6}"#;
    let headers: &[(&str, &str)] = &[("content-type", "application/json; charset=utf-8")];
    let last = api.raw(Method::PATCH, "/items/numbers/1?fields=n", headers, twice).await.unwrap().expect(200);
    assert_eq!(last.data(), json!({"n": 6}), "of two equal names the last counts");
}

#[tokio::test]
async fn a_singleton_reads_as_an_object() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let fields = json!([
        {"field": "a", "type": "integer", "schema": {"default_value": 5}},
        {"field": "j", "type": "json", "schema": {"default_value": {"x": 1}}},
        {"field": "secret", "type": "string", "schema": {"default_value": "shh"}, "meta": {"special": ["conceal"]}},
    ]);
    let body = json!({"collection": "one", "schema": {}, "meta": {"singleton": true}, "fields": fields});
    api.post("/collections", body).await.expect(200);
    let unwritten = r#"{"data":{"id":null,"a":5,"j":{"x":1},"secret":"**********"}}"#;
    assert_eq!(api.get("/items/one").await.expect(200).text, unwritten);
    assert_eq!(api.get("/items/one?fields=a").await.expect(200).text, r#"{"data":{"a":5}}"#);
    api.patch("/items/one", json!({"a": 7})).await.expect(200);
    let counted = api.get("/items/one?fields=id,a&meta=total_count").await.expect(200).text;
    assert_eq!(counted, r#"{"meta":{"total_count":1},"data":{"id":1,"a":7}}"#);
}

#[tokio::test]
async fn headers_of_every_answer() {
    let world = numbers().await;
    let (api, nobody) = (&world.api, world.api.with_token(None));
    let cached = (Some("private, no-cache"), Some("Origin, Cache-Control"));
    let of = |answer: &Answer| {
        (answer.header("cache-control").map(str::to_owned), answer.header("vary").map(str::to_owned))
    };
    let same = |answer: &Answer, expected: (Option<&str>, Option<&str>)| {
        assert_eq!(of(answer), (expected.0.map(str::to_owned), expected.1.map(str::to_owned)), "{answer:?}");
        assert_eq!(answer.header("x-request-id").map(str::len), Some(36));
        assert!(answer.header("traceparent").unwrap().starts_with("00-"));
        assert!(answer.header("x-powered-by").is_some());
        assert!(answer.header("server").is_none() && answer.header("access-control-allow-origin").is_none());
    };
    let json = Some("application/json; charset=utf-8");
    for (path, kind) in [
        ("/items/numbers", json),
        ("/items/numbers/1", json),
        ("/users/me", json),
        ("/collections", json),
        ("/fields/numbers/n", json),
        ("/relations", json),
        ("/server/info", json),
        ("/auth", json),
        ("/server/health", Some("application/health+json; charset=utf-8")),
    ] {
        let answer = api.get(path).await.expect(200);
        same(&answer, cached);
        assert_eq!(answer.header("content-type"), kind, "{path}");
        let head = api.call(Method::HEAD, path, None).await.expect(200);
        assert_eq!((head.text.as_str(), head.header("content-type")), ("", kind), "{path}");
    }
    let gone = api.delete("/items/numbers/1", None).await.expect(204);
    same(&gone, cached);
    assert_eq!((gone.text.as_str(), gone.header("content-type")), ("", None));
    for path in ["/items/nope", "/nope", "/items/numbers?limit=x"] {
        let refused = api.get(path).await;
        same(&refused, (None, None));
        assert_eq!(refused.header("content-type"), json, "{path}");
    }
    let ping = nobody.get("/server/ping").await.expect(200);
    assert_eq!((ping.text.as_str(), ping.header("content-type")), ("pong", Some("text/html; charset=utf-8")));
    let options = nobody.call(Method::OPTIONS, "/items/numbers", None).await.expect(200);
    assert_eq!(
        (options.header("allow"), options.text.as_str()),
        (Some("POST,SEARCH,GET,HEAD,PATCH,DELETE,PUT"), "POST,SEARCH,GET,HEAD,PATCH,DELETE,PUT")
    );
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (id, kept) in [("My_id-1", true), ("a b", false), ("a.b", false), (&*"x".repeat(65), false)] {
        let answer = api
            .raw(Method::GET, "/users/me", &[("x-request-id", id), ("traceparent", trace)], "")
            .await
            .unwrap();
        assert_eq!(answer.header("x-request-id") == Some(id), kept, "{id}");
        assert!(answer.header("traceparent").unwrap().contains("4bf92f3577b34da6a3ce929d0e0e4736"));
    }
}

#[tokio::test]
async fn tokens_come_three_ways_and_logins_in_three_modes() {
    let world = World::start(shape!()).await;
    let nobody = world.api.with_token(None);
    let me = async |path: &str, headers: &[(&str, &str)]| {
        nobody.raw(Method::GET, path, headers, "").await.unwrap()
    };
    let bearer = format!("bEaReR {TOKEN}");
    me("/users/me", &[("authorization", &bearer)]).await.expect(200);
    me(&format!("/users/me?access_token={TOKEN}"), &[]).await.expect(200);
    me(&format!("/users/me?access_token={TOKEN}"), &[("authorization", &bearer)])
        .await
        .refused(400, "INVALID_PAYLOAD");
    me("/users/me", &[("authorization", &format!("Basic {TOKEN}"))])
        .await
        .refused(401, "INVALID_CREDENTIALS");
    let login = async |mode: &str| {
        let body = json!({"email": "admin@example.com", "password": PASSWORD, "mode": mode});
        nobody.post("/auth/login", body).await.expect(200)
    };
    let tokens = login("json").await;
    assert_eq!((tokens.header("set-cookie"), tokens.data()["expires"].clone()), (None, json!(900_000)));
    let access = tokens.data()["access_token"].as_str().unwrap().to_owned();
    nobody.with_token(Some(&access)).get("/users/me").await.expect(200);
    let cookie = login("cookie").await;
    assert_eq!(cookie.data()["refresh_token"], json!(null));
    let set = cookie.header("set-cookie").unwrap();
    assert!(
        set.starts_with("directus_refresh_token=") && set.contains("; Max-Age=604800; Path=/; Expires="),
        "{set}"
    );
    assert!(set.ends_with("; HttpOnly; SameSite=Lax"), "{set}");
    let sent = set.split(';').next().unwrap().to_owned();
    let home = nobody.base().to_owned();
    let post = async |path: &str, cookie: &str, origin: &str, body: &'static str| {
        let headers: &[(&str, &str)] =
            &[("cookie", cookie), ("origin", origin), ("content-type", "application/json")];
        nobody.raw(Method::POST, path, headers, body).await.unwrap()
    };
    let newer = post("/auth/refresh", &sent, &home, "{}").await.expect(200);
    let rotated = newer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_ne!(rotated, sent);
    assert_eq!(newer.data()["refresh_token"], json!(null));
    let out = post("/auth/logout", &rotated, &home, "{}").await.expect(204);
    assert!(out.header("set-cookie").unwrap().starts_with("directus_refresh_token=; Max-Age=0;"));
    let session = login("session").await;
    assert_eq!(session.text, r#"{"data":{"expires":86400000}}"#);
    let set = session.header("set-cookie").unwrap().to_owned();
    assert!(set.starts_with("directus_session_token=eyJ") && set.contains("; Max-Age=86400; "), "{set}");
    let sent = set.split(';').next().unwrap();
    me("/users/me", &[("cookie", sent)]).await.expect(200);
    let bad = me("/users/me", &[("cookie", "directus_session_token=bad")])
        .await
        .refused(401, "INVALID_CREDENTIALS");
    assert!(bad.header("set-cookie").unwrap().starts_with("directus_session_token=; Max-Age=0;"));
    post("/auth/refresh", sent, &home, r#"{"mode":"session"}"#).await.expect(200);
}

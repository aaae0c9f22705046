//! How often somebody may ask: shared by gateways through Redis, without it, and of what tries passwords.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use proto::auth::v1::LoginRequest;
use proto::auth::v1::auth_service_client::AuthServiceClient;
use serde_json::json;
use testkit::{Redis, eventually};
use tonic::Code;

use crate::api::{Answer, Api};
use crate::world::{Options, PASSWORD, Shape, TOKEN, World};

const SOON: Duration = Duration::from_secs(20);

/// A request of the client behind the proxy that has this address.
async fn from(api: &Api, address: &str, path: &str) -> Answer {
    api.raw(Method::GET, path, &[("x-forwarded-for", address)], "").await.unwrap()
}

/// So slow that no token comes back during a test.
fn slow() -> Options {
    Options::default()
        .set("RATE_LIMITER_ENABLED", "true")
        .set("RATE_LIMITER_POINTS", "20")
        .set("RATE_LIMITER_DURATION", "36000")
        .set("IP_TRUST_PROXY", "1")
}

#[tokio::test]
async fn two_gateways_share_a_bucket_and_do_without_redis() {
    let mut redis = Redis::start().await;
    let options = slow().set("REDIS", redis.url()).set("EVENTUS_LOGIN_LIMITER_POINTS", "8");
    let mut world = World::with(shape!(), options).await;
    let doors = [world.api.clone(), world.replica()];
    world.ready().await;
    eventually(SOON, || async { shared(&doors).await }).await;
    for turn in 0..20 {
        let answer = from(&doors[turn % 2], "10.0.0.1", "/server/ping").await.expect(200);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"ip\";q=20;w=36000"));
        let standing = answer.header("ratelimit").unwrap();
        assert!(standing.starts_with(&format!("\"ip\";r={};t=", 19 - turn)), "{standing}");
    }
    for door in &doors {
        refused(&from(door, "10.0.0.1", "/server/ping").await);
        cannot_be_split(door).await;
        from(door, "10.0.0.2", "/server/ping").await.expect(200);
    }
    redis.kill9();
    // Open for ordinary requests, in each process up to its own count; stricter for passwords.
    for door in &doors {
        for _ in 0..20 {
            from(door, "10.0.0.1", "/server/ping").await.expect(200);
        }
        refused(&from(door, "10.0.0.1", "/server/ping").await);
    }
    let guess = json!({"email": "someone@example.com", "password": "wrong"});
    for _ in 0..2 {
        login(&doors[0], "10.0.0.9", &guess).await.refused(401, "INVALID_CREDENTIALS");
    }
    login(&doors[0], "10.0.0.9", &guess).await.refused(429, "REQUESTS_EXCEEDED");
    let mut metrics = String::new();
    for process in &world.processes {
        let admin = Api::new(format!("http://{}", process.admin), None);
        metrics += &admin.get("/metrics").await.expect(200).text;
    }
    for line in [
        r#"eventus_limits_alone_total{sort="requests"}"#,
        r#"eventus_limits_alone_total{sort="attempts"}"#,
        r#"eventus_limits_refused_total{policy="ip"}"#,
        r#"eventus_limits_refused_total{policy="attempts-account"} 1"#,
    ] {
        assert!(metrics.lines().any(|found| found.starts_with(line) && !found.ends_with(" 0")), "{line}");
    }
    redis.restart().await;
    eventually(SOON, || async { shared(&doors).await }).await;
    from(&doors[1], "10.0.0.1", "/server/ping").await.expect(200);
}

/// Whether both doors count in one place.
async fn shared(doors: &[Api; 2]) -> bool {
    let address = format!("10.9.{}.{}", std::process::id() % 250, nanos() % 250);
    let mut left = Vec::new();
    for door in [&doors[0], &doors[1], &doors[0]] {
        let answer = from(door, &address, "/server/ping").await;
        left.push(answer.header("ratelimit").unwrap_or_default().split(';').nth(1).map(str::to_owned));
    }
    let expected = ["r=19", "r=18", "r=17"].map(|text| Some(text.to_owned()));
    left == expected
}

fn nanos() -> u32 {
    std::time::UNIX_EPOCH.elapsed().unwrap().subsec_micros()
}

fn refused(answer: &Answer) {
    assert_eq!((answer.status, answer.code().as_str()), (429, "REQUESTS_EXCEEDED"), "{}", answer.text);
    let error = answer.json()["errors"][0].take();
    assert_eq!(error["extensions"]["limit"], 20);
    let reset = error["extensions"]["reset"].as_str().unwrap();
    assert!(reset.len() == 24 && reset.ends_with('Z') && reset.as_bytes()[10] == b'T', "{reset}");
    let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1_700..=1_800).contains(&seconds), "{seconds}");
    assert_eq!(error["message"], format!("Too many requests, retry after {seconds}s."));
    assert!(answer.header("ratelimit").unwrap().starts_with("\"ip\";r=0;t="));
}

/// The address of whom the proxy speaks decides, and nothing else that is sent.
async fn cannot_be_split(door: &Api) {
    for path in ["/SERVER/ping", "/server/ping/", "/server/ping?x=1", "/items/a%2Fb", "/nope", "//"] {
        refused(&from(door, "10.0.0.1", path).await);
    }
    for lines in [
        vec![("x-forwarded-for", "6.6.6.6, 10.0.0.1")],
        vec![("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "10.0.0.1")],
        vec![("x-forwarded-for", "10.0.0.1:4711"), ("x-real-ip", "6.6.6.6"), ("forwarded", "for=6.6.6.6")],
        vec![("x-forwarded-for", "::ffff:10.0.0.1"), ("cf-connecting-ip", "6.6.6.6")],
        vec![("X-FORWARDED-FOR", "10.0.0.1"), ("user-agent", "another"), ("cookie", "a=b")],
    ] {
        refused(&door.raw(Method::GET, "/server/ping", &lines, "").await.unwrap());
    }
    let body = json!({"ip": "6.6.6.6", "email": "a@b"}).to_string();
    let headers = [("x-forwarded-for", "10.0.0.1"), ("content-type", "application/json")];
    refused(&door.raw(Method::POST, "/auth/login", &headers, body).await.unwrap());
}

async fn login(door: &Api, address: &str, body: &serde_json::Value) -> Answer {
    let headers = [("x-forwarded-for", address), ("content-type", "application/json")];
    door.with_token(None).raw(Method::POST, "/auth/login", &headers, body.to_string()).await.unwrap()
}

/// Every spelling of an account is one account, also of one that does not exist; who is right is not counted.
#[tokio::test]
async fn logins_are_limited_per_account_and_per_address() {
    let options = Options::default()
        .set("EVENTUS_LOGIN_LIMITER_POINTS", "4")
        .set("EVENTUS_LOGIN_LIMITER_IP_POINTS", "10")
        .set("EVENTUS_LOGIN_LIMITER_DURATION", "36000")
        .set("LOGIN_STALL_TIME", "0")
        .set("IP_TRUST_PROXY", "1");
    let world = World::with(shape!(), options).await;
    let right = json!({"email": "admin@example.com", "password": PASSWORD});
    let at_once = join_all((0..64).map(|_| login(&world.api, "10.0.0.1", &right))).await;
    for answer in at_once {
        answer.expect(200);
    }
    for account in ["admin", "nobody"] {
        let spellings =
            [account.to_owned(), account.to_uppercase(), format!("{}{}", &account[..1], &account[1..])];
        for turn in 0..4 {
            let email = format!("{}@example.com", spellings[turn % 3]);
            let address = format!("10.0.{}.{turn}", account.len());
            let body = json!({"email": email, "password": "wrong", "x": turn});
            login(&world.api, &address, &body).await.refused(401, "INVALID_CREDENTIALS");
        }
        let body = json!({"email": format!("{account}@Example.COM"), "password": PASSWORD});
        let answer = login(&world.api, "10.1.0.1", &body).await.refused(429, "REQUESTS_EXCEEDED");
        assert_eq!(answer.json()["errors"][0]["extensions"]["limit"], 4);
        assert!(answer.header("retry-after").is_some());
    }
    for turn in 0..10 {
        let body = json!({"email": format!("guess{turn}@example.com"), "password": "wrong"});
        login(&world.api, "10.7.0.1", &body).await.refused(401, "INVALID_CREDENTIALS");
    }
    let body = json!({"email": "other@example.com", "password": "wrong"});
    login(&world.api, "10.7.0.1", &body).await.refused(429, "REQUESTS_EXCEEDED");
    login(&world.api, "10.7.0.2", &body).await.refused(401, "INVALID_CREDENTIALS");
    // Tokens that were handed out before are good.
    world.api.get("/users/me").await.expect(200);
    if shape!() == Shape::AllInOne {
        let mut auth = AuthServiceClient::connect(format!("http://{}", world.grpc)).await.unwrap();
        let request = LoginRequest {
            email: "ADMIN@example.com".to_owned(),
            password: PASSWORD.to_owned(),
            ..Default::default()
        };
        assert_eq!(auth.login(request).await.unwrap_err().code(), Code::ResourceExhausted);
    }
}

#[tokio::test]
async fn users_have_a_bucket_wherever_they_are_and_nobody_has_one_by_default() {
    let world = World::start(shape!()).await;
    for _ in 0..100 {
        let answer = world.api.get("/server/ping").await.expect(200);
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("ratelimit")));
    }
    let info = world.api.get("/server/info").await.expect(200).data();
    assert_eq!((&info["rateLimit"], &info["rateLimitGlobal"]), (&json!(false), &json!(false)));
    drop(world);
    let options = slow()
        .set("RATE_LIMITER_POINTS", "1000")
        .set("RATE_LIMITER_GLOBAL_ENABLED", "true")
        .set("RATE_LIMITER_GLOBAL_POINTS", "40")
        .set("RATE_LIMITER_GLOBAL_DURATION", "36000")
        .set("EVENTUS_RATE_LIMITER_USER_ENABLED", "true")
        .set("EVENTUS_RATE_LIMITER_USER_POINTS", "10")
        .set("EVENTUS_RATE_LIMITER_USER_DURATION", "36000");
    let world = World::with(shape!(), options).await;
    let answer = from(&world.api, "10.0.0.1", "/server/info").await.expect(200);
    let info = answer.data();
    assert_eq!(info["rateLimit"], json!({"points": 1000, "duration": 36000}));
    assert_eq!(info["rateLimitGlobal"], json!({"points": 40, "duration": 36000}));
    for turn in 0..9 {
        from(&world.api, &format!("10.0.1.{turn}"), "/users/me").await.expect(200);
    }
    let answer = from(&world.api, "10.0.2.1", "/users/me").await.refused(429, "REQUESTS_EXCEEDED");
    assert_eq!(answer.json()["errors"][0]["extensions"]["limit"], 10);
    let headers = [("cookie", format!("directus_session_token={TOKEN}"))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let nobody = world.api.with_token(None);
    nobody.raw(Method::GET, "/users/me", &headers, "").await.unwrap().refused(429, "REQUESTS_EXCEEDED");
    let mut allowed = 0;
    for turn in 0..60 {
        allowed += u32::from(from(&nobody, &format!("10.3.0.{turn}"), "/server/ping").await.status == 200);
    }
    assert!((20..=28).contains(&allowed), "{allowed}: 40 for everybody");
}

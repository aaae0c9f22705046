//! Files of items, and lists that are longer than a document: byte for byte as the original, from one snapshot, without
//! being held by anybody, and never cut without a word.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

use super::reading::{self, FIXTURE};
use super::takeover::{self, restore};
use crate::world::{Options, Shape, World};

/// Items of the large collection.
const MANY: i64 = 200_000;
/// What a process may grow by while it streams, in kB.
const GROWTH: i64 = 64 * 1024;
const SOON: Duration = Duration::from_secs(20);

/// A request and the file that the original answered with.
#[derive(Deserialize)]
struct Recorded {
    id: String,
    method: String,
    path: String,
    #[serde(default)]
    body: Option<Value>,
    status: u16,
    /// Content type; absent where the original failed.
    #[serde(rename = "type")]
    content_type: Option<String>,
    /// Content disposition, with `TIME` for the time.
    disposition: Option<String>,
    answer: String,
}

/// `attachment; filename="books 20261123-62918.csv"` without the time.
fn timeless(disposition: &str) -> String {
    let Some((before, after)) = disposition.rsplit_once(' ') else { return disposition.to_owned() };
    let (time, extension) = after.split_once('.').unwrap_or((after, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (day, clock) = time.split_once('-').unwrap_or_default();
    assert!(
        day.len() == 8 && (3..=6).contains(&clock.len()) && digits(day) && digits(clock),
        "{disposition}"
    );
    format!("{before} TIME.{extension}")
}

/// How two files differ: in the order of what they hold, or in what they hold.
fn different(theirs: &str, ours: &str) -> Option<String> {
    let sorted = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.sort_unstable();
        bytes
    };
    let class = if sorted(theirs) == sorted(ours) { "order" } else { "bytes" };
    (theirs != ours).then(|| class.to_owned())
}

#[tokio::test]
async fn files_are_those_of_the_original() {
    let world = takeover::over(FIXTURE).await;
    let text = restore::unzipped(FIXTURE, "exports.jsonl.gz");
    let mut all: Vec<Recorded> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    if !reading::has_xml(&world).await {
        all.retain(|each| !each.path.contains(reading::WITH_XML));
    }
    let (mut found, mut compared) = (BTreeMap::new(), 0);
    for recorded in &all {
        let method = Method::from_bytes(recorded.method.as_bytes()).unwrap();
        let ours = world.api.call(method, &recorded.path, recorded.body.clone()).await;
        let class = match (recorded.status, ours.status) {
            (500, 500) => Some("ours fails".to_owned()),
            (500, _) => None,
            (theirs, status) if theirs != status => Some(format!("{theirs} > {status} {}", ours.code())),
            // Of a refusal the code counts; texts are compared in http_errors.
            (400.., _) => (!recorded.answer.contains(&ours.code())).then(|| "code".to_owned()),
            _ => {
                assert_eq!(ours.header("content-type"), recorded.content_type.as_deref(), "{}", recorded.id);
                let disposition = ours.header("content-disposition").map(timeless);
                assert_eq!(disposition, recorded.disposition, "{}", recorded.id);
                let length = ours.header("content-length").map(str::to_owned);
                assert_eq!(
                    length,
                    Some(ours.text.len().to_string()),
                    "{}: small files have a length",
                    recorded.id
                );
                different(&recorded.answer, &ours.text)
            }
        };
        compared += usize::from(recorded.status != 500);
        if let Some(class) = class {
            let lines = recorded.answer.lines().zip(ours.text.lines()).find(|(theirs, ours)| theirs != ours);
            println!("{}: {class}, theirs and ours: {lines:?}", recorded.id);
            found.insert(recorded.id.clone(), class);
        }
    }
    println!("{} of {compared} are equal", compared - found.len());
    reading::settle(&found, &all.iter().map(|each| each.id.as_str()).collect(), "differences-exports.tsv");
}

/// A fleet with a collection of many items.
async fn crowded(shape: Shape, options: Options, many: i64) -> World {
    let world = World::with(shape, options).await;
    let fields = json!([
        {"field": "title", "type": "string"},
        {"field": "number", "type": "integer"},
        {"field": "price", "type": "decimal"},
        {"field": "at", "type": "timestamp"},
        {"field": "extra", "type": "json"},
    ]);
    world.collection("crowd", fields).await;
    let fill = "INSERT INTO crowd (title, number, price, at, extra) \
                SELECT 'number ' || n || ', \"quoted\"', n, n / 40.0, '2024-01-01T00:00:00Z', \
                json_build_object('n', n, 'late', CASE WHEN n > 150000 THEN n END) FROM generate_series(1, $1) n";
    sqlx::query(fill).bind(many).execute(&world.pool().await).await.unwrap();
    world
}

/// Reads a body to its end: bytes, lines, and whether it came to its end at all.
async fn read(mut body: Incoming) -> (usize, usize, Result<(), String>) {
    let (mut bytes, mut lines) = (0, 0);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                let piece = frame.into_data().unwrap_or_default();
                bytes += piece.len();
                lines += piece.iter().filter(|byte| **byte == b'\n').count();
            }
            Err(error) => return (bytes, lines, Err(error.to_string())),
        }
    }
    (bytes, lines, Ok(()))
}

/// A line of `/proc/<pid>/status` in kB.
fn memory(pid: u32, name: &str) -> i64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The processes that a list goes through.
fn on_the_way(world: &World) -> Vec<u32> {
    let mut all = vec![world.process_of("gateway"), world.process_of("items")];
    all.dedup();
    all.into_iter().map(|index| world.pid(index)).collect()
}

/// Reads a list to its end, and what the processes on its way grew by at most meanwhile.
async fn pass(world: &World, path: &str, lines: i64) {
    let pids = on_the_way(world);
    let before = |pid: &u32| {
        // The peak is counted anew.
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
        memory(*pid, "VmRSS")
    };
    let before: Vec<i64> = pids.iter().map(before).collect();
    let begun = Instant::now();
    let response = world.api.open(&format!("/items/crowd?{path}")).await;
    assert_eq!(response.status(), 200);
    let length = response.headers().get("content-length");
    assert_eq!(length, None, "{path}: its length is not known beforehand");
    let (bytes, seen, ended) = read(response.into_body()).await;
    ended.unwrap();
    assert_eq!(i64::try_from(seen).unwrap(), lines, "{path}");
    for (pid, before) in pids.iter().zip(before) {
        let growth = memory(*pid, "VmHWM") - before;
        println!("{path}: {bytes} bytes in {:?}, {growth} kB more than {before}", begun.elapsed());
        assert!(growth <= GROWTH, "{path}: grew by {growth} kB\n{}", world.logs());
    }
}

#[tokio::test]
async fn many_items_go_through_and_nobody_holds_them() {
    let world = crowded(shape!(), Options::default(), MANY).await;
    // What a first request makes and keeps is not the stream's.
    read(world.api.open("/items/crowd?limit=2000&export=csv").await.into_body()).await.2.unwrap();
    pass(&world, "limit=-1&export=csv&fields=id,title,number,price,at", MANY).await;
    // Members that only later items have are columns too: the items are looked through first.
    pass(&world, "limit=-1&export=csv&fields=id,extra", MANY).await;
    pass(&world, "limit=-1&export=json&fields=id,title", MANY * 4 + 1).await;
    pass(&world, "limit=-1&meta=*", 0).await;
    pass(&world, "limit=30000&export=xml&fields=id", 30_000 * 3 + 2).await;
    pass(&world, "limit=30000&export=yaml&fields=id,title", 30_000 * 2).await;
}

/// The figures that are published.
#[tokio::test]
#[ignore = "takes minutes"]
async fn a_million_items_go_through() {
    const MILLION: i64 = 1_000_000;
    let world = crowded(shape!(), Options::default(), MILLION).await;
    pass(&world, "limit=-1&export=csv&fields=id,title,number,price,at", MILLION).await;
    pass(&world, "limit=-1&export=json&fields=id,title,number,price,at", MILLION * 7 + 1).await;
    pass(&world, "limit=-1", 0).await;
}

/// Counts come first, and both they and the items are of the moment when the list began.
#[tokio::test]
async fn a_list_is_of_one_moment() {
    let world = crowded(shape!(), Options::default(), 20_000).await;
    let response = world.api.open("/items/crowd?limit=-1&meta=*&fields=id,title,extra").await;
    world.api.post("/items/crowd", json!({"title": "too late"})).await.expect(200);
    world.api.delete("/items/crowd/20000", None).await.expect(204);
    let text = String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    assert!(text.starts_with(r#"{"meta":{"total_count":20000,"filter_count":20000},"data":["#));
    let data = serde_json::from_str::<Value>(&text).unwrap()["data"].take();
    let data = data.as_array().unwrap();
    assert_eq!((data.len(), &data[19_999]["id"]), (20_000, &json!(20_000)));
    // The same items as by pages, which are documents.
    let page = world.api.get("/items/crowd?limit=1000&page=7&fields=id,title,extra").await.expect(200).data();
    assert_eq!(page.as_array().unwrap()[..], data[6_000..7_000]);
}

/// How many sessions of PostgreSQL stream now.
async fn streaming(pool: &sqlx::PgPool) -> Vec<i32> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle' \
               AND query LIKE '%row_to_json%crowd%' AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    sqlx::query_scalar(sql).fetch_all(pool).await.unwrap()
}

/// The one session that streams.
async fn one_streams(pool: &sqlx::PgPool) -> i32 {
    let found = streaming(pool).await;
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]
}

async fn until_none_streams(pool: &sqlx::PgPool) {
    let deadline = Instant::now() + SOON;
    while !streaming(pool).await.is_empty() {
        assert!(Instant::now() < deadline, "a session still streams");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whose database dies in the middle gets a broken connection, not a shorter file.
#[tokio::test]
async fn a_failure_in_the_middle_is_seen() {
    let world = crowded(shape!(), Options::default(), MANY).await;
    let pool = world.pool().await;
    for form in ["&export=csv&fields=id,title", "&export=json", ""] {
        let response = world.api.open(&format!("/items/crowd?limit=-1{form}")).await;
        assert_eq!(response.status(), 200);
        let pid = one_streams(&pool).await;
        sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(&pool).await.unwrap();
        let (_, _, ended) = read(response.into_body()).await;
        assert!(ended.is_err(), "{form}: the end is not told from a failure");
        until_none_streams(&pool).await;
    }
    world.api.get("/items/crowd?limit=1").await.expect(200);
}

/// Who goes away, or reads nothing, holds neither a session nor a place.
#[tokio::test]
async fn who_does_not_read_is_cut_off() {
    let options = Options::default().set("EVENTUS_STREAM_PATIENCE", "1s");
    let world = crowded(shape!(), options, MANY).await;
    let pool = world.pool().await;
    for _ in 0..6 {
        let response = world.api.open("/items/crowd?limit=-1").await;
        one_streams(&pool).await;
        drop(response);
        until_none_streams(&pool).await;
    }
    let response = world.api.open("/items/crowd?limit=-1").await;
    until_none_streams(&pool).await;
    assert!(read(response.into_body()).await.2.is_err(), "what was not read is missing");
    // A list that takes too long ends, too.
    world.api.get("/items/crowd?limit=1").await.expect(200);
}

/// What is refused is refused before the file begins, and what is a document stays one.
#[tokio::test]
async fn refusals_come_before_the_file() {
    let world = crowded(shape!(), Options::default(), 10).await;
    let api = &world.api;
    api.get("/items/crowd?export=pdf").await.refused(400, "INVALID_QUERY");
    api.get("/items/crowd?export=csv&fields=nope").await.refused(403, "FORBIDDEN");
    api.get("/items/nowhere?export=csv").await.refused(403, "FORBIDDEN");
    api.get("/items/crowd?export=csv&limit=-1&filter[number][_eq]=99999999999")
        .await
        .refused(400, "INVALID_QUERY");
    let public = api.with_token(None);
    public.get("/items/crowd?export=csv&limit=-1").await.refused(403, "FORBIDDEN");
    public.get("/items/crowd?limit=-1").await.refused(403, "FORBIDDEN");
    api.post("/items/crowd?export=csv", json!({"title": "x"})).await.refused(400, "INVALID_QUERY");
    let empty = api.get("/items/crowd?limit=-1&filter[id][_eq]=0&meta=filter_count").await.expect(200);
    assert_eq!(empty.text, r#"{"meta":{"filter_count":0},"data":[]}"#);
    assert_eq!(empty.header("content-length"), Some("37"));
    let listed = api.get("/items/crowd?limit=-1&fields=id&sort=-id").await.expect(200);
    assert_eq!(listed.data().as_array().unwrap().len(), 10);
    assert_eq!(listed.header("cache-control"), Some("private, no-cache"));
    // The definitions, too, and a singleton.
    let collections = api.get("/collections?export=csv").await.expect(200);
    assert!(collections.text.starts_with("\"collection\",\"meta.collection\""), "{}", collections.text);
    let settings = api.get("/settings?export=yaml&fields=project_name&limit=-1").await.expect(200);
    assert!(settings.text.starts_with("project_name: "), "{}", settings.text);
    let me = api.get("/users/me?export=csv&fields=email").await.expect(200);
    assert_eq!(me.text, "\"email\"\n\"admin@example.com\"");
}

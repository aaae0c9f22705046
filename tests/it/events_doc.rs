//! docs/EVENTS.md is a contract: its subscribers run, its tables are complete, and what it says of lost buses is so.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::jetstream::{self, consumer::DeliverPolicy, consumer::pull};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::example::{self, Program};
use crate::world::{Options, Shape, TOKEN, World};

const DOCUMENT: &str = "docs/EVENTS.md";
const SOON: Duration = Duration::from_secs(20);

async fn world(shape: Shape) -> World {
    let world = World::with(shape, Options::default()).await;
    world.collection("articles", json!([{"field": "title", "type": "string"}])).await;
    world
}

async fn stream(world: &World) -> jetstream::stream::Stream {
    let client = world.nats.client().await;
    jetstream::new(client).get_stream("EVENTS").await.unwrap()
}

/// The first messages of a subject, from the beginning of the stream.
async fn messages(world: &World, filter: &str, count: usize) -> Vec<jetstream::Message> {
    let settings = pull::OrderedConfig {
        filter_subject: filter.to_owned(),
        deliver_policy: DeliverPolicy::All,
        ..Default::default()
    };
    let messages = stream(world).await.create_consumer(settings).await.unwrap().messages().await.unwrap();
    let all = messages.take(count).map(Result::unwrap).collect::<Vec<_>>();
    tokio::time::timeout(SOON, all).await.unwrap_or_else(|_| panic!("not {count} messages\n{}", world.logs()))
}

/// User, password and address of `nats://user:password@host:port`.
fn parts(url: &str) -> (String, String, String) {
    let (credentials, address) = url.strip_prefix("nats://").and_then(|rest| rest.split_once('@')).unwrap();
    let (user, password) = credentials.split_once(':').unwrap();
    (user.to_owned(), password.to_owned(), format!("nats://{address}"))
}

fn header(message: &jetstream::Message, name: &str) -> String {
    message.headers.as_ref().unwrap().get(name).unwrap_or_else(|| panic!("no {name}")).as_str().to_owned()
}

fn body(message: &jetstream::Message) -> Value {
    serde_json::from_slice(&message.payload).unwrap()
}

/// Names in the first column of the tables below a heading of the document.
fn documented(heading: &str) -> BTreeSet<String> {
    let text = example::read(DOCUMENT);
    let section =
        text.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no heading {heading}")).1;
    let section = section.split("\n## ").next().unwrap();
    let names = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    names.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn the_document_shows_the_programs_that_run() {
    for name in ["subscribe.sh", "subscribe.ts", "subscribe.py", "subscribe.rs"] {
        example::is_shown(DOCUMENT, name);
    }
}

/// A subscriber gets what is in the stream, then what comes; killed, it goes on where it was, and misses nothing of
/// what happened meanwhile.
async fn goes_on(name: &str, program: impl Fn() -> Command) {
    let world = world(shape!()).await;
    let start = || {
        let mut command = program();
        let (user, password, address) = parts(&world.nats.url());
        command.env("NATS_URL", address).env("NATS_USER", user).env("NATS_PASSWORD", password);
        Program::start(command)
    };
    for title in ["a", "b"] {
        world.api.post("/items/articles", json!({"title": title})).await.expect(200);
    }
    world.quiet(SOON).await;
    let mut running = start();
    let mut lines = running.lines(2).await;
    world.api.patch("/items/articles/1", json!({"title": "c"})).await.expect(200);
    lines.extend(running.lines(1).await);
    let stream = stream(&world).await;
    testkit::eventually(SOON, || async {
        let info = stream.consumer_info(name).await.unwrap();
        info.num_ack_pending == 0 && info.num_pending == 0
    })
    .await;
    running.kill().await;
    world.api.patch("/items/articles/2", json!({"title": "d"})).await.expect(200);
    world.api.delete("/items/articles/1", None).await.expect(204);
    lines.extend(start().lines(2).await);
    let position = |line: &String| line.split(' ').next().unwrap().parse::<i64>().unwrap();
    assert!(lines.is_sorted_by_key(position), "{lines:?}");
    let rest: Vec<&str> = lines.iter().map(|line| line.split_once(' ').unwrap().1).collect();
    let expected = [
        "items.create articles 1 1",
        "items.create articles 2 1",
        "items.update articles 1 2",
        "items.update articles 2 2",
        "items.delete articles 1 3",
    ];
    assert_eq!(rest, expected);
}

#[tokio::test]
async fn the_python_subscriber_goes_on_where_it_stopped() {
    let program = || {
        let mut command = example::python(&[]);
        command.arg(example::root().join("docs/examples/subscribe.py"));
        command
    };
    goes_on("printer-py", program).await;
}

#[tokio::test]
async fn the_rust_subscriber_goes_on_where_it_stopped() {
    goes_on("printer-rs", || example::rust("subscribe")).await;
}

/// The TypeScript program, checked and compiled in a folder that knows the packages of the tests.
async fn compiled(folder: &Path) -> PathBuf {
    let packages = example::tools().join("node/node_modules");
    assert!(
        packages.join("@nats-io/transport-node").is_dir(),
        "the Node packages of the tests are not in {}: run script/test, which installs them",
        packages.display()
    );
    std::os::unix::fs::symlink(&packages, folder.join("node_modules")).unwrap();
    let source = folder.join("subscribe.mts");
    std::fs::copy(example::root().join("docs/examples/subscribe.ts"), &source).unwrap();
    let mut compiler = Command::new("node");
    compiler.current_dir(folder).arg(packages.join("typescript/bin/tsc")).arg(&source);
    compiler.args(["--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck"]);
    example::run_within(compiler, Duration::from_secs(120)).await;
    folder.join("subscribe.mjs")
}

#[tokio::test]
async fn the_typescript_subscriber_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let program = compiled(folder.path()).await;
    let start = || {
        let mut command = Command::new("node");
        command.arg(&program);
        command
    };
    goes_on("printer-ts", start).await;
}

/// Over HTTP: from the beginning of the log, and on behind the last event that it has written down.
#[tokio::test]
async fn the_shell_subscriber_goes_on_where_it_stopped() {
    let world = world(shape!()).await;
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = Command::new("bash");
        command.arg(example::root().join("docs/examples/subscribe.sh")).current_dir(folder.path());
        command.env("URL", world.api.base()).env("TOKEN", TOKEN);
        Program::start(command)
    };
    for title in ["a", "b"] {
        world.api.post("/items/articles", json!({"title": title})).await.expect(200);
    }
    let mut running = start();
    let mut lines = running.lines(2).await;
    world.api.patch("/items/articles/1", json!({"title": "c"})).await.expect(200);
    lines.extend(running.lines(1).await);
    let event = |line: &String| serde_json::from_str::<Value>(line).unwrap();
    let last = event(&lines[2])["position"].to_string();
    testkit::eventually(SOON, || async {
        std::fs::read_to_string(folder.path().join("last-event-id")).is_ok_and(|id| id == last)
    })
    .await;
    running.kill().await;
    world.api.patch("/items/articles/2", json!({"title": "d"})).await.expect(200);
    world.api.delete("/items/articles/1", None).await.expect(204);
    lines.extend(start().lines(2).await);
    let told = |line| {
        let event: Value = event(line);
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        format!("{} {} {}", text("name"), text("key"), event["version"])
    };
    let told: Vec<String> = lines.iter().map(told).collect();
    let expected =
        ["items.create 1 1", "items.create 2 1", "items.update 1 2", "items.update 2 2", "items.delete 1 3"];
    assert_eq!(told, expected);
}

/// Headers, members and subjects of real messages are the documented ones.
#[tokio::test]
async fn the_tables_are_complete() {
    let world = world(shape!()).await;
    world.collection("größe 1.5", json!([{"field": "n", "type": "integer"}])).await;
    let api = &world.api;
    api.post("/items/articles", json!({"title": "a"})).await.expect(200);
    api.patch("/items/articles/1", json!({"title": "b"})).await.expect(200);
    api.delete("/items/articles/1", None).await.expect(204);
    api.post("/items/gr%C3%B6%C3%9Fe%201.5", json!({"n": 1})).await.expect(200);
    let messages = messages(&world, "items.>", 4).await;
    let (members, headers) = (documented("The body"), documented("The headers"));
    for message in &messages {
        let event = body(message);
        let found: BTreeSet<String> = event.as_object().unwrap().keys().cloned().collect();
        assert_eq!(found, members);
        let found: BTreeSet<String> =
            message.headers.as_ref().unwrap().iter().map(|(name, _)| name.to_string()).collect();
        assert!(found.is_subset(&headers), "{found:?}");
        let absent: Vec<&String> = headers.difference(&found).collect();
        assert!(
            absent
                .iter()
                .all(|name| ["ce-dataref", "ce-silent", "Nats-Expected-Last-Sequence"]
                    .contains(&name.as_str())),
            "{absent:?}"
        );
        assert_eq!(header(message, "ce-id"), event["id"]);
        assert_eq!(header(message, "Nats-Msg-Id"), event["id"]);
        assert_eq!(header(message, "ce-type"), event["name"]);
        assert_eq!(header(message, "ce-subject"), event["key"]);
        assert_eq!(header(message, "ce-sequence"), event["position"].to_string());
        assert_eq!(header(message, "traceparent"), event["traceparent"]);
    }
    let subjects: Vec<&str> = messages.iter().map(|message| message.subject.as_str()).collect();
    let plain = ["items.create.articles", "items.update.articles", "items.delete.articles"];
    assert_eq!(subjects[..3], plain);
    assert_eq!(subjects[3], "items.create.gr%C3%B6%C3%9Fe%201%2E5");
    bodies(&messages.iter().map(body).collect::<Vec<_>>());
    let text = example::read(DOCUMENT);
    for subject in stream(&world).await.cached_info().config.subjects.iter() {
        let scope = subject.strip_suffix(".>").unwrap();
        assert!(text.contains(&format!("`{scope}`")), "{scope} is not documented");
    }
}

/// What each kind of event carries.
fn bodies(events: &[Value]) {
    let versions: Vec<&Value> = events[..3].iter().map(|event| &event["version"]).collect();
    assert_eq!(versions, [1, 2, 3]);
    assert_eq!(
        (&events[0]["payload"], &events[0]["previous"]),
        (&json!({"id": 1, "title": "a"}), &Value::Null)
    );
    assert_eq!(
        (&events[1]["payload"], &events[1]["previous"]),
        (&json!({"title": "b"}), &json!({"title": "a"}))
    );
    assert_eq!(events[1]["fields"], json!(["title"]));
    assert_eq!(
        (&events[2]["payload"], &events[2]["previous"]),
        (&Value::Null, &json!({"id": 1, "title": "b"}))
    );
    assert!(events.iter().all(|event| event["user"].is_string() && event["oversized"] == false));
}

/// Ids, positions and source of the first messages.
async fn identities(world: &World, count: usize) -> Vec<(String, String, String)> {
    let messages = messages(world, ">", count).await;
    let identity =
        |message| (header(message, "ce-id"), header(message, "ce-sequence"), header(message, "ce-source"));
    messages.iter().map(identity).collect()
}

/// A bus that lost everything is filled again with the same events in the same order; only a reset of the relay
/// gives them another source.
#[tokio::test]
async fn a_wiped_bus_is_filled_again() {
    let mut world = world(shape!()).await;
    for n in 0..20 {
        world.api.post("/items/articles", json!({"title": n.to_string()})).await.expect(200);
    }
    world.quiet(SOON).await;
    let count = usize::try_from(stream(&world).await.cached_info().state.messages).unwrap();
    assert!(count >= 20);
    let before = identities(&world, count).await;
    world.nats.stop().await;
    world.nats.wipe_store();
    world.nats.restart().await;
    filled(&world, count).await;
    assert_eq!(identities(&world, count).await, before);
    reset(&mut world).await;
    filled(&world, count).await;
    let after = identities(&world, count).await;
    let without_source = |of: &[(String, String, String)]| {
        of.iter().map(|(id, at, _)| (id.clone(), at.clone())).collect::<Vec<_>>()
    };
    assert_eq!(without_source(&after), without_source(&before));
    assert!(after.iter().all(|(_, _, source)| *source != before[0].2), "a reset begins a new source");
    world.api.post("/items/articles", json!({"title": "last"})).await.expect(200);
    world.quiet(SOON).await;
}

/// Waits until the stream is there again and holds so many messages.
async fn filled(world: &World, count: usize) {
    let client = world.nats.client().await;
    let bus = jetstream::new(client);
    testkit::eventually(SOON, || async {
        let stream = bus.get_stream("EVENTS").await;
        stream.is_ok_and(|stream| stream.cached_info().state.messages >= count as u64)
    })
    .await;
}

/// `eventus relay reset` as docs/OPERATIONS.md tells: the items role stopped, reset, started.
async fn reset(world: &mut World) {
    let items = world.process_of("items");
    assert!(world.terminate(items).success());
    let mut command = Command::new(crate::world::binary());
    command.args(["relay", "reset"]).env_clear();
    command.env("DATABASE_URL", &world.database.url).env("NATS_URL", world.nats.url());
    let said = example::run(command).await;
    assert!(said.contains("the stream is purged"), "{said}");
    world.spawn(items);
    world.ready().await;
}

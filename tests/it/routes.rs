//! Every route by every method, what it answers to whom: tests/fixtures/routes.txt.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use http::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Api};
use crate::world::{Options, World};

const LINES: &str = include_str!("../fixtures/routes.txt");
const PASSWORD: &str = "a password of theirs";

/// A file of this repository.
pub fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The text between the first quotes.
fn quoted(text: &str) -> Option<&str> {
    text.split('"').nth(1)
}

/// Path and methods of each route, as the gateway's source has them.
fn routes() -> BTreeMap<String, BTreeSet<String>> {
    let mut routes = BTreeMap::new();
    let methods = |text: &str| {
        let mut lists = text.split('"').filter(|part| {
            part.split(',').any(|method| ["GET", "POST", "PATCH", "DELETE"].contains(&method))
        });
        let list = lists.next_back().unwrap_or_else(|| panic!("no methods: {text}"));
        list.split(',').map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("gateway/src");
    for source in sources(&root) {
        let text = std::fs::read_to_string(&source).unwrap();
        for part in text.split(".route(").skip(1) {
            let path = match part.trim_start() {
                path if path.starts_with('"') => quoted(path).unwrap().to_owned(),
                path if path.starts_with("imports::UPLOAD") => "/utils/import/{collection}".to_owned(),
                // Somebody asks for the route of a request.
                path if path.starts_with(')') => continue,
                // The table of the system's collections is read below.
                path if path.starts_with("path,") || path.starts_with("&format!(\"{path}") => continue,
                other => panic!("{}: a route that this test can't read: {other:.80}", source.display()),
            };
            routes.insert(path, methods(part));
        }
    }
    let all = |text: &str| text.split(',').map(str::to_owned).collect::<BTreeSet<_>>();
    for line in file("gateway/src/routes/system.rs").lines().filter(|line| line.contains(", \"directus_")) {
        let (path, kind) = (quoted(line).unwrap(), line.rsplit(", ").next().unwrap());
        let (many, one) = match kind.trim_end_matches("),") {
            "All" => ("POST,SEARCH,GET,HEAD,PATCH,DELETE", "GET,HEAD,PATCH,DELETE"),
            "Read" => ("SEARCH,GET,HEAD", "GET,HEAD"),
            "ReadAndChange" => ("SEARCH,GET,HEAD", "GET,HEAD,PATCH"),
            _ => ("GET,HEAD,PATCH", ""),
        };
        routes.insert(path.to_owned(), all(many));
        if !one.is_empty() {
            routes.insert(format!("{path}/{{key}}"), all(one));
        }
    }
    assert!(routes.len() > 100, "{}", routes.len());
    routes
}

fn sources(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    below.filter(|path| path.extension().is_some_and(|end| end == "rs")).collect()
}

/// A line of the file.
enum Line<'t> {
    Asked {
        who: &'t str,
        method: &'t str,
        path: &'t str,
        answer: &'t str,
        body: Option<&'t str>,
        made: Option<&'t str>,
    },
    Elsewhere {
        methods: &'t str,
        paths: &'t str,
        tests: &'t str,
    },
}

fn lines() -> impl Iterator<Item = Line<'static>> {
    let told = LINES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    told.map(|line| {
        let mut words = line.splitn(4, ' ');
        let [who, method, path, rest] =
            std::array::from_fn(|_| words.next().unwrap_or_else(|| panic!("{line}")));
        if who == "see" {
            return Line::Elsewhere { methods: method, paths: path, tests: rest };
        }
        let (rest, made) = rest.rsplit_once(" -> ").map_or((rest, None), |(rest, made)| (rest, Some(made)));
        let begin = rest.find(['{', '[', '"']).unwrap_or(rest.len());
        let (answer, body) = (rest[..begin].trim(), Some(&rest[begin..]).filter(|body| !body.is_empty()));
        Line::Asked { who, method, path, answer, body, made }
    })
}

/// The route of a path: the one with the most words in common.
fn route<'r>(path: &str, routes: &'r BTreeMap<String, BTreeSet<String>>) -> &'r str {
    let path = path.split('?').next().unwrap();
    let parts: Vec<&str> = path.split('/').collect();
    let same = |route: &&String| {
        let names: Vec<&str> = route.split('/').collect();
        names.len() == parts.len()
            && names.iter().zip(&parts).all(|(name, part)| name.starts_with('{') || name == part)
    };
    let found = routes.keys().filter(same).min_by_key(|route| route.matches('{').count());
    found.unwrap_or_else(|| panic!("{path} is no route"))
}

/// Fails where there is no such test: `module::module::function`.
#[track_caller]
pub fn exists(test: &str) {
    let parts: Vec<&str> = test.split("::").collect();
    let (name, modules) = parts.split_last().unwrap();
    let text = file(&format!("tests/it/{}.rs", modules.join("/")));
    assert!(text.contains(&format!("fn {name}(")), "there is no test {test}");
}

#[test]
fn every_route_has_its_lines() {
    let routes = routes();
    let mut told: BTreeSet<(String, &str)> = BTreeSet::new();
    for line in lines() {
        match line {
            Line::Asked { method, path, .. } => drop(told.insert((method.to_owned(), route(path, &routes)))),
            Line::Elsewhere { methods, paths, tests } => {
                tests.split(' ').for_each(exists);
                for path in paths.split(',') {
                    let (path, methods) = (route(path, &routes), methods.split(','));
                    told.extend(methods.map(|method| (method.to_owned(), path)));
                }
            }
        }
    }
    let all = routes
        .iter()
        .flat_map(|(path, methods)| methods.iter().map(move |method| (method.clone(), path.as_str())));
    let missing: Vec<String> = all
        .filter(|(method, path)| method != "HEAD" && !told.contains(&(method.clone(), *path)))
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    assert!(
        missing.is_empty(),
        "routes without a line in tests/fixtures/routes.txt:\n{}",
        missing.join("\n")
    );
}

/// Who asks, and what stands for the names in the lines.
struct Stage {
    askers: BTreeMap<&'static str, Api>,
    names: BTreeMap<String, String>,
}

async fn stage(world: &World) -> Stage {
    let admin = &world.api;
    world.collection("notes", json!([{"field": "n", "type": "integer"}])).await;
    admin.patch("/collections/notes", json!({"meta": {"sort_field": "n"}})).await.expect(200);
    admin.post("/items/notes", json!([{"n": 1}, {"n": 2}])).await.expect(200);
    let made = async |path: &str, body: Value| admin.post(path, body).await.expect(200).data()["id"].clone();
    let role = made("/roles", json!({"name": "mine"})).await;
    let token = "routes-suite-user-token-01";
    let user = json!({"email": "user@example.com", "password": PASSWORD, "role": role, "token": token});
    let user = made("/users", user).await;
    let me = admin.get("/users/me").await.expect(200).data()["id"].clone();
    let share = made("/shares", json!({"collection": "notes", "item": "1", "role": role})).await;
    let nobody = admin.with_token(None);
    let guest = nobody.post("/shares/auth", json!({"share": share})).await.expect(200).data();
    let askers = [
        ("admin", admin.clone()),
        ("user", admin.with_token(Some(token))),
        ("guest", admin.with_token(guest["access_token"].as_str())),
        ("wrong", admin.with_token(Some("no-such-token-00001"))),
        ("nobody", nobody),
    ];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let names =
        [("role", text(&role)), ("user", text(&user)), ("me", text(&me)), ("password", PASSWORD.to_owned())];
    let names = names.map(|(name, value)| (name.to_owned(), value)).into();
    Stage { askers: askers.into(), names }
}

impl Stage {
    /// `$name`s become what they stand for.
    fn filled(&self, text: &str) -> String {
        // The longest first, as names may begin alike.
        let mut names: Vec<_> = self.names.iter().collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${name}"), value))
    }

    async fn call(&self, who: &str, method: &str, path: &str, body: Option<String>) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let headers = [("content-type", "application/json")];
        self.askers[who].raw(method, path, &headers, body.unwrap_or_default()).await.unwrap()
    }
}

fn told(answer: &Answer) -> String {
    format!("{} {}", answer.status, answer.code()).trim().to_owned()
}

#[tokio::test]
async fn every_route_answers_as_it_should() {
    let world = World::with(shape!(), Options::default()).await;
    let mut stage = stage(&world).await;
    let mut wrong = Vec::new();
    for line in lines() {
        let Line::Asked { who, method, path, answer: expected, body, made } = line else { continue };
        let (path, body) = (stage.filled(path), body.map(|body| stage.filled(body)));
        let answer = stage.call(who, method, &path, body.clone()).await;
        if told(&answer) != expected {
            let body = body.unwrap_or_default();
            wrong.push(format!(
                "{who} {method} {path} {body}\n  {expected}, but: {} {}",
                answer.status, answer.text
            ));
        }
        if let Some(made) = made {
            let (name, member) = made.split_once('=').unwrap_or((made, "id"));
            let value = &answer.data()[member];
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            stage.names.insert(name.to_owned(), value);
        }
    }
    for (path, methods) in routes() {
        asked_of_all(&stage, &path, &methods, &mut wrong).await;
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(!world.whole_logs().contains("panicked"), "{}", world.logs());
}

/// What holds for every route: it says by what methods it goes and by no other, and nobody is let in where he is not named
/// among those who ask.
async fn asked_of_all(stage: &Stage, path: &str, methods: &BTreeSet<String>, wrong: &mut Vec<String>) {
    let place = [
        ("{collection}", "notes"),
        ("{field}", "n"),
        ("{provider}", "none"),
        ("{name}", "analytics"),
        ("{version}", "1"),
        ("{revision}", "1"),
    ];
    let place = place.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value));
    let id = "00000000-0000-4000-8000-000000000000";
    let place = ["{key}", "{id}", "{share}"].iter().fold(place, |path, name| path.replace(name, id));
    if path != "/events" {
        let options = stage.call("nobody", "OPTIONS", &place, None).await;
        let allowed: BTreeSet<String> =
            options.header("allow").unwrap_or_default().split(',').map(str::to_owned).collect();
        if options.status != 200 || &allowed != methods {
            wrong.push(format!("OPTIONS {place}: {} {allowed:?}", options.status));
        }
    }
    let other = stage.call("admin", "PROPFIND", &place, None).await;
    if told(&other) != "404 ROUTE_NOT_FOUND" {
        wrong.push(format!("PROPFIND {place}: {}", told(&other)));
    }
    let routes = [(path.to_owned(), methods.clone())].into();
    for method in methods.iter().filter(|method| *method != "HEAD") {
        let named = lines().any(|line| match line {
            Line::Asked { who: "nobody", method: asked, path: at, .. } => {
                asked == method && is_of(at, path, &routes)
            }
            _ => false,
        });
        if named {
            continue;
        }
        let answer = stage.call("nobody", method, &place, Some("{}".to_owned())).await;
        // Some bodies and queries are judged before anybody is asked who he is.
        if ![400, 401, 403, 415].contains(&answer.status) {
            wrong.push(format!("nobody {method} {place}: {}", told(&answer)));
        }
    }
}

/// The path fits the route.
fn is_of(path: &str, own: &str, routes: &BTreeMap<String, BTreeSet<String>>) -> bool {
    let path = path.split('?').next().unwrap();
    let same = path.split('/').count() == own.split('/').count();
    let fits = path.split('/').zip(own.split('/')).all(|(part, name)| name.starts_with('{') || name == part);
    same && fits && routes.contains_key(own)
}

//! `ETag` of one item, `If-Match`: nobody overwrites what he has not seen.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use proto::items::v1::items_service_client::ItemsServiceClient;
use proto::items::v1::update_items_request::Target;
use proto::items::v1::{
    Condition, DeleteItemsRequest, Keys, ReadItemRequest, UpdateItemsRequest, delete_items_request,
};
use serde_json::{Value, json};

use crate::api::{Answer, Api};
use crate::world::{Options, TOKEN, World};

/// A call with `If-Match`.
async fn matching(api: &Api, method: Method, path: &str, tag: &str, body: Value) -> Answer {
    let headers = [("content-type", "application/json"), ("if-match", tag)];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    api.raw(method, path, &headers, body).await.unwrap()
}

fn tag(answer: &Answer) -> String {
    answer.header("etag").unwrap().to_owned()
}

/// The version in a strong tag.
fn version(answer: &Answer) -> i64 {
    let tag = tag(answer);
    let (version, body) = tag.strip_prefix('"').unwrap().split_once('.').unwrap();
    assert!(body.starts_with(&format!("{:x}-", answer.text.len())), "{tag}");
    version.parse().unwrap()
}

async fn notes(world: &World) -> &Api {
    world
        .collection("notes", json!([{"field": "title", "type": "string"}, {"field": "n", "type": "integer"}]))
        .await;
    &world.api
}

#[tokio::test]
async fn one_item_tells_its_version() {
    let world = World::start(shape!()).await;
    let api = notes(&world).await;
    let made = api.post("/items/notes", json!({"title": "a"})).await.expect(200);
    let read = api.get("/items/notes/1").await.expect(200);
    assert_eq!((version(&made), tag(&made)), (1, tag(&read)));
    let changed = api.patch("/items/notes/1", json!({"title": "b"})).await.expect(200);
    let read = api.get("/items/notes/1").await.expect(200);
    assert_eq!((version(&changed), tag(&changed)), (2, tag(&read)));
    // The body counts, too: other fields, another tag; the same body at a later version as well.
    let some = api.get("/items/notes/1?fields=id").await.expect(200);
    assert_eq!(version(&some), 2);
    assert_ne!(tag(&some), tag(&read));
    api.patch("/items/notes/1", json!({"title": "b"})).await.expect(200);
    let same = [("if-none-match", tag(&read))];
    let same = same.each_ref().map(|(name, tag)| (*name, tag.as_str()));
    let later = api.raw(Method::GET, "/items/notes/1", &same, "").await.unwrap().expect(200);
    assert_eq!((&later.text, version(&later)), (&read.text, 3));
    let same = [("if-none-match", tag(&later))];
    let same = same.each_ref().map(|(name, tag)| (*name, tag.as_str()));
    api.raw(Method::GET, "/items/notes/1", &same, "").await.unwrap().expect(304);
    // One item by way of a list of one; changes that change nothing; an item with a key of its own, made again.
    assert_eq!(version(&api.get("/items/notes/1?filter[n][_null]=true").await.expect(200)), 3);
    assert_eq!(version(&api.patch("/items/notes/1", json!({})).await.expect(200)), 3);
    assert_eq!(version(&api.post("/items/notes", json!({"id": 7})).await.expect(200)), 1);
    api.delete("/items/notes/7", None).await.expect(204);
    assert_eq!(version(&api.post("/items/notes", json!({"id": 7})).await.expect(200)), 3);
    assert_eq!(version(&api.get("/items/notes/07").await.expect(200)), 3);
    // Lists and figures have no version.
    for path in ["/items/notes", "/items/notes?filter[id][_eq]=1", "/items/notes/1?aggregate[count]=*"] {
        let list = api.get(path).await.expect(200);
        assert!(tag(&list).starts_with("W/\""), "{path}: {}", tag(&list));
    }
    let list = api.patch("/items/notes", json!({"keys": [1], "data": {"n": 1}})).await.expect(200);
    assert!(tag(&list).starts_with("W/\""));
}

#[tokio::test]
async fn what_was_not_seen_is_not_overwritten() {
    let world = World::start(shape!()).await;
    let api = notes(&world).await;
    let first = tag(&api.post("/items/notes", json!({"title": "a"})).await.expect(200));
    let second =
        tag(&matching(api, Method::PATCH, "/items/notes/1", &first, json!({"n": 1})).await.expect(200));
    let stale = matching(api, Method::PATCH, "/items/notes/1", &first, json!({"n": 2})).await;
    let error = stale.refused(412, "PRECONDITION_FAILED").json()["errors"][0]["extensions"].clone();
    assert_eq!((&error["version"], &error["header"]), (&json!(2), &json!("If-Match")));
    matching(api, Method::PATCH, "/items/notes/1", &first, json!({}))
        .await
        .refused(412, "PRECONDITION_FAILED");
    matching(api, Method::DELETE, "/items/notes/1", &first, Value::Null)
        .await
        .refused(412, "PRECONDITION_FAILED");
    assert_eq!(tag(&api.get("/items/notes/1").await), second, "nothing has changed");
    let other_fields = tag(&api.get("/items/notes/1?fields=n").await);
    for fits in [
        other_fields.clone(),
        "*".to_owned(),
        format!("\"0.x\" , W/{}", other_fields.replace("2.", "4.")),
        "\"5\"".to_owned(),
    ] {
        matching(api, Method::PATCH, "/items/notes/1", &fits, json!({"n": 3})).await.expect(200);
    }
    for never in ["\"\"", "\"x\"", "W/\"13-Y72cZALG8c53AvookbtjwYVoS34\"", "\"99999999999999999999\""] {
        let answer = matching(api, Method::PATCH, "/items/notes/1", never, json!({"n": 4})).await;
        answer.refused(412, "PRECONDITION_FAILED");
    }
    for missing in ["*", "\"1.x\""] {
        for method in [Method::PATCH, Method::DELETE] {
            let answer = matching(api, method, "/items/notes/99", missing, json!({"n": 4})).await;
            answer.refused(412, "PRECONDITION_FAILED");
        }
        matching(api, Method::PATCH, "/items/notes/99", missing, json!({}))
            .await
            .refused(412, "PRECONDITION_FAILED");
    }
    matching(api, Method::DELETE, "/items/notes/1", "\"6.x\"", Value::Null).await.expect(204);
    let sql = "SELECT count(*) FROM eventus.events WHERE collection = 'notes'";
    let events: i64 = sqlx::query_scalar(sql).fetch_one(&world.pool().await).await.unwrap();
    assert_eq!(events, 7);
    // A failed condition is no answer to keep, and a second try may name another version.
    api.post("/items/notes", json!({"id": 50, "n": 0})).await.expect(200);
    let both = async |tag: &str| {
        let headers = [("content-type", "application/json"), ("if-match", tag), ("idempotency-key", "k")];
        api.raw(Method::PATCH, "/items/notes/50", &headers, r#"{"n":1}"#).await.unwrap()
    };
    both("\"9.x\"").await.refused(412, "PRECONDITION_FAILED");
    assert_eq!(version(&both("\"1.x\"").await.expect(200)), 2);
    for tag in ["\"1.x\"", "\"2.x\""] {
        assert_eq!(both(tag).await.expect(200).header("idempotency-replayed"), Some("true"));
    }
}

#[tokio::test]
async fn of_many_who_saw_the_same_one_wins() {
    let world = World::start(shape!()).await;
    let api = notes(&world).await;
    let mut seen = tag(&api.post("/items/notes", json!({"n": 0})).await.expect(200));
    for round in 1..=15 {
        let write =
            async |n: i32| matching(api, Method::PATCH, "/items/notes/1", &seen, json!({"n": n})).await;
        let answers = join_all((0..12).map(write)).await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!(won.len(), 1, "round {round}");
        assert_eq!(version(&won[0]), round + 1);
        lost.into_iter().for_each(|answer| drop(answer.refused(412, "PRECONDITION_FAILED")));
        let read = api.get("/items/notes/1").await.expect(200);
        assert_eq!(read.data(), won[0].data());
        seen = tag(&read);
    }
    // Writers and deleters of what refers to others, and of what others refer to.
    world.collection("parents", json!([{"field": "title", "type": "string"}])).await;
    let relation = json!({"collection": "notes", "field": "n", "related_collection": "parents",
        "schema": {"on_delete": "SET NULL"}});
    api.delete("/items/notes/1", None).await.expect(204);
    api.post("/relations", relation).await.expect(200);
    for round in 1..=10 {
        let parent = api.post("/items/parents", json!({"id": round})).await.expect(200);
        api.post("/items/notes", json!({"n": round})).await.expect(200);
        let path = format!("/items/parents/{round}");
        let seen = tag(&parent);
        let write = async |n: i32| match n % 2 {
            0 => matching(api, Method::PATCH, &path, &seen, json!({"title": n.to_string()})).await,
            _ => matching(api, Method::DELETE, &path, &seen, Value::Null).await,
        };
        let answers = join_all((0..8).map(write)).await;
        assert_eq!(answers.iter().filter(|answer| answer.status < 300).count(), 1, "{answers:?}");
        let lost = answers.into_iter().filter(|answer| answer.status >= 300);
        lost.for_each(|answer| drop(answer.refused(412, "PRECONDITION_FAILED")));
    }
    world.quiet(Duration::from_secs(20)).await;
}

#[tokio::test]
async fn conditions_are_for_one_item() {
    let world = World::start(shape!()).await;
    let api = notes(&world).await;
    api.post("/items/notes", json!([{"n": 1}, {"n": 2}])).await.expect(200);
    for (method, path, body) in [
        (Method::POST, "/items/notes", json!({"n": 1})),
        (Method::PUT, "/items/notes", json!({"id": 1, "n": 9})),
        (Method::PATCH, "/items/notes", json!({"keys": [1, 2], "data": {"n": 9}})),
        (Method::PATCH, "/items/notes", json!({"query": {}, "data": {"n": 9}})),
        (Method::PATCH, "/items/notes", json!([{"id": 1, "n": 9}])),
        (Method::DELETE, "/items/notes", json!([1, 2])),
        (Method::DELETE, "/items/notes", json!({"query": {}})),
    ] {
        matching(api, method, path, "\"1.x\"", body).await.refused(400, "INVALID_HEADER");
    }
    for wrong in ["", "1.x", "\"1.x", "\"1.x\" \"2.x\"", "*, \"1.x\"", "\u{e4}"] {
        let answer = matching(api, Method::PATCH, "/items/notes/1", wrong, json!({"n": 9})).await;
        assert_eq!(
            answer.refused(400, "INVALID_HEADER").json()["errors"][0]["extensions"]["header"],
            "If-Match"
        );
    }
    assert_eq!(api.get("/items/notes?fields=n").await.data(), json!([{"n": 1}, {"n": 2}]));
    // Who may not write learns nothing about versions.
    let nobody = api.with_token(None);
    matching(&nobody, Method::PATCH, "/items/notes/1", "\"9\"", json!({"n": 9}))
        .await
        .refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn singletons_users_and_settings_have_versions() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    let fields = json!([{"field": "title", "type": "string"}]);
    let body = json!({"collection": "one", "schema": {}, "meta": {"singleton": true}, "fields": fields});
    api.post("/collections", body).await.expect(200);
    assert!(tag(&api.get("/items/one").await).starts_with("W/"), "never written");
    matching(api, Method::PATCH, "/items/one", "*", json!({"title": "a"}))
        .await
        .refused(412, "PRECONDITION_FAILED");
    assert_eq!(version(&api.patch("/items/one", json!({"title": "a"})).await.expect(200)), 1);
    for path in ["/items/one", "/settings", "/users/me"] {
        let (read, change) = match path {
            "/items/one" => (api.get(path).await, json!({"title": "b"})),
            "/settings" => {
                (api.patch(path, json!({"project_name": "P"})).await, json!({"project_name": "Q"}))
            }
            _ => (api.get(path).await, json!({"first_name": "Q"})),
        };
        assert_eq!(version(&api.get(path).await), version(&read), "{path}");
        let changed = matching(api, Method::PATCH, path, &tag(&read), change.clone()).await.expect(200);
        assert_eq!((version(&changed), tag(&changed)), (version(&read) + 1, tag(&api.get(path).await)));
        matching(api, Method::PATCH, path, &tag(&read), change).await.refused(412, "PRECONDITION_FAILED");
    }
    assert!(tag(&api.get("/items/one?aggregate[count]=*").await.expect(200)).starts_with("W/"));
    // What was is no ground for a change of what is.
    world.quiet(Duration::from_secs(20)).await;
    let sql = "SELECT max(position) FROM eventus.events";
    let last: i64 = sqlx::query_scalar(sql).fetch_one(&world.pool().await).await.unwrap();
    let me = api.get("/users/me?fields=id").await.data()["id"].as_str().unwrap().to_owned();
    for path in ["/items/one".to_owned(), format!("/users/{me}")] {
        let past = api.get(&format!("{path}?as_of={last}")).await.expect(200);
        assert!(tag(&past).starts_with("W/"), "{path}: {}", tag(&past));
    }
}

#[tokio::test]
async fn a_collection_may_insist() {
    let options = Options::default().set("EVENTUS_REQUIRE_IF_MATCH", "notes,directus_settings");
    let world = World::with(shape!(), options).await;
    let api = notes(&world).await;
    let first = tag(&api.post("/items/notes", json!({"n": 1})).await.expect(200));
    for (method, path, body) in [
        (Method::PATCH, "/items/notes/1", json!({"n": 2})),
        (Method::PATCH, "/items/notes", json!({"keys": [1], "data": {"n": 2}})),
        (Method::PATCH, "/items/notes", json!([{"id": 1, "n": 2}])),
        (Method::PUT, "/items/notes", json!({"id": 1, "n": 2})),
        (Method::DELETE, "/items/notes/1", Value::Null),
        (Method::DELETE, "/items/notes", json!([1])),
    ] {
        let answer = api.call(method, path, Some(body)).await.refused(428, "PRECONDITION_REQUIRED");
        let extensions = answer.json()["errors"][0]["extensions"].clone();
        assert_eq!((&extensions["header"], &extensions["collection"]), (&json!("If-Match"), &json!("notes")));
    }
    matching(api, Method::PATCH, "/items/notes/1", &first, json!({"n": 2})).await.expect(200);
    matching(api, Method::DELETE, "/items/notes/1", "*", Value::Null).await.expect(204);
    api.patch("/settings", json!({"project_name": "Q"})).await.refused(428, "PRECONDITION_REQUIRED");
    let settings = tag(&api.get("/settings").await.expect(200));
    matching(api, Method::PATCH, "/settings", &settings, json!({"project_name": "Q"})).await.expect(200);
    api.post("/items/notes", json!([{"n": 1}])).await.expect(200);
}

#[tokio::test]
async fn items_with_others_in_them() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    world.collection("authors", json!([{"field": "name", "type": "string"}])).await;
    let author = json!({"field": "author", "type": "integer"});
    world.collection("notes", json!([{"field": "title", "type": "string"}, author])).await;
    let relation = json!({"collection": "notes", "field": "author", "related_collection": "authors",
        "meta": {"one_field": "notes"}});
    let alias = json!({"field": "notes", "type": "alias", "meta": {"special": ["o2m"]}});
    api.post("/fields/authors", alias).await.expect(200);
    api.post("/relations", relation).await.expect(200);
    let made = api.post("/items/authors", json!({"name": "a", "notes": [{"title": "x"}]})).await.expect(200);
    assert_eq!((version(&made), tag(&made)), (1, tag(&api.get("/items/authors/1").await)));
    let nested = json!({"name": "b", "notes": {"create": [{"title": "y"}], "update": [], "delete": []}});
    let changed =
        matching(api, Method::PATCH, "/items/authors/1", &tag(&made), nested.clone()).await.expect(200);
    assert_eq!((version(&changed), tag(&changed)), (2, tag(&api.get("/items/authors/1").await)));
    let stale = matching(api, Method::PATCH, "/items/authors/1", &tag(&made), nested.clone()).await;
    stale.refused(412, "PRECONDITION_FAILED");
    let missing = matching(api, Method::PATCH, "/items/authors/9", "*", nested.clone()).await;
    missing.refused(412, "PRECONDITION_FAILED");
    assert_eq!(api.get("/items/notes?fields=title").await.data(), json!([{"title": "x"}, {"title": "y"}]));
    let seen = tag(&changed);
    let write =
        async |_| matching(api, Method::PATCH, "/items/authors/1", &seen, nested.clone()).await.status;
    let mut statuses = join_all((0..8).map(write)).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [&[200][..], &[412; 7]].concat());
    assert_eq!(api.get("/items/notes?fields=id").await.data().as_array().unwrap().len(), 3);
    world.quiet(Duration::from_secs(20)).await;
}

/// The admin's token over gRPC.
fn asking<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    request
}

#[tokio::test]
async fn the_same_over_grpc() {
    let world = World::start(shape!()).await;
    notes(&world).await.post("/items/notes", json!({"n": 1})).await.expect(200);
    let mut items = ItemsServiceClient::connect(format!("http://{}", world.grpc)).await.unwrap();
    let keys = || Keys { keys: vec!["1".to_owned()] };
    let update = |versions: &[i64]| {
        let condition = Some(Condition { exists: false, versions: versions.to_vec() });
        let (collection, target) = ("notes".to_owned(), Some(Target::Keys(keys())));
        let payload = r#"{"n":2}"#.into();
        asking(UpdateItemsRequest { collection, target, payload, condition, ..Default::default() })
    };
    let read = ReadItemRequest { collection: "notes".to_owned(), key: "1".to_owned(), ..Default::default() };
    assert_eq!(items.read_item(asking(read)).await.unwrap().into_inner().version, 1);
    assert_eq!(items.update_items(update(&[1])).await.unwrap().into_inner().version, 2);
    for never in [&[1][..], &[]] {
        let refused = items.update_items(update(never)).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    }
    let delete = |exists: bool| {
        let condition = Some(Condition { exists, versions: Vec::new() });
        let target = Some(delete_items_request::Target::Keys(keys()));
        asking(DeleteItemsRequest { collection: "notes".to_owned(), target, condition, ..Default::default() })
    };
    assert!(items.delete_items(delete(false)).await.is_err());
    assert_eq!(items.delete_items(delete(true)).await.unwrap().into_inner().keys, ["1"]);
}

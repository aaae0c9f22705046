//! What answers say to caches: tags of bodies, 304, who may keep them, what they were made of.

use http::Method;
use proto::items::v1::items_service_client::ItemsServiceClient;
use proto::items::v1::{ReadItemRequest, ReadItemsRequest};
use serde_json::json;
use tonic::transport::Endpoint;

use crate::api::Answer;
use crate::world::{TOKEN, World};

async fn notes() -> World {
    let world = World::start(shape!()).await;
    world.collection("authors", json!([{"field": "name", "type": "string"}])).await;
    let fields = json!([{"field": "title", "type": "string"}, {"field": "author", "type": "integer"}]);
    world.collection("notes", fields).await;
    let relation = json!({"collection": "notes", "field": "author", "related_collection": "authors"});
    world.api.post("/relations", relation).await.expect(200);
    world.api.post("/items/authors", json!({"id": 40, "name": "a"})).await.expect(200);
    world.api.post("/items/notes", json!([{"title": "x", "author": 40}, {"title": "y"}])).await.expect(200);
    world
}

#[tokio::test]
async fn who_has_the_answer_is_told_so() {
    let world = notes().await;
    let ask = async |method: Method, path: &str, headers: &[(&str, &str)]| -> Answer {
        world.api.raw(method, path, headers, "").await.unwrap()
    };
    for (path, is_one) in [
        ("/items/notes?fields=id", false),
        ("/items/notes/1", true),
        ("/users/me", true),
        ("/collections/notes", false),
    ] {
        let whole = ask(Method::GET, path, &[]).await.expect(200);
        let tag = whole.header("etag").unwrap().to_owned();
        // One item has its version before it.
        let (start, length) = (if is_one { "\"1." } else { "W/\"" }, whole.text.len());
        assert!(tag.starts_with(&format!("{start}{length:x}-")) && tag.len() > 30, "{tag}");
        for method in [Method::GET, Method::HEAD] {
            let same = ask(method.clone(), path, &[("if-none-match", &tag)]).await.expect(304);
            assert_eq!((same.text.as_str(), same.header("etag")), ("", Some(tag.as_str())));
            assert_eq!(same.header("cache-control"), Some("private, no-cache"));
            assert_eq!(same.header("vary"), Some("Origin, Cache-Control"));
            assert_eq!((same.header("content-type"), same.header("content-length")), (None, None));
            ask(method.clone(), path, &[("if-none-match", "*")]).await.expect(304);
            let other = ask(method.clone(), path, &[("if-none-match", "W/\"x\"")]).await.expect(200);
            assert_eq!(other.header("etag"), Some(tag.as_str()));
            let fresh = [("if-none-match", tag.as_str()), ("cache-control", "no-cache")];
            ask(method, path, &fresh).await.expect(200);
        }
    }
    let before = ask(Method::GET, "/items/notes/1", &[]).await;
    let tag = before.header("etag").unwrap().to_owned();
    world.api.patch("/items/notes/1", json!({"title": "changed"})).await.expect(200);
    let after = ask(Method::GET, "/items/notes/1", &[("if-none-match", &tag)]).await.expect(200);
    assert_eq!(after.data()["title"], "changed");
    // What is refused stays refused, whatever the client has.
    let nobody = world.api.with_token(None);
    let refused = nobody.raw(Method::GET, "/items/notes/1", &[("if-none-match", "*")], "").await.unwrap();
    refused.refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn what_is_told_to_a_credential_is_private() {
    let world = notes().await;
    let nobody = world.api.with_token(None);
    let control = async |path: &str, headers: &[(&str, &str)]| {
        let answer = nobody.raw(Method::GET, path, headers, "").await.unwrap().expect(200);
        assert!(answer.header("cache-tag").is_none() && answer.header("surrogate-key").is_none());
        answer.header("cache-control").unwrap().to_owned()
    };
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(control("/items/notes", &[("authorization", &bearer)]).await, "private, no-cache");
    assert_eq!(control(&format!("/items/notes?access_token={TOKEN}"), &[]).await, "private, no-cache");
    let login = json!({"email": "admin@example.com", "password": crate::world::PASSWORD, "mode": "session"});
    let session = nobody.post("/auth/login", login).await.expect(200);
    let cookie = session.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(control("/items/notes", &[("cookie", &cookie)]).await, "private, no-cache");
    assert_eq!(control("/server/info", &[]).await, "no-cache");
}

#[tokio::test]
async fn answers_name_what_they_were_made_of() {
    let world = notes().await;
    let channel = Endpoint::from_shared(format!("http://{}", world.grpc)).unwrap().connect().await.unwrap();
    let mut items = ItemsServiceClient::new(channel);
    let mut tags = async |key: Option<&str>, query: &str, tags: bool| -> Vec<String> {
        let query = query.to_owned().into();
        let collection = "notes".to_owned();
        let bearer = format!("Bearer {TOKEN}").parse().unwrap();
        match key {
            Some(key) => {
                let message = ReadItemRequest { collection, key: key.to_owned(), query, tags };
                let mut request = tonic::Request::new(message);
                request.metadata_mut().insert("authorization", bearer);
                items.read_item(request).await.unwrap().into_inner().tags
            }
            None => {
                let mut request =
                    tonic::Request::new(ReadItemsRequest { collection, query, keys: None, tags });
                request.metadata_mut().insert("authorization", bearer);
                items.read_items(request).await.unwrap().into_inner().tags
            }
        }
    };
    assert_eq!(tags(None, "", false).await, [""; 0]);
    assert_eq!(tags(None, "", true).await, ["notes", "1", "2"]);
    assert_eq!(
        tags(None, r#"{"limit":1,"sort":[{"field":"id","descending":true}]}"#, true).await,
        ["notes", "2"],
        "only what stands in the answer"
    );
    // What an item refers to is not in the answer, unless it is shown.
    assert_eq!(tags(None, r#"{"fields":["id","author"],"limit":1}"#, true).await, ["notes", "1"]);
    assert_eq!(
        tags(None, r#"{"fields":["id","author.*"],"limit":1}"#, true).await,
        ["authors", "notes", "1", "40"]
    );
    let related = r#"{"fields":["title"],"filter":{"related":{"field":"author","filter":{"compare":{"field":"name","operator":"_eq","value":"a"}}}}}"#;
    assert_eq!(tags(None, related, true).await, ["authors", "notes"]);
    assert_eq!(tags(None, r#"{"aggregate":[{"function":"count"}]}"#, true).await, ["notes"]);
    assert_eq!(tags(Some("01"), r#"{"fields":["title"]}"#, true).await, ["notes", "1"]);
}

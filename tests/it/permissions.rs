//! Who may do what: policies, their rules of items and fields, on every road, and how soon a change of them holds.

mod changes;
mod people;
mod writes;

use serde_json::{Value, json};

use crate::api::Api;
use crate::world::World;

/// Articles of authors; a user whose token is `writer-token`, in a role without policies.
pub struct Office {
    pub world: World,
    /// The user.
    pub writer: Api,
    /// The role.
    pub role: String,
    /// The user's id.
    pub user: String,
}

impl Office {
    pub async fn open(world: World) -> Self {
        let admin = &world.api;
        let text = |name: &str| json!({"field": name, "type": "string"});
        let authors =
            json!({"collection": "authors", "schema": {}, "fields": [text("name"), text("salary")]});
        admin.post("/collections", authors).await.expect(200);
        let articles = json!({"collection": "articles", "schema": {}, "fields": [
            text("title"), text("status"), text("notes"), {"field": "words", "type": "integer"},
            {"field": "author", "type": "integer"}, {"field": "owner", "type": "uuid", "meta": {"special": ["user-created"]}},
        ]});
        admin.post("/collections", articles).await.expect(200);
        let relation = json!({"collection": "articles", "field": "author", "related_collection": "authors",
            "meta": {"one_field": "articles"}});
        admin
            .post(
                "/fields/authors",
                json!({"field": "articles", "type": "alias", "meta": {"special": ["o2m"]}}),
            )
            .await
            .expect(200);
        admin.post("/relations", relation).await.expect(200);
        admin
            .post(
                "/items/authors",
                json!([{"name": "Ann", "salary": "100"}, {"name": "Bob", "salary": "200"}]),
            )
            .await
            .expect(200);
        admin
            .post(
                "/items/articles",
                json!([
                    {"title": "one", "status": "published", "notes": "n1", "words": 10, "author": 1},
                    {"title": "two", "status": "draft", "notes": "n2", "words": 20, "author": 1},
                    {"title": "three", "status": "published", "notes": "n3", "words": 30, "author": 2},
                ]),
            )
            .await
            .expect(200);
        let role = admin.post("/roles", json!({"name": "writers"})).await.expect(200).data();
        let role = role["id"].as_str().unwrap().to_owned();
        let user = json!({"email": "writer@example.com", "password": "writer-pw", "role": role, "token": "writer-token"});
        let user = admin.post("/users", user).await.expect(200).data()["id"].as_str().unwrap().to_owned();
        let writer = admin.with_token(Some("writer-token"));
        Self { world, writer, role, user }
    }

    /// A policy with these permissions, for the role.
    pub async fn policy(&self, permissions: Value) -> String {
        self.policy_for(json!({"role": self.role}), json!({}), permissions).await
    }

    /// A policy for somebody.
    pub async fn policy_for(&self, holder: Value, settings: Value, permissions: Value) -> String {
        let admin = &self.world.api;
        let mut policy = settings;
        policy["name"] = json!("a policy");
        let policy =
            admin.post("/policies", policy).await.expect(200).data()["id"].as_str().unwrap().to_owned();
        let mut access = holder;
        access["policy"] = json!(policy);
        admin.post("/access", access).await.expect(200);
        let mut permissions = permissions;
        for permission in permissions.as_array_mut().unwrap() {
            permission["policy"] = json!(policy);
        }
        if permissions.as_array().is_some_and(|all| !all.is_empty()) {
            admin.post("/permissions?fields=id", permissions).await.expect(200);
        }
        policy
    }

    /// What the writer reads.
    pub async fn reads(&self, path: &str) -> Value {
        self.writer.get(path).await.expect(200).data()
    }
}

/// A permission.
pub fn may(action: &str, collection: &str, fields: &[&str], items: Value) -> Value {
    json!({"collection": collection, "action": action, "fields": fields, "permissions": items})
}

#[tokio::test]
async fn nobody_may_anything_until_a_policy_says_so() {
    let office = Office::open(World::start(shape!()).await).await;
    let public = office.world.api.with_token(None);
    for api in [&office.writer, &public] {
        api.get("/items/articles").await.refused(403, "FORBIDDEN");
        api.get("/items/articles/1").await.refused(403, "FORBIDDEN");
        api.post("/items/articles", json!({"title": "x"})).await.refused(403, "FORBIDDEN");
        api.patch("/items/articles/1", json!({"title": "x"})).await.refused(403, "FORBIDDEN");
        api.delete("/items/articles/1", None).await.refused(403, "FORBIDDEN");
        api.get("/users").await.refused(403, "FORBIDDEN");
        // What is there and what is not are refused in the same words.
        let (there, missing) =
            (api.get("/items/articles").await.text, api.get("/items/nothing_here").await.text);
        assert_eq!(there.replace("articles", "?"), missing.replace("nothing_here", "?"));
    }
    assert_eq!(office.reads("/users/me").await, json!({"id": office.user}));
    public.get("/permissions/me").await.refused(403, "FORBIDDEN");
    assert_eq!(public.get("/policies/me/globals").await.expect(200).data(), json!({"app_access": false}));
}

#[tokio::test]
async fn rules_of_items_and_fields_hold_wherever_a_field_is_named() {
    let office = Office::open(World::start(shape!()).await).await;
    office
        .policy(json!([
            may(
                "read",
                "articles",
                &["id", "title", "status", "author"],
                json!({"status": {"_eq": "published"}})
            ),
            may("read", "articles", &["id", "words"], json!({"words": {"_gt": 15}})),
            may("read", "authors", &["id", "name"], json!({"name": {"_neq": "Bob"}})),
        ]))
        .await;
    let all = office.reads("/items/articles?sort=id").await;
    assert_eq!(
        all,
        json!([
            {"id": 1, "title": "one", "status": "published", "words": null, "author": 1},
            {"id": 2, "title": null, "status": null, "words": 20, "author": null},
            {"id": 3, "title": "three", "status": "published", "words": 30, "author": 2},
        ])
    );
    // An item is shown by a rule that shows what is asked for.
    assert_eq!(
        office.reads("/items/articles?fields=title&sort=id").await,
        json!([{"title": "one"}, {"title": "three"}])
    );
    let refused = [
        // Fields that no rule shows, wherever they stand; those that are not there are refused in the same words.
        "/items/articles?fields=notes",
        "/items/articles?filter[notes][_eq]=n1",
        "/items/articles?sort=notes",
        "/items/articles?aggregate[min]=notes",
        "/items/articles?groupBy=notes",
        "/items/articles?alias[x]=notes&fields=x",
        "/items/articles?fields=author.salary",
        "/items/articles?filter[author][salary][_eq]=100",
        "/items/articles?sort=author.salary",
        "/items/articles?fields=author.name&deep[author][_filter][salary][_eq]=100",
        "/items/articles?filter[_or][0][notes][_null]=true",
        "/items/articles/1?fields=notes",
        "/items/authors?filter[articles][_some][notes][_eq]=n1",
    ];
    for path in refused {
        let answer = office.writer.get(path).await.refused(403, "FORBIDDEN");
        let missing = office.writer.get(&path.replace("notes", "nope1").replace("salary", "nope1")).await;
        let said = answer.text.replace("notes", "nope1").replace("salary", "nope1");
        assert_eq!((said, answer.status), (missing.text, missing.status), "{path}");
    }
    // What a rule hides of an item is no ground for finding it.
    assert_eq!(office.reads("/items/articles?filter[title][_eq]=two&fields=id").await, json!([]));
    assert_eq!(office.reads("/items/articles?search=two&fields=id").await, json!([]));
    assert_eq!(
        office.reads("/items/articles?aggregate[max]=title").await,
        json!([{"max": {"title": "three"}}])
    );
    let by_author = office.reads("/items/articles?fields=id,author.name&sort=id").await;
    assert_eq!(by_author[0], json!({"id": 1, "author": {"name": "Ann"}}));
    // Bob is hidden, and so is what he wrote from behind.
    assert_eq!(by_author[2], json!({"id": 3, "author": null}));
    assert_eq!(office.reads("/items/articles?filter[author][name][_eq]=Bob&fields=id").await, json!([]));
    // Counts are of what is seen.
    let counted = office.writer.get("/items/authors?meta=*&fields=id").await.expect(200).json();
    assert_eq!(counted["meta"], json!({"total_count": 1, "filter_count": 1}));
    office.writer.get("/items/authors/2").await.refused(403, "FORBIDDEN");
    let search = json!({"query": {"filter": {"notes": {"_eq": "n1"}}}});
    office
        .writer
        .call(http::Method::from_bytes(b"SEARCH").unwrap(), "/items/articles", Some(search))
        .await
        .refused(403, "FORBIDDEN");
    let file = office.writer.get("/items/articles?export=csv&sort=id").await.expect(200).text;
    assert!(file.contains("\"one\"") && !file.contains("n1") && !file.contains("two"), "{file}");
    let before = office.writer.get("/items/articles?as_of=999999999&fields=notes").await;
    assert!(matches!(before.status, 400 | 403), "{}", before.text);
}

#[tokio::test]
async fn what_lies_beyond_the_unseen_is_left_out_of_answers() {
    let office = Office::open(World::start(shape!()).await).await;
    office.policy(json!([may("read", "articles", &["*"], Value::Null)])).await;
    // Authors are not readable at all: of a path through them nothing is answered, as in the original.
    assert_eq!(office.reads("/items/articles/1?fields=id,author.name").await, json!({"id": 1}));
    assert_eq!(office.reads("/items/articles/1?fields=id,author").await, json!({"id": 1, "author": 1}));
    office.writer.get("/items/articles?filter[author][name][_eq]=Ann").await.refused(403, "FORBIDDEN");
    office.writer.get("/items/articles?sort=author.name").await.refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn variables_in_rules_stand_for_the_one_who_asks() {
    let office = Office::open(World::start(shape!()).await).await;
    office
        .policy(json!([
            {"collection": "articles", "action": "create", "fields": ["title"], "presets": {"status": "$CURRENT_ROLE.name"}},
            may("read", "articles", &["id", "title", "status", "owner"], json!({"owner": {"_eq": "$CURRENT_USER"}})),
            may("read", "authors", &["*"], json!({"name": {"_eq": "$CURRENT_USER.first_name"}})),
            may("read", "directus_roles", &["id", "name"], json!({"id": {"_in": "$CURRENT_ROLES"}})),
        ]))
        .await;
    assert_eq!(office.reads("/items/articles").await, json!([]));
    let made = office.writer.post("/items/articles", json!({"title": "mine"})).await.expect(200).data();
    assert_eq!((&made["status"], &made["owner"]), (&json!("writers"), &json!(office.user)));
    assert_eq!(office.reads("/items/articles?fields=title").await, json!([{"title": "mine"}]));
    // He has no first name: nothing is his.
    assert_eq!(office.reads("/items/authors").await, json!([]));
    office
        .world
        .api
        .patch(&format!("/users/{}", office.user), json!({"first_name": "Ann"}))
        .await
        .expect(200);
    assert_eq!(office.reads("/items/authors?fields=name").await, json!([{"name": "Ann"}]));
    assert_eq!(office.reads("/roles?fields=name").await, json!([{"name": "writers"}]));
}

#[tokio::test]
async fn the_same_rules_hold_over_grpc() {
    use proto::items::v1::items_service_client::ItemsServiceClient;
    use proto::items::v1::{CreateItemsRequest, ReadItemRequest, ReadItemsRequest};
    use tonic::{Code, Request};

    let office = Office::open(World::start(shape!()).await).await;
    office
        .policy(json!([may("read", "articles", &["id", "title"], json!({"status": {"_eq": "published"}}))]))
        .await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", office.world.grpc)).unwrap();
    let mut items = ItemsServiceClient::new(channel.connect().await.unwrap());
    fn of<T>(message: T, token: Option<&str>) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        // What a client says of itself is not believed.
        request.metadata_mut().insert("x-accountability", "{\"admin\":true}".parse().unwrap());
        request
    }
    let collection = || "articles".to_owned();
    let list = || ReadItemsRequest { collection: collection(), ..Default::default() };
    let seen = items.read_items(of(list(), Some("writer-token"))).await.unwrap().into_inner();
    let seen: Value = serde_json::from_slice(&seen.items).unwrap();
    assert_eq!(seen, json!([{"id": 1, "title": "one"}, {"id": 3, "title": "three"}]));
    let notes = serde_json::to_vec(&json!({"fields": ["notes"]})).unwrap();
    let notes = ReadItemsRequest { query: notes.into(), ..list() };
    let refused = items.read_items(of(notes, Some("writer-token"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let hidden = ReadItemRequest { collection: collection(), key: "2".to_owned(), ..Default::default() };
    let refused = items.read_item(of(hidden, Some("writer-token"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let payload = json!({"title": "x"}).to_string().into();
    let create = CreateItemsRequest { collection: collection(), payload, ..Default::default() };
    let refused = items.create_items(of(create, Some("writer-token"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let refused = items.read_items(of(list(), None)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let refused = items.read_items(of(list(), Some("no-such-token"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

//! Users who are no longer named where they acted.

use http::Method;
use serde_json::{Value, json};

use super::{SOON, erase, in_stream, in_tables, people, with};
use crate::world::{PASSWORD, World};

#[tokio::test]
async fn who_acted_from_where_is_nowhere_any_more() {
    let world = World::start(shape!()).await;
    let api = &world.api;
    people(&world).await;
    let id = world.user("someone@example.com", "token-of-someone").await.to_string();
    let admin = "UPDATE directus_users SET role = (SELECT role FROM directus_users WHERE email = 'admin@example.com') \
                 WHERE email = 'someone@example.com'";
    sqlx::query(admin).execute(&world.pool().await).await.unwrap();
    let agent = ("user-agent", "agent-of-someone/1.0");
    let login = json!({"email": "someone@example.com", "password": PASSWORD});
    let tokens =
        with(&api.with_token(None), agent, Method::POST, "/auth/login", login).await.expect(200).data();
    let own = api.with_token(tokens["access_token"].as_str());
    with(&own, agent, Method::POST, "/items/people", json!({"name": "Ada"})).await.expect(200);
    api.post("/items/people", json!({"name": "Bob"})).await.expect(200);
    world.quiet(SOON).await;
    assert!(in_tables(&world, "agent-of-someone").await.len() >= 2);
    let named = format!("\"user\":\"{id}\"");
    assert_eq!(in_stream(&world, &named).await.len(), 2);

    let would = api.post("/utils/erase", json!({"users": [id], "dry_run": true})).await.expect(200).data();
    assert_eq!((&would["erased"]["events"], &would["erased"]["sessions"]), (&json!(2), &json!(1)), "{would}");
    let done = erase(&world, json!({"users": [id]})).await;
    assert_eq!(done["erased"], would["erased"]);
    assert_eq!(in_tables(&world, "agent-of-someone").await, Vec::<String>::new());
    assert_eq!(in_stream(&world, &named).await, Vec::<String>::new());
    let activity = api.get("/activity?filter[collection]=people&sort=id&fields=user,ip,user_agent").await;
    let activity = activity.expect(200).data();
    assert_eq!(activity[0], json!({"user": null, "ip": null, "user_agent": null}));
    assert!(activity[1]["user"].is_string(), "the others are");
    // The item and the user are what they were; he goes on.
    assert_eq!(api.get("/items/people/1?fields=name").await.expect(200).data(), json!({"name": "Ada"}));
    with(&own, agent, Method::PATCH, "/items/people/1", json!({"name": "Eve"})).await.expect(200);
    let told: Value = api.get("/items/people/1/history").await.expect(200).data();
    assert_eq!((&told[0]["user"], &told[1]["user"]), (&json!(id), &Value::Null));
}

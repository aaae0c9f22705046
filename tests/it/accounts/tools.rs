//! Random texts, hashes, the page where somebody is, and the first administrator.

use serde_json::{Value, json};

use super::{ADMIN, login};
use crate::world::{Options, World};

#[tokio::test]
async fn random_texts_and_hashes() {
    let world = World::start(shape!()).await;
    let nobody = world.api.with_token(None);
    let length = |answer: Value| answer.as_str().unwrap().len();
    assert_eq!(length(nobody.get("/utils/random/string").await.expect(200).data()), 32);
    for good in [1, 5, 500] {
        let path = format!("/utils/random/string?length={good}");
        assert_eq!(length(nobody.get(&path).await.expect(200).data()), good);
    }
    for wrong in ["0", "501", "-1", "abc", "5.5", "", "1e99", "Infinity"] {
        let path = format!("/utils/random/string?length={wrong}");
        nobody.get(&path).await.refused(400, "INVALID_QUERY");
    }
    nobody.get("/utils/random/string?length[]=5").await.refused(400, "INVALID_QUERY");
    let hash = nobody.post("/utils/hash/generate", json!({"string": "x"})).await.expect(200).data();
    assert!(hash.as_str().unwrap().starts_with("$argon2id$"));
    let verify =
        |text: Value, hash: Value| nobody.post("/utils/hash/verify", json!({"string": text, "hash": hash}));
    assert_eq!(verify(json!("x"), hash.clone()).await.expect(200).data(), true);
    assert_eq!(verify(json!("y"), hash.clone()).await.expect(200).data(), false);
    let theirs =
        "$argon2id$v=19$m=65536,t=3,p=4$H0jR/TlWsK7EfOW3Doq3iw$6Xd+2aZKqHNYd8Ev4g9Rlk7C1ja6kqJ670d3TGNErBE";
    assert_eq!(verify(json!("x"), json!(theirs)).await.expect(200).data(), true, "the original's");
    let dear = "$argon2id$v=19$m=4194304,t=99,p=4$H0jR/TlWsK7EfOW3Doq3iw$6Xd+2aZKqHNYd8Ev4g9Rlk7C1ja6kqJ670d3TGNErBE";
    for (text, hash) in [
        (json!("x"), json!("nohash")),
        (json!("x"), json!(dear)),
        (json!("x"), json!(5)),
        (json!("x"), json!("")),
        (json!(5), hash.clone()),
        (json!({"a": 1}), hash.clone()),
        (json!(["x"]), hash),
    ] {
        verify(text, hash).await.refused(400, "INVALID_PAYLOAD");
    }
    for wrong in
        [json!({}), json!({"string": ""}), json!({"string": 5}), json!({"string": {"a": 1}}), json!(["x"])]
    {
        nobody.post("/utils/hash/generate", wrong).await.refused(400, "INVALID_PAYLOAD");
    }
}

#[tokio::test]
async fn where_somebody_is() {
    let world = World::start(shape!()).await;
    world.user("eva@example.com", "eva-token").await;
    let own = world.api.with_token(Some("eva-token"));
    let path = "/users/me/track/page";
    own.patch(path, json!({"last_page": "/content/articles"})).await.expect(204);
    let eva = super::user(&world, "eva@example.com").await;
    assert_eq!(eva["last_page"], "/content/articles");
    let wrong = [
        json!({}),
        json!({"last_page": null}),
        json!({"last_page": 5}),
        json!({"last_page": {"a": 1}}),
        json!({"last_page": "x".repeat(256)}),
    ];
    for body in wrong {
        own.patch(path, body).await.refused(400, "INVALID_PAYLOAD");
    }
    world
        .api
        .with_token(None)
        .patch(path, json!({"last_page": "/x"}))
        .await
        .refused(401, "INVALID_CREDENTIALS");
    assert_eq!(super::user(&world, "eva@example.com").await["last_page"], "/content/articles");
}

#[tokio::test]
async fn the_first_administrator_is_made_once() {
    // An empty setting is none.
    let unset = ["ADMIN_EMAIL", "ADMIN_PASSWORD", "ADMIN_TOKEN"];
    let options = unset.into_iter().fold(Options::default(), |options, key| options.set(key, ""));
    let world = World::with(shape!(), options).await;
    let nobody = world.api.with_token(None);
    let path = "/server/setup";
    let completed =
        || async { nobody.get("/server/info").await.expect(200).data()["setupCompleted"].clone() };
    assert_eq!(completed().await, false);
    for wrong in [
        json!({}),
        json!({"project_owner": ADMIN}),
        json!({"project_owner": "x", "password": "a password"}),
        json!({"project_owner": ADMIN, "password": {"a": 1}}),
    ] {
        nobody.post(path, wrong).await.refused(400, "INVALID_PAYLOAD");
    }
    let body = json!({"project_owner": ADMIN, "password": "a password", "first_name": "Ida", "project_name": "Shop"});
    let tries = (0..4).map(|_| nobody.post(path, body.clone()));
    let answers = futures_util::future::join_all(tries).await;
    let good = answers.iter().filter(|answer| answer.status == 204).count();
    assert!(good == 1 && answers.iter().all(|a| matches!(a.status, 204 | 403)), "{answers:?}");
    let tokens = login(&nobody, ADMIN, "a password").await.expect(200).data();
    let me = nobody.with_token(tokens["access_token"].as_str()).get("/users/me").await.expect(200).data();
    assert_eq!((&me["first_name"], &me["email"]), (&json!("Ida"), &json!(ADMIN)));
    nobody.post(path, body).await.refused(403, "FORBIDDEN");
    assert_eq!(completed().await, true);
}

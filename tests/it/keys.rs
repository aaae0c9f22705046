//! Keys that sign: of access tokens and of calls between processes; both are changed while everything goes on.

use serde_json::{Value, json};

use crate::api::Api;
use crate::example::read;
use crate::world::{Options, PASSWORD, Shape, World};

fn pem(names: &[&str]) -> String {
    names.iter().map(|name| read(&format!("tests/fixtures/keys/{name}.pem"))).collect()
}

async fn login(api: &Api) -> String {
    let body = json!({"email": "admin@example.com", "password": PASSWORD});
    let tokens = api.with_token(None).post("/auth/login", body).await.expect(200).data();
    tokens["access_token"].as_str().unwrap().to_owned()
}

/// Which keys others are told of, and that nothing of a private one is among it.
async fn published(api: &Api) -> Vec<(String, String)> {
    let answer = api.with_token(None).get("/.well-known/jwks.json").await.expect(200);
    let keys = answer.json()["keys"].take();
    let keys = keys.as_array().unwrap().iter().map(|key| {
        assert!(
            ["d", "p", "q", "dp", "dq", "qi", "k"].iter().all(|secret| key.get(secret).is_none()),
            "{key}"
        );
        let text = |name: &str| key[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(text("use"), "sig");
        (text("kid"), text("alg"))
    });
    keys.collect()
}

async fn restart(world: &mut World, role: &str, key: &str, value: &str) {
    let index = world.process_of(role);
    world.kill9(index);
    world.set(index, key, value);
    world.spawn(index);
    world.ready().await;
}

#[tokio::test]
async fn keys_of_access_tokens_are_changed_while_tokens_live() {
    const KEY: &str = "EVENTUS_ACCESS_TOKEN_KEYS";
    let mut world = World::start(shape!()).await;
    assert!(published(&world.api).await.is_empty());
    let by_secret = login(&world.api).await;
    let mut tokens = vec![by_secret];
    for (keys, algs) in [(vec!["a"], vec!["EdDSA"]), (vec!["b", "a"], vec!["RS256", "EdDSA"])] {
        restart(&mut world, "auth", KEY, &pem(&keys)).await;
        let published = published(&world.api).await;
        assert_eq!(published.iter().map(|(_, alg)| alg.as_str()).collect::<Vec<_>>(), algs);
        tokens.push(login(&world.api).await);
        for token in &tokens {
            world.api.with_token(Some(token)).get("/users/me").await.expect(200);
        }
    }
    restart(&mut world, "auth", KEY, &pem(&["b"])).await;
    assert_eq!(published(&world.api).await.len(), 1);
    let status = async |token: &str| world.api.with_token(Some(token)).get("/users/me").await.status;
    assert_eq!(status(&tokens[0]).await, 200, "by SECRET, to its end");
    // Its key is gone. Gateways ask anew after five seconds at the latest.
    let begun = std::time::Instant::now();
    while status(&tokens[1]).await != 401 {
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "its key is gone");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(status(&tokens[2]).await, 200);
    let (head, rest) = tokens[2].split_once('.').unwrap();
    let (claims, tag) = rest.split_once('.').unwrap();
    let other = tokens[0].split('.').next().unwrap();
    for forged in [
        format!("{other}.{claims}.{tag}"),
        format!("{head}.{claims}."),
        format!("{head}.{claims}.AAAA"),
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}."),
    ] {
        assert!([401, 403].contains(&status(&forged).await), "{forged}");
    }
}

/// Calls between processes: each is restarted with the next list of secrets, and all is well after each of them.
#[tokio::test]
async fn the_fleet_changes_its_secret_process_by_process() {
    let (old, new) = ("o".repeat(40), "n".repeat(40));
    let options = Options::default().set("EVENTUS_FLEET_SECRETS", &old);
    let mut world = World::with(shape!(), options).await;
    world.collection("notes", json!([{"field": "n", "type": "integer"}])).await;
    let roles: &[&str] = match shape!() {
        Shape::AllInOne => &["all"],
        Shape::Split => &["gateway", "items", "auth", "hooks"],
    };
    for list in [format!("{old},{new}"), format!("{new},{old}"), new.clone()] {
        for role in roles {
            restart(&mut world, role, "EVENTUS_FLEET_SECRETS", &list).await;
            world.api.post("/items/notes", json!({"n": 1})).await.expect(200);
            let token = login(&world.api).await;
            let read = world.api.with_token(Some(&token)).get("/items/notes").await.expect(200);
            assert!(matches!(read.data(), Value::Array(_)));
        }
    }
}

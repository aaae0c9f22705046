//! Inside the fleet: each process comes to the broker as itself, with the least it needs, and everything works.

mod tls;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use async_nats::jetstream::{self, consumer::pull};
use futures_util::StreamExt as _;
use serde_json::json;

use crate::world::{Options, Shape, World, binary};

const SOON: Duration = Duration::from_secs(40);

/// Runs the program; whether it ended well, and what it said.
fn eventus(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(binary()).args(arguments).env_clear().stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn password(folder: &Path, role: &str) -> String {
    let address = std::fs::read_to_string(folder.join(format!("{role}.url"))).unwrap();
    let (user, _) = address.rsplit_once('@').unwrap();
    user.rsplit_once(':').unwrap().1.to_owned()
}

async fn client(world: &World, user: &str, password: &str) -> async_nats::Client {
    async_nats::ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned())
        .custom_inbox_prefix(format!("_INBOX_{user}"))
        .connect(format!("127.0.0.1:{}", world.nats.port()))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_fleet_works_with_a_user_for_each_role_and_only_the_relay_writes_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let (well, said) = eventus(&["nats", "users", path]);
    assert!(well, "{said}");
    let add = ["nats", "user", "add", "shop", "--collections", "orders", "--folder", path];
    let (well, said) = eventus(&add);
    assert!(well && said.contains("_INBOX_shop"), "{said}");
    let of_shop = said.split("password ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    let before = std::fs::read_to_string(folder.path().join("users.conf")).unwrap();
    assert!(eventus(&["nats", "users", path]).0 && eventus(&add).0);
    let after = std::fs::read_to_string(folder.path().join("users.conf")).unwrap();
    assert_eq!(before, after, "what is known stays as it is");
    for name in ["eventus-items", "items", "a.b", "*", ""] {
        assert!(!eventus(&["nats", "user", "add", name, "--collections", "a", "--folder", path]).0, "{name}");
    }
    let options = Options { broker: Some(folder.path().to_owned()), ..Options::default() };
    let world = World::with(Shape::Split, options.set("EVENTUS_CDN_COLLECTIONS", "*")).await;
    for name in ["orders", "secrets"] {
        world.collection(name, json!([{"field": "n", "type": "integer"}])).await;
    }
    let events = async || {
        let sql = "SELECT count(*) FROM eventus.events";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&world.pool().await).await.unwrap()
    };
    world.api.post("/items/orders", json!([{"n": 1}, {"n": 2}])).await.expect(200);
    world.api.post("/items/secrets", json!({"n": 1})).await.expect(200);
    // The relay publishes, and every worker has applied all of it.
    world.quiet(SOON).await;
    let stream = async |client: &async_nats::Client| {
        let stream = jetstream::new(client.clone()).get_stream("EVENTS").await.unwrap();
        i64::try_from(stream.cached_info().state.messages).unwrap()
    };
    let items = client(&world, "eventus-items", &password(folder.path(), "items")).await;
    assert_eq!(stream(&items).await, events().await);
    let shop = client(&world, "shop", &of_shop).await;
    for role in ["gateway", "auth", "hooks", "analytics", "webhooks", "cdn-purge"] {
        let user = format!("eventus-{role}");
        let forger = client(&world, &user, &password(folder.path(), role)).await;
        for subject in ["items.create.orders", "auth.login", "custom.x.y"] {
            forger.publish(subject, "{}".into()).await.unwrap();
            shop.publish(subject, "{}".into()).await.unwrap();
        }
        forger.flush().await.unwrap();
    }
    shop.flush().await.unwrap();
    assert_eq!(stream(&items).await, events().await, "nothing was forged");
    let stream = jetstream::new(shop.clone()).get_stream("EVENTS").await.unwrap();
    let wanted = pull::Config {
        durable_name: Some("shop".to_owned()),
        filter_subject: "items.*.orders".to_owned(),
        ..Default::default()
    };
    let consumer = stream.create_consumer(wanted).await.unwrap();
    let mut messages = consumer.fetch().max_messages(2).expires(SOON / 4).messages().await.unwrap();
    for _ in 0..2 {
        let message = messages.next().await.unwrap().unwrap();
        assert_eq!(message.subject.as_str(), "items.create.orders");
        message.double_ack().await.unwrap();
    }
    world.quiet(SOON).await;
}

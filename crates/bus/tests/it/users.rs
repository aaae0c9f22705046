//! What each user of the broker can't do: forge events, read others' answers, take others' messages.

use std::time::Duration;

use async_nats::jetstream::{self, consumer::pull};
use bus::users::{Part, User, inbox, of_role, subscriber};
use futures_util::StreamExt as _;
use testkit::{Nats, PATIENCE};

const ROLES: [(&str, Part<'static>); 6] = [
    ("gateway", Part::Pings),
    ("auth", Part::Pings),
    ("hooks", Part::Consumer("hooks")),
    ("analytics", Part::Consumer("analytics")),
    ("webhooks", Part::Consumer("webhooks")),
    ("cdn-purge", Part::Consumer("cdn-purge")),
];

fn users() -> Vec<User> {
    let mut users: Vec<User> = ROLES.iter().map(|(role, part)| of_role("", role, *part, role)).collect();
    users.push(of_role("", "items", Part::Relay, "items"));
    users.push(subscriber("", "shop", &["orders".to_owned()], "shop"));
    users
}

async fn client(nats: &Nats, user: &str, password: &str) -> async_nats::Client {
    async_nats::ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned())
        .custom_inbox_prefix(inbox(user))
        .request_timeout(Some(Duration::from_millis(700)))
        .connect(format!("127.0.0.1:{}", nats.port()))
        .await
        .unwrap()
}

async fn stored(relay: &jetstream::Context) -> u64 {
    relay.get_stream("EVENTS").await.unwrap().cached_info().state.messages
}

async fn server() -> Nats {
    let users: Vec<String> = users().iter().map(|user| serde_json::to_string(user).unwrap()).collect();
    Nats::start_with_users(&users).await
}

/// Asks JetStream's API; whether anybody answered.
async fn answered(client: &async_nats::Client, subject: &str) -> bool {
    client.request(subject.to_owned(), "{}".into()).await.is_ok()
}

#[tokio::test]
async fn nobody_but_the_relay_puts_anything_into_the_stream() {
    let nats = server().await;
    let config = bus::Config::new(format!("nats://eventus-items:items@127.0.0.1:{}", nats.port()));
    let relay = bus::Bus::connect(&config, "relay").await.unwrap();
    tokio::time::timeout(PATIENCE, bus::topology::ensure(&relay)).await.unwrap().unwrap();
    let context = jetstream::new(relay.client().clone());
    let names = ROLES.iter().map(|(role, _)| (format!("eventus-{role}"), *role));
    for (user, password) in names.chain([("shop".to_owned(), "shop")]) {
        let client = client(&nats, &user, password).await;
        for subject in ["items.create.orders", "items.update.a", "auth.login", "custom.a.b", "users.create"] {
            client.publish(subject, "{}".into()).await.unwrap();
        }
        client.flush().await.unwrap();
        assert_eq!(stored(&context).await, 0, "{user}");
    }
    context.publish("items.create.orders", "{}".into()).await.unwrap().await.unwrap();
    assert_eq!(stored(&context).await, 1);
    for (user, password) in [("eventus-gateway", "gateway"), ("eventus-hooks", "hooks"), ("shop", "shop")] {
        let client = client(&nats, user, password).await;
        for subject in ["PURGE.EVENTS", "DELETE.EVENTS", "UPDATE.EVENTS", "MSG.DELETE.EVENTS", "CREATE.MORE"]
        {
            assert!(!answered(&client, &format!("$JS.API.STREAM.{subject}")).await, "{user} {subject}");
        }
        assert!(!answered(&client, "$JS.API.CONSUMER.DELETE.EVENTS.webhooks").await, "{user}");
        assert!(!answered(&client, "$JS.API.CONSUMER.CREATE.EVENTS.webhooks").await, "{user}");
    }
    assert_eq!(stored(&context).await, 1);
}

#[tokio::test]
async fn who_subscribes_outside_hears_its_collections_and_nothing_else() {
    let nats = server().await;
    let config = bus::Config::new(format!("nats://eventus-items:items@127.0.0.1:{}", nats.port()));
    let relay = bus::Bus::connect(&config, "relay").await.unwrap();
    tokio::time::timeout(PATIENCE, bus::topology::ensure(&relay)).await.unwrap().unwrap();
    let shop = client(&nats, "shop", "shop").await;
    let mut live = shop.subscribe("items.*.orders").await.unwrap();
    let mut refused = Vec::new();
    for subject in
        ["items.>", ">", "items.create.*", "_INBOX.>", "_INBOX_eventus-hooks.>", "$JS.>", "auth.login"]
    {
        refused.push(shop.subscribe(subject).await.unwrap());
    }
    shop.flush().await.unwrap();
    let context = jetstream::new(relay.client().clone());
    for subject in ["items.create.other", "items.create.orders", "auth.login", "items.delete.orders"] {
        context.publish(subject, "{}".into()).await.unwrap().await.unwrap();
    }
    let stream = jetstream::new(shop.clone()).get_stream("EVENTS").await.unwrap();
    let wanted = |name: &str, filter: &str| pull::Config {
        durable_name: Some(name.to_owned()),
        name: Some(name.to_owned()),
        filter_subject: filter.to_owned(),
        ..Default::default()
    };
    for (name, filter) in
        [("shop", "items.>"), ("shop", ""), ("hooks", "items.*.orders"), ("shop", "items.*.other")]
    {
        assert!(stream.create_consumer(wanted(name, filter)).await.is_err(), "{name} {filter}");
    }
    let consumer = stream.create_consumer(wanted("shop", "items.*.orders")).await.unwrap();
    let mut messages = consumer.fetch().max_messages(10).expires(PATIENCE / 30).messages().await.unwrap();
    let mut durable = Vec::new();
    while let Some(Ok(message)) = messages.next().await {
        message.double_ack().await.unwrap();
        durable.push(message.subject.to_string());
    }
    assert_eq!(durable, ["items.create.orders", "items.delete.orders"]);
    for expected in &durable {
        let message = tokio::time::timeout(PATIENCE, live.next()).await.unwrap().unwrap();
        assert_eq!(message.subject.as_str(), expected);
    }
    shop.flush().await.unwrap();
    for mut subscription in refused {
        let heard = tokio::time::timeout(Duration::from_millis(20), subscription.next()).await;
        assert!(!matches!(heard, Ok(Some(_))), "{heard:?}");
    }
}

//! What each user of the broker can't do: forge events, read others' answers, take others' messages.

use std::time::Duration;

use async_nats::jetstream::{self, consumer::pull};
use bus::users::{Part, User, inbox, of_role, subscriber};
use futures_util::StreamExt as _;
use testkit::{Nats, PATIENCE};

use crate::world::*;

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
        .connect(("127.0.0.1", nats.port()))
        .await
        .unwrap()
}

async fn stored(relay: &jetstream::Context) -> u64 {
    relay.get_stream("EVENTS").await.unwrap().cached_info().state.messages
}

//! A nats-server of one's own, with JetStream: on a free port, in a folder that goes away with it.

use std::path::PathBuf;

use embedded::nats::Options;
use embedded::tools::NatsInstall;

use crate::settings;

/// A private nats-server (2.12 or newer). It stops with the value.
#[derive(Debug)]
pub struct Nats {
    // Dropped in this order: first the server, then its folder.
    server: Option<embedded::Nats>,
    install: NatsInstall,
    options: Options,
    url: String,
    port: u16,
    folder: tempfile::TempDir,
}

impl Nats {
    /// Starts one.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// Starts one with more users beside the one of `url`, each as the server takes it.
    pub async fn start_with_users(users: &[String]) -> Self {
        Self::start_as("", users).await
    }

    /// Starts one with more lines in its configuration file.
    pub async fn start_with(extra: &str) -> Self {
        Self::start_as(extra, &[]).await
    }

    async fn start_as(extra: &str, users: &[String]) -> Self {
        let install = NatsInstall::find(&settings::search()).expect("nats-server is found");
        let folder = tempfile::Builder::new().prefix("eventus-nats-").tempdir().expect("a temporary folder");
        let mut options = Options::new(settings::launcher());
        options.extra = extra.to_owned();
        options.users = users.to_vec();
        let server = embedded::Nats::start(&install, folder.path(), &options).await;
        let server = server.expect("a private nats-server starts");
        let (url, port) = (server.url(), server.port());
        options.port = Some(port);
        Self { server: Some(server), install, options, url, port, folder }
    }

    /// Its address, with user and password; the same after a restart.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// A plain client, as any program outside the fleet would be.
    pub async fn client(&self) -> async_nats::Client {
        nats_client(&self.url).await
    }

    /// Its port on 127.0.0.1; the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<i32> {
        self.server.as_ref().map(embedded::Nats::pid)
    }

    /// SIGKILL; returns when it is gone.
    pub async fn kill9(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill();
            server.exited().await;
        }
    }

    /// Ends it politely; returns when it is gone.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    /// Starts it again on the same port and store, after ending it if it runs.
    pub async fn restart(&mut self) {
        self.stop().await;
        let server = embedded::Nats::start(&self.install, self.folder.path(), &self.options).await;
        self.server = Some(server.expect("the nats-server starts again"));
    }

    /// Deletes everything that JetStream has stored. Only while it does not run.
    pub fn wipe_store(&self) {
        assert!(self.server.is_none(), "stop the nats-server before its store is deleted");
        let store = self.store();
        std::fs::remove_dir_all(&store).unwrap_or_else(|error| panic!("{}: {error}", store.display()));
    }

    /// The folder of JetStream's store.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }
}

/// A plain client of an address with user and password (async-nats leaves out what the address says of the user).
pub async fn nats_client(url: &str) -> async_nats::Client {
    let (_, rest) = url.split_once("://").expect("an address has a scheme");
    let (user, address) = rest.split_once('@').expect("the address has a user");
    let (name, password) = user.split_once(':').expect("a user has a password");
    async_nats::ConnectOptions::with_user_and_password(name.to_owned(), password.to_owned())
        .connect(address)
        .await
        .expect("the nats-server answers")
}

/// Returns when the server knows the client's subscriptions: a question and its answer on the same connection.
pub async fn subscribed(client: &async_nats::Client) {
    async_nats::jetstream::new(client.clone()).query_account().await.expect("the nats-server answers");
}

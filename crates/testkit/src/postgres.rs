//! The PostgreSQL server of the test process: the one that `EVENTUS_TEST_DATABASE_URL` names, else a private one.

use std::path::{Path, PathBuf};

use embedded::tools::PostgresInstalls;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::OnceCell;

use crate::settings;

/// A server on which tests make databases.
#[derive(Debug)]
pub struct Postgres {
    url: String,
    /// Keeps a private server alive as long as the process.
    private: Option<Private>,
}

#[derive(Debug)]
struct Private {
    server: Option<embedded::Postgres>,
    installs: PostgresInstalls,
    folder: PathBuf,
}

impl Postgres {
    /// The server of this process; a private one is started when it is first asked for (about a second).
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED
            .get_or_init(|| async {
                match settings::server_url() {
                    Some(url) => Self { url, private: None },
                    None => Self::start().await,
                }
            })
            .await
    }

    /// A server of one's own, for tests that stop it. It is gone with the value.
    ///
    /// Its folder stays until the next start of a test server after the process has ended.
    pub async fn start() -> Self {
        let installs = PostgresInstalls::find(&settings::search()).expect("PostgreSQL is found");
        let folder = folder();
        let server = launch(&installs, &folder).await;
        Self { url: server.url(), private: Some(Private { server: Some(server), installs, folder }) }
    }

    /// SIGKILL, for a private server; returns when it is gone.
    pub async fn kill9(&mut self) {
        if let Some(server) = self.private.as_mut().and_then(|private| private.server.take()) {
            server.kill();
            server.exited().await;
        }
    }

    /// Starts a private server again, with the same data at the same address, after ending it if it runs.
    pub async fn restart(&mut self) {
        let private = self.private.as_mut().expect("only a private server can be restarted");
        if let Some(server) = private.server.take() {
            server.stop().await;
        }
        let server = launch(&private.installs, &private.folder).await;
        assert_eq!(server.url(), self.url, "the address stays");
        private.server = Some(server);
    }

    /// The address of its administrator's database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address of another database of this server.
    pub fn url_of(&self, database: &str) -> String {
        // The path of the address is replaced, the rest is kept.
        let (base, query) = self.url.split_once('?').map_or((self.url.as_str(), None), |(b, q)| (b, Some(q)));
        let start = base.find("://").map_or(0, |at| at + 3);
        let end = base[start..].find('/').map_or(base.len(), |at| start + at);
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}/{database}{query}", &base[..end])
    }

    /// A connection to its administrator's database.
    pub(crate) async fn admin(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("the test server answers")
    }
}

async fn launch(installs: &PostgresInstalls, folder: &Path) -> embedded::Postgres {
    let mut options = embedded::postgres::Options::throwaway(settings::launcher());
    options.settings.push(("max_connections".to_owned(), "300".to_owned()));
    embedded::Postgres::start(installs, folder, &options).await.expect("a private PostgreSQL starts")
}

/// A folder named after this process, in a place that is swept at each start.
fn folder() -> PathBuf {
    let base = std::env::temp_dir();
    sweep(&base);
    let name = crate::database::random_name();
    base.join(format!("eventus-testkit-{}-{name}", std::process::id()))
}

/// Removes what ended processes left.
fn sweep(base: &Path) {
    let Ok(entries) = std::fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix("eventus-testkit-"));
        let pid = pid.and_then(|rest| rest.split('-').next()).and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

//! Single sign-on against a real provider (tests/sso/provider.mjs): every driver, every algorithm, every way to cheat.

mod accounts;
mod attacks;
mod browser;
mod provider;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::Answer;
use crate::world::{Options, Shape, World};
use browser::{Browser, HOME, names_of_cookies};
use provider::Provider;

/// Roles that settings name.
const STAFF: &str = "00000000-0000-4000-8000-00000000aaaa";
const ADMINS: &str = "00000000-0000-4000-8000-00000000bbbb";
const SOON: Duration = Duration::from_secs(20);

/// A fleet and its provider.
struct House {
    world: World,
    provider: Provider,
}

impl House {
    async fn start(shape: Shape) -> Self {
        Self::with(shape, &[]).await
    }

    /// With more settings.
    async fn with(shape: Shape, more: &[(&str, &str)]) -> Self {
        let provider =
            Provider::start(&["acme", "ec", "ed", "plain", "form", "closed", "strict", "twin"]).await;
        let issuer = format!("{}/.well-known/openid-configuration", provider.issuer);
        let mapping = format!(r#"json:{{"admins":"{ADMINS}","staff":"{STAFF}"}}"#);
        let at = |path: &str| format!("{}{path}", provider.issuer);
        let mut options = Options::default().set("PUBLIC_URL", HOME).set("LOGIN_STALL_TIME", "40");
        let listed = "acme, ec, ed, plain, form, closed, strict, twin";
        options = options.set("AUTH_PROVIDERS", listed);
        for name in listed.to_uppercase().split(", ").filter(|name| *name != "PLAIN") {
            options = options
                .set(&format!("AUTH_{name}_DRIVER"), "openid")
                .set(&format!("AUTH_{name}_ISSUER_URL"), &issuer)
                .set(&format!("AUTH_{name}_CLIENT_ID"), "eventus")
                .set(&format!("AUTH_{name}_CLIENT_SECRET"), "a secret & more");
            if name != "CLOSED" {
                options = options.set(&format!("AUTH_{name}_ALLOW_PUBLIC_REGISTRATION"), "true");
            }
        }
        let rest = [
            ("AUTH_ACME_LABEL", "Acme & Co"),
            ("AUTH_ACME_ICON", "key"),
            ("AUTH_ACME_REDIRECT_ALLOW_LIST", "https://app.example/done"),
            ("AUTH_EC_CLIENT_ID", "eventus ec"),
            ("AUTH_EC_CLIENT_TOKEN_ENDPOINT_AUTH_METHOD", "client_secret_post"),
            ("AUTH_EC_MODE", "cookie"),
            ("AUTH_EC_SCOPE", "openid profile email groups"),
            ("AUTH_EC_ROLE_MAPPING", &mapping),
            ("AUTH_EC_DEFAULT_ROLE_ID", STAFF),
            ("AUTH_EC_SYNC_USER_INFO", "true"),
            ("AUTH_ED_CLIENT_ID", "eventus ed"),
            ("AUTH_ED_CLIENT_SECRET", ""),
            ("AUTH_ED_IDENTIFIER_KEY", "email"),
            ("AUTH_FORM_PARAMS", r#"{"response_mode":"form_post"}"#),
            ("AUTH_STRICT_REQUIRE_VERIFIED_EMAIL", "true"),
            ("AUTH_PLAIN_DRIVER", "oauth2"),
            ("AUTH_PLAIN_CLIENT_ID", "eventus"),
            ("AUTH_PLAIN_CLIENT_SECRET", "a secret & more"),
            ("AUTH_PLAIN_AUTHORIZE_URL", &at("/auth")),
            ("AUTH_PLAIN_ACCESS_URL", &at("/token")),
            ("AUTH_PLAIN_PROFILE_URL", &at("/me")),
            ("AUTH_PLAIN_SCOPE", "openid email"),
            ("AUTH_PLAIN_ALLOW_PUBLIC_REGISTRATION", "true"),
        ];
        for (key, value) in rest.iter().chain(more) {
            options = options.set(key, *value);
        }
        let world = World::with(shape, options).await;
        let roles = json!([{"id": STAFF, "name": "Staff"}, {"id": ADMINS, "name": "Admins"}]);
        world.api.post("/roles", roles).await.expect(200);
        Self { world, provider }
    }

    /// A browser that was never here.
    fn browser(&self) -> Browser {
        Browser::new(&self.world.api, &self.provider.issuer)
    }

    /// Users and sessions that there are.
    async fn counted(&self) -> (i64, i64) {
        let sql = "SELECT (SELECT count(*) FROM directus_users), (SELECT count(*) FROM directus_sessions)";
        sqlx::query_as(sql).fetch_one(&self.world.pool().await).await.unwrap()
    }

    /// The user of a provider with this identifier.
    async fn user(&self, provider: &str, identifier: &str) -> Value {
        let filter = json!({"provider": {"_eq": provider}, "external_identifier": {"_nnull": true}});
        let found =
            self.world.api.get(&format!("/users?filter={}&limit=-1", encoded(&filter.to_string()))).await;
        let sql = "SELECT id::text FROM directus_users WHERE provider = $1 AND external_identifier = $2";
        let pool = self.world.pool().await;
        let id: Option<String> =
            sqlx::query_scalar(sql).bind(provider).bind(identifier).fetch_optional(&pool).await.unwrap();
        let users = found.expect(200).data();
        users
            .as_array()
            .unwrap()
            .iter()
            .find(|user| user["id"].as_str() == id.as_deref())
            .cloned()
            .unwrap_or_default()
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Waits until whoever asks so is out: a session that ends is over everywhere within a second.
async fn ended(ask: impl AsyncFn() -> Answer) {
    let deadline = Instant::now() + Duration::from_secs(2);
    while ask().await.status != 401 {
        assert!(Instant::now() < deadline, "the session goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Somebody as the provider knows him.
fn person(name: &str, email: &str) -> Value {
    json!({"email": email, "email_verified": true, "given_name": name, "family_name": "Example"})
}

#[tokio::test]
async fn providers_are_listed() {
    let house = House::start(shape!()).await;
    let api = house.world.api.with_token(None);
    let listed = api.get("/auth").await.expect(200).json();
    assert_eq!(listed["disableDefault"], false);
    assert_eq!(
        listed["data"][0],
        json!({"name": "acme", "driver": "openid", "icon": "key", "label": "Acme & Co"})
    );
    assert_eq!(listed["data"][3], json!({"name": "plain", "driver": "oauth2"}));
    let names = |list: &Value| list["data"].as_array().unwrap().len();
    assert_eq!((names(&listed), names(&api.get("/auth?sessionOnly").await.expect(200).json())), (8, 7));
    for path in [
        "/auth/login/other",
        "/auth/login/other/callback?code=a&state=b",
        "/auth/login/ac%3Bme",
        "/auth/login/default",
    ] {
        api.get(path).await.refused(404, "ROUTE_NOT_FOUND");
    }
}

#[tokio::test]
async fn people_come_in_by_every_driver() {
    let house = House::start(shape!()).await;
    house.provider.knows("alice", person("Alice", "alice@example.com")).await;
    let (users, _) = house.counted().await;

    // A session token in a cookie, and nothing in the address.
    let browser = house.browser();
    let answer = browser.log_in("acme", "alice", "?redirect=/admin/content").await.expect(302);
    assert_eq!(answer.header("location"), Some("/admin/content"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let set = names_of_cookies(&answer);
    assert_eq!(set, ["directus_session_token", "__Host-eventus_login_acme"]);
    let me = browser.home("/users/me").await.expect(200).data();
    let alice = house.user("acme", "alice").await;
    assert_eq!((&me["id"], alice["email"].as_str()), (&alice["id"], Some("alice@example.com")));
    assert_eq!((alice["first_name"].as_str(), alice["status"].as_str()), (Some("Alice"), Some("active")));
    assert_eq!(alice["role"], Value::Null);

    // Again, elsewhere: the same user; this time without a redirect.
    let browser = house.browser();
    let answer = browser.log_in("acme", "alice", "").await.expect(302);
    assert_eq!(answer.header("location"), Some("/"));
    let token = browser.cookie("directus_session_token").unwrap();
    let api = house.world.api.with_token(Some(&token));
    assert_eq!(api.get("/users/me").await.expect(200).data()["id"], alice["id"]);
    let refreshed = api.post("/auth/refresh", json!({"refresh_token": token, "mode": "json"})).await;
    let refreshed = refreshed.expect(200).data();
    api.post("/auth/logout", json!({"refresh_token": refreshed["refresh_token"]})).await.expect(204);
    ended(async || house.world.api.with_token(refreshed["access_token"].as_str()).get("/users/me").await)
        .await;
    assert_eq!(house.counted().await.0, users + 1);

    // The other algorithms, ways to prove who we are, modes and answers.
    let browser = house.browser();
    let answer = browser.log_in("ec", "alice", "?redirect=/").await.expect(302);
    assert_eq!(
        answer.header("location"),
        Some("/?reason=INVALID_PROVIDER"),
        "the address is alice's of acme"
    );
    house.provider.knows("bob", person("Bob", "bob@example.com")).await;
    let answer = house.browser().log_in("ec", "bob", "?redirect=/").await.expect(302);
    assert_eq!(names_of_cookies(&answer)[0], "directus_refresh_token");
    house.provider.knows("carol", person("Carol", "carol@example.com")).await;
    let answer = house.browser().log_in("ed", "carol", &format!("?redirect={HOME}/x%23y")).await.expect(302);
    assert_eq!(answer.header("location"), Some(&*format!("{HOME}/x#y")));
    assert_eq!(house.user("ed", "carol@example.com").await["first_name"], "Carol");
    house.provider.knows("dave", person("Dave", "dave@example.com")).await;
    house.browser().log_in("plain", "dave", "?prompt=1").await.expect(302);
    assert_eq!(house.user("plain", "dave@example.com").await["email"], "dave@example.com");
    house.provider.knows("erin", person("Erin", "erin@example.com")).await;
    house.browser().log_in("form", "erin", "").await.expect(302);

    events(&house).await;
    let logs = house.world.whole_logs();
    for secret in ["code=", "a secret", token.as_str()] {
        assert!(!logs.contains(secret), "{secret} is in the logs");
    }
}

/// Every login is an event, and a new user is one like any other.
async fn events(house: &House) {
    house.world.quiet(SOON).await;
    let sql = "SELECT name || ' ' || coalesce(payload ->> 'provider', '') FROM eventus.events
        WHERE collection = 'directus_users' AND key IN (SELECT id::text FROM directus_users WHERE provider <> 'default')
            AND name <> 'auth.logout' ORDER BY position";
    let told: Vec<String> = sqlx::query_scalar(sql).fetch_all(&house.world.pool().await).await.unwrap();
    let mut expected = vec!["users.create acme", "auth.login acme", "auth.login acme"];
    for pair in [["users.create ec", "auth.login ec"], ["users.create ed", "auth.login ed"]] {
        expected.extend(pair);
    }
    expected.extend(["users.create plain", "auth.login plain", "users.create form", "auth.login form"]);
    assert_eq!(told, expected);
    let sql =
        "SELECT count(*) FROM eventus.events WHERE payload::text LIKE '%alice%' AND name = 'users.create'
        AND payload ->> 'external_identifier' = 'alice'";
    let shown: i64 = sqlx::query_scalar(sql).fetch_one(&house.world.pool().await).await.unwrap();
    assert_eq!(shown, 0, "identifiers are concealed in the log");
}

#[tokio::test]
async fn who_has_no_password_here_is_told_so() {
    let house = House::with(shape!(), &[("AUTH_DISABLE_DEFAULT", "true")]).await;
    let api = house.world.api.with_token(None);
    assert_eq!(api.get("/auth").await.expect(200).json()["disableDefault"], true);
    let right = json!({"email": "admin@example.com", "password": crate::world::PASSWORD});
    api.post("/auth/login", right).await.refused(404, "ROUTE_NOT_FOUND");
}

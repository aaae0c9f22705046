//! The official JavaScript SDK, unchanged, against the gateway (tests/sdk/run.mjs).

use tokio::process::Command;

use crate::example;
use crate::world::{Options, PASSWORD, TOKEN, World};

#[tokio::test]
async fn the_official_sdk_works_unchanged() {
    let packages = example::tools().join("node");
    assert!(
        packages.join("node_modules/@directus/sdk").is_dir(),
        "the official SDK is not in {}: run script/test, which installs it (script/lib/node/package.json names it), or \
         set EVENTUS_BIN to the folder that has it",
        packages.display()
    );
    let settings =
        [("EVENTUS_MAIL_PREVIEW", "true"), ("LOGIN_STALL_TIME", "50"), ("REGISTER_STALL_TIME", "50")];
    let options =
        settings.into_iter().fold(Options::default(), |options, (key, value)| options.set(key, value));
    let world = World::with(shape!(), options).await;
    let mut node = Command::new("node");
    node.arg(example::root().join("tests/sdk/run.mjs"))
        .env("URL", world.api.base())
        .env("TOKEN", TOKEN)
        .env("EMAIL", "admin@example.com")
        .env("PASSWORD", PASSWORD)
        .env("PACKAGES", packages);
    assert_eq!(example::run(node).await.trim(), "sdk ok", "{}", world.logs());
}

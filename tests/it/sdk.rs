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
    let world = World::with(shape!(), Options::default().set("EVENTUS_MAIL_PREVIEW", "true")).await;
    let mut node = Command::new("node");
    node.arg(example::root().join("tests/sdk/run.mjs"))
        .env("URL", world.api.base())
        .env("TOKEN", TOKEN)
        .env("EMAIL", "admin@example.com")
        .env("PASSWORD", PASSWORD)
        .env("PACKAGES", packages);
    assert_eq!(example::run(node).await.trim(), "sdk ok", "{}", world.logs());
}

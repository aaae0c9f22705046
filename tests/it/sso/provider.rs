//! The provider that the tests start.

use serde_json::{Value, json};
use tokio::process::Command;

use super::browser::HOME;
use crate::api::Api;
use crate::example::{self, Program};

/// It runs as long as this value lives.
pub struct Provider {
    pub issuer: String,
    api: Api,
    _program: Program,
}

impl Provider {
    /// For logins that come back to these providers of ours.
    pub async fn start(names: &[&str]) -> Self {
        let packages = example::tools().join("node");
        assert!(
            packages.join("node_modules/oidc-provider").is_dir(),
            "the package oidc-provider is not in {}: run script/test, which installs it, or set EVENTUS_BIN",
            packages.display()
        );
        let redirects: Vec<String> =
            names.iter().map(|name| format!("{HOME}/auth/login/{name}/callback")).collect();
        let mut node = Command::new("node");
        node.arg(example::root().join("tests/sso/provider.mjs"))
            .env("PACKAGES", packages)
            .env("REDIRECTS", redirects.join(","));
        let mut program = Program::start(node);
        loop {
            let line = program.lines(1).await.remove(0);
            if line.starts_with("http://") {
                return Self { api: Api::new(&line, None), issuer: line, _program: program };
            }
        }
    }

    async fn control(&self, told: Value) -> Value {
        self.api.post("/control", told).await.expect(200).json()
    }

    /// Somebody with these claims.
    pub async fn knows(&self, id: &str, claims: Value) {
        self.control(json!({"people": {id: claims}})).await;
    }

    /// From now on something is wrong with its answers.
    pub async fn wrong(&self, how: &str) {
        self.control(json!({"wrong": how})).await;
    }

    /// From now on nothing is.
    pub async fn right(&self) {
        self.control(json!({"wrong": null})).await;
    }

    /// How often its keys were asked for.
    pub async fn keys_asked(&self) -> i64 {
        self.control(json!({})).await["keys"].as_i64().unwrap()
    }
}

//! Compiles the contracts without a system protoc.

use std::path::Path;

const FILES: [&str; 13] = [
    "common",
    "items",
    "schema",
    "auth",
    "hooks",
    "analytics",
    "webhooks",
    "events",
    "history",
    "imports",
    "accounts",
    "upkeep",
    "calls",
];

#[expect(clippy::disallowed_methods, reason = "a build script speaks to cargo by its environment")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<String> = FILES.iter().map(|name| format!("eventus/{name}/v1/{name}.proto")).collect();
    println!("cargo:rerun-if-changed=eventus");
    let descriptors = protox::compile(&files, ["."])?;
    let out = std::env::var("OUT_DIR")?;
    let bytes = prost::Message::encode_to_vec(&descriptors);
    std::fs::write(Path::new(&out).join("descriptors.bin"), bytes)?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}

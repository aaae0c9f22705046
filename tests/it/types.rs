//! What is derived from the schema: TypeScript types, the OpenAPI document.

use std::path::Path;

use serde_json::json;
use tokio::process::Command;

use super::takeover;
use crate::example;
use crate::world::{World, binary};

/// `eventus types typescript` against a world's database.
pub async fn typescript(world: &World, file: &Path) -> String {
    let done = Command::new(binary())
        .args(["types", "typescript"])
        .arg(file)
        .env_clear()
        .env("DATABASE_URL", &world.database.url)
        .output()
        .await
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::read_to_string(file).unwrap()
}

/// Compiles a program against the generated types and the official SDK.
pub async fn compiles(folder: &Path, program: &str) -> Result<(), String> {
    let packages = example::tools().join("node/node_modules");
    let link = folder.join("node_modules");
    if !link.exists() {
        std::os::unix::fs::symlink(&packages, &link).unwrap();
    }
    std::fs::write(folder.join("program.ts"), program).unwrap();
    let mut tsc = Command::new("node");
    tsc.arg(packages.join("typescript/bin/tsc")).args([
        "--noEmit",
        "--strict",
        "--skipLibCheck",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--moduleResolution",
        "nodenext",
        "program.ts",
    ]);
    let done = tsc.current_dir(folder).output().await.unwrap();
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stdout).into_owned()) }
}

/// Posts, their authors, a singleton, and a field of ours for users.
async fn blog(world: &World) {
    let api = &world.api;
    world
        .collection(
            "authors",
            json!([{"field": "name", "type": "string", "schema": {"is_nullable": false}},
        {"field": "posts", "type": "alias", "meta": {"special": ["o2m"]}}]),
        )
        .await;
    world.collection("posts", json!([{"field": "title", "type": "string"}, {"field": "author", "type": "integer"},
        {"field": "price", "type": "decimal"}, {"field": "tags", "type": "csv"}, {"field": "at", "type": "timestamp"},
        {"field": "with space", "type": "json"}])).await;
    let meta = json!({"one_field": "posts"});
    api.post(
        "/relations",
        json!({"collection": "posts", "field": "author", "related_collection": "authors", "meta": meta}),
    )
    .await
    .expect(200);
    let site = json!({"collection": "site", "schema": {}, "meta": {"singleton": true}, "fields": [{"field": "title", "type": "string"}]});
    api.post("/collections", site).await.expect(200);
    api.post("/fields/directus_users", json!({"field": "nickname", "type": "string", "meta": {}}))
        .await
        .expect(200);
}

#[tokio::test]
async fn types_compile_with_the_official_sdk() {
    let world = World::start(shape!()).await;
    blog(&world).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("package.json"), "{\"type\": \"module\"}").unwrap();
    let types = typescript(&world, &folder.path().join("schema.ts")).await;
    for line in [
        "export interface Posts {",
        "\tprice: string | null;",
        "\tauthor: number | Authors | null;",
        "\tposts: number[] | Posts[];",
        "\t\"with space\": 'json' | null;",
        "\tsite: Site;",
        "\tposts: Posts[];",
        "\tdirectus_users: DirectusUsers;",
    ] {
        assert!(types.contains(line), "{line} is missing:\n{types}");
    }
    let program = |rest: &str| {
        format!(
            "import {{ createDirectus, readItems, readSingleton, rest }} from '@directus/sdk';\n\
             import type {{ Schema }} from './schema.js';\n\
             const client = createDirectus<Schema>('http://localhost').with(rest());\n{rest}\n"
        )
    };
    let good = program(
        "const posts = await client.request(readItems('posts', { fields: ['title', 'price', { author: ['name'] }], \
         filter: { title: { _eq: 'x' } }, sort: ['-at'] }));\n\
         const name: string | undefined = posts[0]?.author?.name;\n\
         const price: string | null | undefined = posts[0]?.price;\n\
         const site = await client.request(readSingleton('site'));\n\
         export { name, price, site };",
    );
    compiles(folder.path(), &good).await.unwrap();
    for bad in [
        "await client.request(readItems('nope'));",
        "await client.request(readItems('posts', { fields: ['nope'] }));",
        "const p = await client.request(readItems('posts', { fields: ['price'] })); const n: number = p[0]!.price; export { n };",
    ] {
        assert!(compiles(folder.path(), &program(bad)).await.is_err(), "{bad}");
    }
}

/// Every reference within the document leads somewhere, and every operation has a name of its own.
#[tokio::test]
async fn the_openapi_document_says_what_the_caller_may_use() {
    let world = takeover::taken_over().await;
    let document = world.api.get("/server/specs/oas").await.expect(200).json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut names = std::collections::BTreeSet::new();
    walk(&document, &mut |node| {
        if let Some(target) = node["$ref"].as_str() {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{target} leads nowhere");
        }
        if let Some(id) = node["operationId"].as_str() {
            assert!(names.insert(id.to_owned()), "{id} stands for two operations");
        }
    });
    let articles = &document["components"]["schemas"]["ItemsArticles"]["properties"];
    assert_eq!(articles["title"]["maxLength"], 255);
    assert_eq!(articles["views"]["type"], json!(["string", "null"]));
    assert!(document["paths"]["/items/articles/{id}"]["patch"].is_object());
    assert_eq!(document["paths"]["/items/site"]["post"], json!(null), "a singleton is not made");
    assert!(document["paths"]["/items/directus_users"].is_null());
    // Who may use nothing is told of nothing.
    let public = world.api.with_token(None).get("/server/specs/oas").await.expect(200).json();
    assert!(public["paths"]["/auth/login"].is_object());
    let mut paths = public["paths"].as_object().unwrap().keys();
    assert!(!paths.any(|path| path.starts_with("/items") || path.starts_with("/collections")));
}

fn walk(node: &serde_json::Value, see: &mut impl FnMut(&serde_json::Value)) {
    see(node);
    match node {
        serde_json::Value::Object(members) => members.values().for_each(|member| walk(member, see)),
        serde_json::Value::Array(entries) => entries.iter().for_each(|entry| walk(entry, see)),
        _ => {}
    }
}

/// All kinds of fields and relations that the original makes.
#[tokio::test]
async fn types_of_a_taken_over_database_compile() {
    let world = takeover::taken_over().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("package.json"), "{\"type\": \"module\"}").unwrap();
    typescript(&world, &folder.path().join("schema.ts")).await;
    let program = "import type { Schema } from './schema.js';\nexport type Articles = Schema['articles'];\n";
    compiles(folder.path(), program).await.unwrap();
}

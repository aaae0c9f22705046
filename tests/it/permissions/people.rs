//! Users of a database that the original made see what they saw there.

use serde_json::Value;

use super::super::takeover::{restore, taken_over};

/// Tokens of the fixture.
fn token(who: &str) -> Option<String> {
    (who != "public").then(|| format!("oracle-{who}-token"))
}

/// Members that are of the moment, of the server, or of ids that both sides draw.
fn evened(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for name in ["last_access", "version", "size", "releaseId"] {
                members.remove(name);
            }
            // The providers that are configured.
            if members.get("field").is_some_and(|field| field == "provider") {
                members.remove("meta");
            }
            members.values_mut().for_each(evened);
        }
        Value::Array(entries) => {
            entries.iter_mut().for_each(evened);
            // Lists of definitions have no order of their own.
            if entries.iter().any(|entry| entry.get("collection").is_some()) {
                entries.sort_by_key(|entry| format!("{}.{}", entry["collection"], entry["field"]));
            }
        }
        _ => {}
    }
}

/// What docs/COMPATIBILITY.md lists.
fn is_known(path: &str, theirs: u64, ours: u16) -> bool {
    match path {
        // Of a permission without fields the original shows keys, here items without anything in them.
        "/items/categories?limit=3" => theirs == 200 && ours == 200,
        // No extensions are installed, and nobody but administrators asks for them.
        "/extensions" => true,
        // What the server says of itself.
        "/server/info" => theirs == 200 && ours == 200,
        // Entries of the log are shown to those who may see them, new ones too.
        "/activity?limit=2" => theirs == 200 && ours == 200,
        _ => false,
    }
}

#[tokio::test]
async fn see_what_they_saw_there() {
    let world = taken_over().await;
    let asked: Value = serde_json::from_str(&restore::unzipped(restore::SCHEMA, "people.json.gz")).unwrap();
    let mut different = Vec::new();
    for asked in asked.as_array().unwrap() {
        let (who, path) = (asked["as"].as_str().unwrap(), asked["path"].as_str().unwrap());
        let ours = world.api.with_token(token(who).as_deref()).get(path).await;
        let theirs = asked["status"].as_u64().unwrap();
        if is_known(path, theirs, ours.status) {
            continue;
        }
        if u64::from(ours.status) != theirs {
            different.push(format!("{who} {path}: {theirs} there, {} here: {:.300}", ours.status, ours.text));
            continue;
        }
        let (mut theirs, mut ours) = (asked["body"].clone(), ours.json());
        if theirs.get("errors").is_some() {
            let code = |body: &Value| body["errors"][0]["extensions"]["code"].clone();
            assert_eq!(code(&theirs), code(&ours), "{who} {path}");
            continue;
        }
        evened(&mut theirs);
        evened(&mut ours);
        if theirs != ours {
            different.push(format!("{who} {path}:\n  there {theirs:.1500}\n  here  {ours:.1500}"));
        }
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
}

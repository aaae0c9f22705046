//! Two items of each system collection, and a change that fits both.

use serde_json::{Value, json};

use super::admin;
use crate::api::Api;

/// Path; two items; a change that fits both.
pub type Sample = (&'static str, [Value; 2], Value);

/// Ids that others refer to.
struct Ids {
    admin: Value,
    policy: Value,
    role: Value,
    dashboard: Value,
    flow: Value,
}

/// All samples.
pub async fn all(api: &Api) -> Vec<Sample> {
    let make = async |path: &str, item: Value| api.post(path, item).await.expect(200).data()["id"].clone();
    let ids = Ids {
        admin: admin(api).await,
        policy: make("/policies", json!({"name": "p"})).await,
        role: make("/roles", json!({"name": "r"})).await,
        dashboard: make("/dashboards", json!({"name": "d"})).await,
        flow: make("/flows", json!({"name": "f", "status": "inactive"})).await,
    };
    [rights(&ids), files(), boards(&ids), notes(&ids)].concat()
}

/// An item with more values.
fn with(item: &Value, more: Value) -> Value {
    let (mut item, more) = (item.as_object().unwrap().clone(), more.as_object().unwrap().clone());
    item.extend(more);
    Value::Object(item)
}

fn rights(Ids { admin, policy, role, .. }: &Ids) -> Vec<Sample> {
    let may = json!({"policy": policy, "collection": "articles"});
    let read = json!({"action": "read", "fields": ["id", "title"], "permissions": {"id": {"_eq": 1}}});
    let update = json!({"action": "update", "fields": ["*"], "presets": {"a": [1]}});
    let (in_role, his) = (json!({"role": role, "policy": policy}), json!({"user": admin, "policy": policy}));
    let bound = json!({"name": "a", "ip_access": ["10.0.0.0/8", "::1"]});
    vec![
        ("/roles", [json!({"name": "a"}), json!({"name": "b"})], json!({"description": "x"})),
        ("/policies", [bound, json!({"name": "b"})], json!({"icon": "x"})),
        ("/access", [in_role, his], json!({"sort": 7})),
        (
            "/permissions",
            [with(&may, read), with(&may, update)],
            json!({"validation": {"x": {"_nnull": true}}}),
        ),
        (
            "/users",
            [json!({"email": "a@example.com", "tags": ["x"]}), json!({"first_name": "B"})],
            json!({"title": "t"}),
        ),
    ]
}

fn files() -> Vec<Sample> {
    let file = json!({"storage": "local", "filename_download": "a.txt", "type": "text/plain"});
    let tagged = with(&file, json!({"tags": ["x", "y"]}));
    let described = with(&file, json!({"metadata": {"a": 1}}));
    vec![
        ("/folders", [json!({"name": "a"}), json!({"name": "b"})], json!({"name": "c"})),
        ("/files", [tagged, described], json!({"title": "t"})),
    ]
}

fn boards(Ids { dashboard, flow, .. }: &Ids) -> Vec<Sample> {
    let place = json!({"position_x": 1, "position_y": 1, "type": "log"});
    let step = with(&place, json!({"flow": flow, "key": "log"}));
    let panel = with(&place, json!({"dashboard": dashboard, "width": 2, "height": 2}));
    let other = with(&panel, json!({"options": {"text": "x"}}));
    let flow = |name: &str| json!({"name": name, "status": "inactive", "trigger": "event"});
    vec![
        ("/flows", [flow("a"), flow("b")], json!({"options": {"x": 1}})),
        ("/operations", [step.clone(), step], json!({"options": {"message": "m"}})),
        ("/dashboards", [json!({"name": "a"}), json!({"name": "b"})], json!({"color": "#fff"})),
        ("/panels", [panel, other], json!({"show_header": true})),
    ]
}

fn notes(Ids { admin, role, .. }: &Ids) -> Vec<Sample> {
    let about = json!({"collection": "articles", "item": "1"});
    let of = |more: Value| with(&about, more);
    let note = |subject: &str| json!({"recipient": admin, "subject": subject});
    let text = |language: &str| json!({"language": language, "key": "a", "value": "A"});
    let preset = json!({"collection": "articles", "filter": {"_and": []}});
    vec![
        ("/presets", [preset, json!({"bookmark": "b"})], json!({"search": "x"})),
        ("/notifications", [note("a"), note("b")], json!({"status": "archived"})),
        ("/translations", [text("de-DE"), text("en-US")], json!({"value": "v"})),
        ("/comments", [of(json!({"comment": "a"})), of(json!({"comment": "b"}))], json!({"comment": "c"})),
        ("/shares", [of(json!({"name": "a"})), of(json!({"role": role}))], json!({"max_uses": 3})),
        ("/versions", [of(json!({"key": "a"})), of(json!({"key": "b", "name": "m"}))], json!({"name": "n"})),
    ]
}

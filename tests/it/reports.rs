//! Reports through the gateway: trees with cycles and cuts, figures over windows beside those made by hand.

use serde_json::{Value, json};

use crate::api::Api;
use crate::world::World;

/// 1 is above 2, 3 and 4; 2 above 5; 5 above 6; 7 stands alone; 8 and 9 are above each other.
async fn categories(world: &World) {
    world
        .collection("categories", json!([
            {"field": "name", "type": "string"}, {"field": "up", "type": "integer"}, {"field": "hidden", "type": "boolean"},
            {"field": "below", "type": "alias", "meta": {"special": ["o2m"]}},
        ]))
        .await;
    let relation = json!({"collection": "categories", "field": "up", "related_collection": "categories", "meta": {"one_field": "below"}});
    world.api.post("/relations", relation).await.expect(200);
    let one = |id: i64, name: &str| json!({"id": id, "name": name, "hidden": id == 5});
    let names = ["a", "d", "b", "c", "e", "f", "g", "h", "i"];
    let all: Vec<Value> = (1..).zip(names).map(|(id, name)| one(id, name)).collect();
    world.api.post("/items/categories", json!(all)).await.expect(200);
    let above = [(2, 1), (3, 1), (4, 1), (5, 2), (6, 5), (8, 9), (9, 8)];
    let above: Vec<Value> = above.iter().map(|(id, up)| json!({"id": id, "up": up})).collect();
    world.api.patch("/items/categories", json!(above)).await.expect(200);
}

/// `a(b c)`: the names of a tree, each with those below it.
fn drawn(nodes: &Value) -> String {
    let one = |node: &Value| {
        let below = drawn(&node["children"]);
        let name = node["item"]["name"].as_str().unwrap();
        if below.is_empty() { name.to_owned() } else { format!("{name}({below})") }
    };
    nodes.as_array().unwrap().iter().map(one).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn trees() {
    let world = World::start(shape!()).await;
    categories(&world).await;
    let api = &world.api;
    let tree = async |more: &str| {
        let path = format!("/reports/categories/tree?parent=up&fields=id,name&sort=name{more}");
        let answer = api.get(&path).await.expect(200).json();
        let meta = &answer["meta"];
        let cut = ["depth_cut", "nodes_cut", "cycle"].into_iter().filter(|name| meta[*name] == true);
        let cut = cut.map(|name| format!(" {name}")).collect::<String>();
        format!("{} {}{cut}", meta["nodes"], drawn(&answer["data"]))
    };
    assert_eq!(tree("").await, "7 a(b c d(e(f))) g");
    assert_eq!(tree("&depth=4").await, "7 a(b c d(e(f))) g");
    assert_eq!(tree("&depth=3").await, "6 a(b c d(e)) g depth_cut");
    assert_eq!(tree("&depth=1").await, "2 a g depth_cut");
    assert_eq!(tree("&root=2").await, "3 d(e(f))");
    assert_eq!(tree("&root=6&depth=1").await, "1 f");
    assert_eq!(tree("&root=8").await, "2 h(i) cycle");
    assert_eq!(tree("&root=9&depth=1").await, "1 i depth_cut");
    assert_eq!(tree("&limit=2").await, "2 a g nodes_cut");
    assert_eq!(tree("&limit=7").await, "7 a(b c d(e(f))) g");
    // What does not fit takes with it what hangs below.
    assert_eq!(tree("&filter[hidden][_eq]=false").await, "5 a(b c d) g");
    assert_eq!(tree("&search=zzz").await, "0 ");
    let item = json!({"id": 5, "name": "e", "up": {"name": "d"}, "below": [{"id": 6}]});
    let path = "/reports/categories/tree?parent=up&root=5&depth=1&fields=id,name,up.name,below.id";
    assert_eq!(api.get(path).await.expect(200).data()[0]["item"], item);
    let flat = api
        .get("/reports/categories/tree?parent=up&fields=name&shape=flat&sort=-name&depth=2")
        .await
        .expect(200);
    assert_eq!(
        flat.data(),
        json!([
            {"depth": 1, "key": 7, "parent": null, "item": {"name": "g"}},
            {"depth": 1, "key": 1, "parent": null, "item": {"name": "a"}},
            {"depth": 2, "key": 2, "parent": 1, "item": {"name": "d"}},
            {"depth": 2, "key": 4, "parent": 1, "item": {"name": "c"}},
            {"depth": 2, "key": 3, "parent": 1, "item": {"name": "b"}},
        ])
    );
    for (more, status, code) in [
        ("", 400, "INVALID_QUERY"),
        ("parent=name", 400, "INVALID_QUERY"),
        ("parent=below", 400, "INVALID_QUERY"),
        ("parent=nope", 403, "FORBIDDEN"),
        ("parent=up&root=77", 403, "FORBIDDEN"),
        ("parent=up&root=x", 403, "FORBIDDEN"),
        ("parent=up&root=5&filter[hidden][_eq]=false", 403, "FORBIDDEN"),
        ("parent=up&fields=nope", 403, "FORBIDDEN"),
        ("parent=up&depth=51", 400, "INVALID_QUERY"),
        ("parent=up&page=2", 400, "INVALID_QUERY"),
        ("parent=up%22%20OR%20true--", 403, "FORBIDDEN"),
    ] {
        api.get(&format!("/reports/categories/tree?{more}")).await.refused(status, code);
    }
    nobody_else(api, "tree?parent=up").await;
    // A system collection has one too, with uuids for keys.
    let top = api.post("/folders", json!({"name": "top"})).await.expect(200).data()["id"].clone();
    api.post("/folders", json!({"name": "sub", "parent": top})).await.expect(200);
    let folders = api.get("/reports/directus_folders/tree?parent=parent&fields=name").await.expect(200);
    assert_eq!(drawn(&folders.data()), "top(sub)");
}

async fn nobody_else(api: &Api, report: &str) {
    let stranger = api.with_token(None);
    let here = stranger.get(&format!("/reports/categories/{report}")).await.refused(403, "FORBIDDEN");
    let nowhere = stranger.get(&format!("/reports/nowhere/{report}")).await.refused(403, "FORBIDDEN");
    assert_eq!(here.text.replace("categories", "nowhere"), nowhere.text);
    api.get(&format!("/reports/nowhere/{report}")).await.refused(403, "FORBIDDEN");
    api.delete(&format!("/reports/categories/{report}"), None).await.refused(404, "ROUTE_NOT_FOUND");
}

/// A chain of 60 items that ends where it began, far longer than a tree may be deep.
#[tokio::test]
async fn long_ways_end() {
    let world = World::start(shape!()).await;
    categories(&world).await;
    let api = &world.api;
    let chain: Vec<Value> = (100..160).map(|id| json!({"id": id, "name": id.to_string()})).collect();
    api.post("/items/categories", json!(chain)).await.expect(200);
    let links: Vec<Value> =
        (100..160).map(|id| json!({"id": id, "up": if id == 100 { 159 } else { id - 1 }})).collect();
    api.patch("/items/categories", json!(links)).await.expect(200);
    let meta = |depth: i32| format!("/reports/categories/tree?parent=up&root=100&fields=id&depth={depth}");
    let answer = api.get(&meta(50)).await.expect(200).json();
    assert_eq!(answer["meta"], json!({"nodes": 50, "depth_cut": true, "nodes_cut": false, "cycle": false}));
    // An item above itself.
    api.patch("/items/categories/7", json!({"up": 7})).await.expect(200);
    let answer = api.get("/reports/categories/tree?parent=up&root=7&fields=id").await.expect(200).json();
    assert_eq!(answer["meta"], json!({"nodes": 1, "depth_cut": false, "nodes_cut": false, "cycle": true}));
    assert_eq!(answer["data"], json!([{"depth": 1, "item": {"id": 7}, "children": []}]));
}

async fn orders(world: &World) {
    let decimal = json!({"numeric_precision": 30, "numeric_scale": 2});
    world
        .collection("orders", json!([
            {"field": "customer", "type": "string"}, {"field": "day", "type": "date"}, {"field": "total", "type": "decimal", "schema": decimal},
            {"field": "pieces", "type": "integer"}, {"field": "big", "type": "bigInteger"}, {"field": "weight", "type": "float"},
            {"field": "meta", "type": "json"}, {"field": "secret", "type": "integer", "meta": {"special": ["conceal"]}},
        ]))
        .await;
    let one = |customer: &str, day: u32, total: &str, pieces: i32| {
        json!({"customer": customer, "day": format!("2026-01-{day:02}"), "total": total, "pieces": pieces,
            "big": "9007199254740993", "weight": f64::from(pieces) / 4.0})
    };
    let all = json!([
        one("a", 1, "10.10", 3),
        one("b", 1, "5.00", 1),
        one("a", 2, "20.20", 1),
        one("a", 2, "99999999999999999999.99", 2),
        one("b", 3, "7.50", 1),
        one("a", 4, "1.01", 2_147_483_647),
    ]);
    world.api.post("/items/orders", all).await.expect(200);
}

/// Of each item its key and its figures, by their names.
async fn figures(api: &Api, more: &str) -> String {
    let answer = api.get(&format!("/reports/orders/window?fields=id&{more}")).await.expect(200);
    let one = |item: &Value| {
        let figures = item["figures"].as_object().unwrap().values().map(Value::to_string);
        format!("{}:{}", item["item"]["id"], figures.collect::<Vec<_>>().join("/"))
    };
    answer.data().as_array().unwrap().iter().map(one).collect::<Vec<_>>().join(" ").replace('"', "")
}

#[tokio::test]
async fn windows() {
    let world = World::start(shape!()).await;
    orders(&world).await;
    let api = &world.api;
    let figures = async |more: &str| figures(api, more).await;
    assert_eq!(
        figures("compute=running_sum(total)&partition=customer&order=day").await,
        "1:10.10 3:30.30 4:100000000000000000030.29 6:100000000000000000031.30 2:5.00 5:12.50"
    );
    assert_eq!(
        figures("compute=moving_sum(pieces,2),difference(pieces)&order=day&limit=4&offset=2").await,
        "3:0/2 4:1/3 5:-1/3 6:2147483646/2147483648"
    );
    assert_eq!(
        figures("compute=rank,dense_rank,row_number,running_count&order=-day").await,
        "6:1/1/1/1 5:2/2/2/2 3:3/3/3/3 4:3/3/4/4 1:4/5/5/5 2:4/5/6/6"
    );
    assert_eq!(
        figures("compute=percent_rank,ntile(2)&order=id&filter[customer][_eq]=a").await,
        "1:1/0 3:1/0.3333333333333333 4:2/0.6666666666666666 6:2/1"
    );
    assert_eq!(
        figures("compute=lag(big),lead(weight,2),running_max(pieces)&order=id&limit=2").await,
        "1:null/0.25/3 2:9007199254740993/0.5/3"
    );
    assert_eq!(
        figures("compute=moving_avg(weight,2)&order=id&sort=-total,id&limit=3").await,
        "4:0.375 3:0.25 1:0.75"
    );
    // Windows are made of all that fit, and a part of a time makes windows too.
    assert_eq!(
        figures("compute=running_count&partition=day(day)&order=id&search=a&page=2&limit=2").await,
        "4:2 6:1"
    );
    let answer = api
        .get("/reports/orders/window?compute=running_avg(pieces)&order=id&fields=id,customer&limit=1&meta=*")
        .await
        .expect(200);
    assert_eq!(
        answer.json(),
        json!({"meta": {"total_count": 6, "filter_count": 6}, "data": [
            {"item": {"id": 1, "customer": "a"}, "figures": {"running_avg_pieces": "3.0000000000000000"}}
        ]})
    );
    refused_windows(api).await;
    categories(&world).await;
    nobody_else(api, "window?compute=rank&order=id").await;
}

async fn refused_windows(api: &Api) {
    for (more, status, code) in [
        ("order=id", 400, "INVALID_QUERY"),
        ("compute=rank", 400, "INVALID_QUERY"),
        ("compute=median(total)&order=id", 400, "INVALID_QUERY"),
        ("compute=running_sum(customer)&order=id", 400, "INVALID_QUERY"),
        ("compute=running_sum(meta)&order=id", 400, "INVALID_QUERY"),
        ("compute=moving_avg(total,1001)&order=id", 400, "INVALID_QUERY"),
        ("compute=moving_avg(total,1%20OR%201)&order=id", 400, "INVALID_QUERY"),
        ("compute=running_sum(secret)&order=id", 403, "FORBIDDEN"),
        ("compute=rank&order=secret", 403, "FORBIDDEN"),
        ("compute=rank&order=id&partition=secret", 403, "FORBIDDEN"),
        ("compute=rank&order=meta", 400, "INVALID_QUERY"),
        ("compute=rank&order=nope", 403, "FORBIDDEN"),
        ("compute=rank&order=id;--", 403, "FORBIDDEN"),
        ("compute=rank&order=id&partition=%22customer%22", 403, "FORBIDDEN"),
        ("compute=running_sum(nope)&order=id", 403, "FORBIDDEN"),
        ("compute=rank&order=id&cursor=x", 400, "INVALID_QUERY"),
    ] {
        api.get(&format!("/reports/orders/window?{more}")).await.refused(status, code);
    }
}

/// The document names them, for those who may use them.
#[tokio::test]
async fn the_document_lists_reports() {
    let world = World::start(shape!()).await;
    let document = world.api.get("/server/specs/oas").await.expect(200).json();
    for report in ["tree", "window"] {
        let path = format!("/reports/{{collection}}/{report}");
        assert!(document["paths"][&path]["get"]["parameters"].as_array().is_some_and(|all| all.len() > 5));
    }
    assert!(document["components"]["parameters"]["Cursor"].is_object());
}

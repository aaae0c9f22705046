//! What the original makes of a file (11.17.4, asked), and what it refuses. Where we say no to what breaks it (a 500 of
//! PostgreSQL's or its own, a value that is lost) the facts are ours, and docs/COMPATIBILITY.md says so.

use serde_json::{Value, json};

use super::{CSV, JSON, count, events, import, items, no_pieces, world};
use crate::world::{Options, World};

/// Imports a file into nothing; gives what stands there then.
async fn stored(world: &World, media_type: &str, file: &str) -> Value {
    let answer = import(&world.api, "goods", media_type, file).await.expect(200);
    assert_eq!((answer.text.as_str(), answer.header("content-type")), ("", None), "{file:?}");
    let items = items(world).await;
    sqlx::query("DELETE FROM goods").execute(&world.pool().await).await.unwrap();
    items
}

#[tokio::test]
async fn csv_is_read_as_by_the_original() {
    let world = world(shape!(), Options::default()).await;
    for (file, expected) in [
        (
            "s,n,f,d,b,ts\nhello,1,1.5,2.25,true,2024-01-02T03:04:05Z\nworld,2,,,false,\n",
            json!([{"s": "hello", "n": 1, "f": 1.5, "d": "2.2500", "b": true, "ts": "2024-01-02T03:04:05.000Z"}, {"s": "world", "n": 2, "b": false}]),
        ),
        (
            "\u{feff}s,n\r\n\"a \"\"q\"\" b\",1\r\n\"multi\r\nline\",2\r\n",
            json!([{"s": "a \"q\" b", "n": 1}, {"s": "multi\r\nline", "n": 2}]),
        ),
        ("s,t,n\n,,\n\"\",\"\",\"\"\n", json!([{"s": "dflt"}, {"s": "dflt"}])),
        (
            "s,t,n\na,null,null\nb,NULL,\nc,undefined,\n",
            json!([{"s": "a"}, {"s": "b", "t": "NULL"}, {"s": "c", "t": "undefined"}]),
        ),
        (
            "s,t,n,big\n007,1e3,12,9007199254740993\n1.0,-0,3,9223372036854775807\n",
            json!([{"s": "007", "t": "1e3", "n": 12, "big": "9007199254740993"}, {"s": "1.0", "t": "-0", "n": 3, "big": "9223372036854775807"}]),
        ),
        ("s,b\na,1\nb,0\n", json!([{"s": "a", "b": true}, {"s": "b", "b": false}])),
        ("s,t\ntrue,false\n", json!([{"s": "true", "t": "false"}])),
        (
            "s,j\na,\"{\"\"x\"\":  1}\"\nb,\"[1,  2]\"\n",
            json!([{"s": "a", "j": {"x": 1}}, {"s": "b", "j": [1, 2]}]),
        ),
        ("s,j\nd,12\n", json!([{"s": "d", "j": 12}])),
        ("s,j\nd,true\n", json!([{"s": "d", "j": true}])),
        (
            "s,t\na,\"{\"\"x\"\":   1}\"\nb,\" [1]\"\nc,\"[1,\"\n",
            json!([{"s": "a", "t": "{\"x\":1}"}, {"s": "b", "t": "[1]"}, {"s": "c", "t": "[1,"}]),
        ),
        (
            "s,c\na,\"x,y\"\nb,\"[\"\"x\"\",\"\"y\"\"]\"\nc,z\n",
            json!([{"s": "a", "c": ["x", "y"]}, {"s": "b", "c": ["x", "y"]}, {"s": "c", "c": ["z"]}]),
        ),
        ("s,c[0],c[1]\na,x,y\n", json!([{"s": "a", "c": ["x", "y"]}])),
        ("s,j.a.b,j.c[0]\na,1,2\n", json!([{"s": "a", "j": {"a": {"b": "1"}, "c": ["2"]}}])),
        ("s,nope\na,b\n", json!([{"s": "a"}])),
        ("s,s\na,b\n", json!([{"s": "a"}])),
        ("s,\na,b\n", json!([{"s": "a"}])),
        (" s , n \n a , 1 \n", json!([{"s": " a ", "n": 1}])),
        ("s,n,t\na\nb,2\n", json!([{"s": "a"}, {"s": "b", "n": 2}])),
        ("s,n\na,1,zz\n", json!([{"s": "a", "n": 1}])),
        ("s,n\n", json!([])),
        ("", json!([])),
        ("s,n\ra,1\rb,2\r", json!([{"s": "a", "n": 1}, {"s": "b", "n": 2}])),
        ("s,n\na\"b,1", json!([{"s": "a\"b", "n": 1}])),
        (
            "s,ts,dd,u\na,2024-01-02,2024-05-06,9b2f7c8e-1b9e-4b6c-8b1a-2a3b4c5d6e7f\n",
            json!([{"s": "a", "ts": "2024-01-02T00:00:00.000Z", "dd": "2024-05-06", "u": "9b2f7c8e-1b9e-4b6c-8b1a-2a3b4c5d6e7f"}]),
        ),
        ("s,h\na,secret\n", json!([{"s": "a", "h": "**********"}])),
        // Ours: lines that end in different ways, and lines without anything.
        ("s,n\r\na,1\nb,2\r\n", json!([{"s": "a", "n": 1}, {"s": "b", "n": 2}])),
        ("s,n\n\na,1\n\n\nb,2\n\n", json!([{"s": "a", "n": 1}, {"s": "b", "n": 2}])),
    ] {
        assert_eq!(stored(&world, CSV, file).await, expected, "{file:?}");
    }
    no_pieces(&world).await;
}

#[tokio::test]
async fn json_is_read_as_by_the_original() {
    let world = world(shape!(), Options::default()).await;
    for (file, expected) in [
        (
            r#" [{"s":"a","n":1,"j":{"x":[1]},"c":["x","y"],"b":true,"ts":"2024-01-02T03:04:05Z"}, {"s":"b"} ] "#,
            json!([{"s": "a", "n": 1, "b": true, "j": {"x": [1]}, "c": ["x", "y"], "ts": "2024-01-02T03:04:05.000Z"}, {"s": "b"}]),
        ),
        ("[]", json!([])),
        ("\u{feff}[{\"s\":\"a\"}]", json!([{"s": "a"}])),
        (r#"[{"s":"","t":"","n":null}]"#, json!([{"s": "", "t": ""}])),
        (r#"[{"s":"a","nope":1}]"#, json!([{"s": "a"}])),
        (r#"[{"s":"a","s":"b"}]"#, json!([{"s": "b"}])),
        // Ours: all digits.
        (
            r#"[{"s":"a","big":9007199254740993,"d":12345678.1234}]"#,
            json!([{"s": "a", "big": "9007199254740993", "d": "12345678.1234"}]),
        ),
    ] {
        assert_eq!(stored(&world, JSON, file).await, expected, "{file}");
    }
    for (media_type, file) in
        [(JSON, r#"[{"s":"a","author":{"name":"zed"}}]"#), (CSV, "s,author.name,author.id\na,joe,\n")]
    {
        let item = stored(&world, media_type, file).await;
        assert_eq!(item[0]["author"], count(&world, "SELECT max(id)::bigint FROM authors").await);
    }
    let names = world.api.get("/items/authors?fields=name&sort=id").await.expect(200).data();
    assert_eq!(names, json!([{"name": "zed"}, {"name": "joe"}]));
}

/// A row that names the key of an item changes it.
#[tokio::test]
async fn keys_that_are_there_change_their_items() {
    let world = world(shape!(), Options::default()).await;
    import(&world.api, "goods", JSON, r#"[{"id":5000,"s":"k"}]"#).await.expect(200);
    import(&world.api, "goods", JSON, r#"[{"id":5000,"n":7}]"#).await.expect(200);
    import(&world.api, "goods", CSV, "id,s,n\n5000,upd,\n5001,new,3\n,auto,4\n").await.expect(200);
    import(&world.api, "goods", CSV, "id,s\n6000,a\n6000,b\n").await.expect(200);
    let items = world.api.get("/items/goods?fields=id,s,n&sort=id").await.expect(200).data();
    assert_eq!(
        items,
        json!([{"id": 5000, "s": "upd", "n": 7}, {"id": 5001, "s": "new", "n": 3}, {"id": 5002, "s": "auto", "n": 4}, {"id": 6000, "s": "b", "n": null}])
    );
    let sql = "SELECT name || ' ' || key || ' ' || version FROM eventus.events WHERE collection = 'goods' ORDER BY position";
    let events: Vec<String> = sqlx::query_scalar(sql).fetch_all(&world.pool().await).await.unwrap();
    assert_eq!(events.iter().filter(|event| event.starts_with("items.create")).count(), 4, "{events:?}");
    assert!(
        events.contains(&"items.update 5000 3".to_owned())
            && events.contains(&"items.update 6000 2".to_owned()),
        "{events:?}"
    );
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_rows() {
    let world = world(shape!(), Options::default()).await;
    let lines = |rows: &[i64]| json!([{"type": "lines", "rows": rows}]);
    let regex = |invalid: &str, rows: Value| {
        json!({"message": "Validation failed for field \"v\". Value doesn't have the correct format.",
               "extensions": {"field": "v", "type": "regex", "invalid": invalid, "rows": rows, "code": "FAILED_VALIDATION"}})
    };
    let taken = |value: &str, rows: Value| {
        json!({"message": format!("Value \"{value}\" for field \"uq\" in collection \"goods\" has to be unique."),
               "extensions": {"field": "uq", "rows": rows, "code": "RECORD_NOT_UNIQUE"}})
    };
    let empty = |rows: Value| {
        json!({"message": "Validation failed for field \"s\". Value can't be null.",
               "extensions": {"field": "s", "type": "nnull", "rows": rows, "code": "FAILED_VALIDATION"}})
    };
    let twelve = json!((0..12).map(|_| json!({"s": "a", "v": "X"})).collect::<Vec<_>>()).to_string();
    let others =
        json!((0..12).map(|at| json!({"v": if at % 2 == 1 { "X" } else { "ok" }})).collect::<Vec<_>>())
            .to_string();
    let foreign = json!({"message": "Invalid foreign key \"999\" for field \"author\" in collection \"goods\".",
        "extensions": {"field": "author", "rows": lines(&[1]), "code": "INVALID_FOREIGN_KEY"}});
    for (media_type, file, expected) in [
        (CSV, "s,t,n\nnull,null,null\nNULL,NULL,\n", json!([empty(lines(&[1]))])),
        (CSV, "s,uq\na,x\nb,x\n", json!([taken("x", lines(&[2]))])),
        (CSV, "s,author\na,999\n", json!([foreign])),
        (CSV, "s,v\na,abc\nb,ABC\nc,123\n", json!([regex("ABC", lines(&[2])), regex("123", lines(&[3]))])),
        (
            CSV,
            "s,uq,v\na,x,abc\nb,x,ABC\nc,x,abc\n,y,12\n",
            json!([regex("ABC", lines(&[2])), regex("12", lines(&[4])), taken("x", lines(&[3]))]),
        ),
        (
            JSON,
            r#"[{"s":"a"},{"s":"b","v":"X"},{"s":"c","v":"Y"},{"s":"d","uq":"q"},{"s":"e","uq":"q"},{"s":null}]"#,
            json!([
                regex("X", lines(&[2])),
                regex("Y", lines(&[3])),
                empty(lines(&[6])),
                taken("q", lines(&[5]))
            ]),
        ),
        (JSON, &twelve, json!([regex("X", json!([{"type": "range", "start": 1, "end": 12}]))])),
        (JSON, &others, json!([regex("X", lines(&[2, 4, 6, 8, 10, 12]))])),
    ] {
        let answer = import(&world.api, "goods", media_type, file).await.expect(400);
        assert_eq!(answer.json(), json!({"errors": expected}), "{file}");
        let rehearsed = import(&world.api, "goods?dry_run=true", media_type, file).await.expect(400);
        assert_eq!(rehearsed.json(), json!({"errors": expected}), "{file}");
    }
    assert_eq!((items(&world).await, events(&world).await), (json!([]), 0), "nothing is stored");
}

#[tokio::test]
async fn malformed_files_are_refused() {
    let world = world(shape!(), Options::default()).await;
    for (media_type, file, reason, row) in [
        (JSON, r#"{"s":"a"}"#, "Top-level object should be an array.", 1),
        (JSON, "", "Parser has expected a value", 1),
        (JSON, r#"[{"s":"a"},{"s":"#, "An element of the array is not closed", 2),
        (JSON, r#"[{"s":"a"}] x"#, "Something stands behind the array", 2),
        (JSON, "{\"s\":\"a\"}\n{\"s\":\"b\"}", "Top-level object should be an array.", 1),
        (JSON, r#"[{"s":"a"},1]"#, "An element of the array is no object", 2),
        (JSON, "[null]", "An element of the array is no object", 1),
        (CSV, "s,n\n\"a,1\nb,2\n", "A quote is not closed", 1),
        (CSV, "s,n\na,1\n\"a\"b,1\n", "A value goes on behind its closing quote", 2),
    ] {
        let answer = import(&world.api, "goods", media_type, file).await.refused(400, "INVALID_PAYLOAD");
        let extensions = &answer.json()["errors"][0]["extensions"];
        assert_eq!(
            (&extensions["reason"], &extensions["rows"][0]["rows"][0]),
            (&json!(reason), &json!(row)),
            "{file}"
        );
    }
    for file in [
        &b"s\n\xe9\n"[..],
        b"s\na\0b\n",
        b"s,n\na,1\nb,xx\n",
        b"s,b\na,maybe\n",
        b"s,ts\na,notatime\n",
        b"s,j\na,\"{\"\"x\"\":\"\n",
    ] {
        let answer = import(&world.api, "goods", CSV, file).await.refused(400, "INVALID_PAYLOAD");
        assert!(
            answer.json()["errors"][0]["extensions"]["rows"][0]["rows"][0].is_number(),
            "{}",
            answer.text
        );
    }
    assert_eq!((items(&world).await, events(&world).await), (json!([]), 0), "nothing is stored");
    no_pieces(&world).await;
}

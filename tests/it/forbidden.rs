//! What somebody may not see, asked for in every place of a query and on every road: refused, in the words of what is not
//! there; and no answer depends on it.

mod questions;
mod roads;

use proto::items::v1::items_service_client::ItemsServiceClient;
use questions::{HIDDEN, MISSING, SHOWN, about};
use roads::{Askers, ROADS, heeded};
use serde_json::{Value, json};

use super::permissions::{Office, may};
use crate::world::World;

/// The office with more fields, and somebody who sees a part of it on all roads.
async fn start(world: World) -> (Office, Askers) {
    let office = Office::open(world).await;
    let admin = &office.world.api;
    let field = |name: &str, kind: &str| json!({"field": name, "type": kind});
    for more in [
        field("day", "date"),
        field("born", "date"),
        field("costs", "integer"),
        field("whole", "integer"),
        field("first", "integer"),
        field("editor", "integer"),
        json!({"field": "pin", "type": "string", "meta": {"special": ["conceal"]}}),
        json!({"field": "lock", "type": "hash", "meta": {"special": ["hash"]}}),
    ] {
        admin.post("/fields/articles", more).await.expect(200);
    }
    let drafted = json!({"field": "drafted", "type": "alias", "meta": {"special": ["o2m"]}});
    admin.post("/fields/authors", drafted).await.expect(200);
    for (field, related, one) in
        [("whole", "articles", None), ("first", "articles", None), ("editor", "authors", Some("drafted"))]
    {
        let relation = json!({"collection": "articles", "field": field, "related_collection": related,
            "meta": {"one_field": one}});
        admin.post("/relations", relation).await.expect(200);
    }
    admin.patch("/collections/articles", json!({"meta": {"versioning": true}})).await.expect(200);
    let changes: Vec<Value> = (1..=3)
        .map(|id| {
            json!({"id": id, "day": "2020-02-02", "born": "1999-09-09", "costs": id * 100, "first": 3, "editor": 2,
                "notes": format!("hidden-{id}"), "pin": format!("secret-pin-{id}"), "lock": format!("secret-lock-{id}"),
                "whole": if id == 3 { json!(1) } else { Value::Null }})
        })
        .collect();
    admin.patch("/items/articles", json!(changes)).await.expect(200);
    let published = json!({"status": {"_eq": "published"}});
    office
        .policy(json!([
            may(
                "read",
                "articles",
                &["id", "title", "status", "author", "day", "whole", "pin", "lock"],
                published.clone()
            ),
            may("read", "articles", &["id", "words"], json!({"words": {"_gt": 15}})),
            may("read", "authors", &["id", "name", "articles"], json!({"id": {"_neq": 2}})),
            may("update", "articles", &["title"], published.clone()),
            may("delete", "articles", &["*"], published),
            may("read", "directus_versions", &["*"], Value::Null),
        ]))
        .await;
    let version = json!({"key": "draft", "collection": "articles", "item": "1"});
    let version = admin.post("/versions", version).await.expect(200).data()["id"].clone();
    let saved = json!({"title": "one", "notes": "hidden-version"});
    admin.post(&format!("/versions/{}/save", version.as_str().unwrap()), saved).await.expect(200);
    let askers = askers(&office).await;
    (office, askers)
}

async fn askers(office: &Office) -> Askers {
    let (admin, writer) = (&office.world.api, office.writer.clone());
    let share = json!({"collection": "articles", "item": "1", "role": office.role});
    let share = admin.post("/shares", share).await.expect(200).data()["id"].clone();
    let nobody = admin.with_token(None);
    let tokens = nobody.post("/shares/auth", json!({"share": share})).await.expect(200).data();
    let key = json!({"name": "reads", "user": office.user, "read_only": true});
    let key = admin.post("/api-keys", key).await.expect(200).data();
    let grpc = ItemsServiceClient::connect(format!("http://{}", office.world.grpc)).await.unwrap();
    let last = "SELECT max(position) FROM eventus.events";
    let moment = sqlx::query_scalar(last).fetch_one(&office.world.pool().await).await.unwrap();
    Askers {
        writer,
        guest: nobody.with_token(tokens["access_token"].as_str()),
        key: nobody.with_token(key["key"].as_str()),
        grpc,
        moment,
    }
}

/// The names of what is hidden become those of what is not there.
fn renamed(text: &str) -> String {
    HIDDEN
        .iter()
        .zip(MISSING)
        .fold(text.to_owned(), |text, ((_, hidden), (_, missing))| text.replace(hidden, missing))
}

/// What went wrong, road by road.
fn none_of(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn what_is_not_shown_is_refused_on_every_road_in_the_words_of_what_is_not_there() {
    let (_office, askers) = start(World::start(shape!()).await).await;
    let mut wrong = Vec::new();
    for (road, expected) in ROADS {
        let mut taken = 0;
        for question in questions::all() {
            let [of_shown, of_hidden, of_missing] =
                [SHOWN, HIDDEN, MISSING].map(|names| about(question, &names));
            let [good, bad, missing] = [
                askers.ask(road, &of_shown).await,
                askers.ask(road, &of_hidden).await,
                askers.ask(road, &of_missing).await,
            ];
            if heeded(road, &of_shown) == heeded(road, &of_hidden) {
                if good != bad || bad != missing {
                    wrong.push(format!("{road:?} {question}\n  {good:?}\n  {bad:?}\n  {missing:?}"));
                }
                continue;
            }
            // What a road does not take it refuses, whatever is asked about.
            let takes = good.status != 400;
            let fine = if takes {
                [200, 204].contains(&good.status) && bad.status == 403
            } else {
                bad.status == 400
            };
            taken += usize::from(takes);
            if !fine || renamed(&bad.text) != missing.text || bad.status != missing.status {
                wrong.push(format!("{road:?} {question}\n  {good:?}\n  {bad:?}\n  {missing:?}"));
            }
        }
        if taken != expected {
            wrong.push(format!("{road:?} takes {taken} questions, not {expected}"));
        }
    }
    for place in questions::PLACES {
        let [good, bad, missing] = [SHOWN, HIDDEN, MISSING].map(|names| questions::named(place, &names));
        askers.writer.get(&good).await.expect(200);
        let bad = askers.writer.get(&bad).await.refused(403, "FORBIDDEN").text;
        let missing = askers.writer.get(&missing).await.refused(403, "FORBIDDEN").text;
        assert_eq!(renamed(&bad), missing, "{place}");
    }
    // What happened to the item is told without them.
    let told = askers.writer.get("/items/articles/1/history").await.expect(200).text;
    assert!(told.contains("\"day\"") && !told.contains("hidden-") && !told.contains("notes"), "{told}");
    none_of(&wrong);
}

/// Fields of one kind, a secret among them.
fn with_secret(secret: &'static str) -> questions::Names {
    SHOWN.map(|(kind, name)| (kind, if kind == "TEXT" { secret } else { name }))
}

/// A field whose values nobody sees may be read (as a mask) and asked whether it is there; nothing else.
#[tokio::test]
async fn secrets_are_compared_with_nothing_on_any_road() {
    let (_office, askers) = start(World::start(shape!()).await).await;
    let mut wrong = Vec::new();
    for ((road, _), secret) in ROADS.into_iter().flat_map(|road| [(road, "pin"), (road, "lock")]) {
        let names = with_secret(secret);
        let named = |question: &&str| question.contains("TEXT");
        let compared: Vec<&str> =
            questions::FILTERS.into_iter().chain(questions::SORTS).filter(named).collect();
        for question in questions::all().filter(named).chain(questions::SEARCHES) {
            let asked = about(question, &names);
            let heard = askers.ask(road, &asked).await;
            let told = ["secret-", "$argon2"].iter().any(|value| heard.text.contains(value));
            let compared = compared.contains(&question) && heeded(road, &asked).to_string().contains(secret);
            if told || (compared && ![400, 403].contains(&heard.status)) {
                wrong.push(format!("{road:?} {question} of {secret}\n  {heard:?}"));
            }
        }
    }
    none_of(&wrong);
}

/// Everything that is not shown is another: fields, values of items that are shown in part, whole items, secrets.
const OTHERWISE: &str = "
UPDATE articles SET notes = 'another ' || id, born = '2020-02-02', costs = costs * 7, first = 1, editor = 1,
  pin = 'one two', lock = '$argon2id$v=19$m=1024,t=1,p=1$c29tZXNhbHQ$x';
UPDATE articles SET words = 1 WHERE id = 1;
UPDATE articles SET title = 'one hidden 200', day = '1999-01-01', whole = 1 WHERE id = 2;
UPDATE authors SET salary = '77' || id, name = CASE id WHEN 2 THEN 'Ann one hidden' ELSE name END;
INSERT INTO articles (id, title, status, notes, words, author, whole, day)
  VALUES (51, 'one', 'draft', 'one', 3, 1, 1, '2020-02-02');
UPDATE directus_versions SET delta = jsonb_set(delta::jsonb, '{notes}', '\"another\"')::json;
";

#[tokio::test]
async fn no_answer_on_any_road_depends_on_what_is_not_shown() {
    let (office, askers) = start(World::start(shape!()).await).await;
    let mut asked: Vec<Value> = Vec::new();
    asked.extend(questions::all().chain(questions::SEARCHES).map(|question| about(question, &SHOWN)));
    // Of the secret one what is not refused anyway.
    let of_secret = questions::NULLS.into_iter().chain(questions::WISHES).chain(questions::FIGURES);
    let of_secret = of_secret.filter(|question| question.contains("TEXT"));
    asked.extend(of_secret.map(|question| about(question, &with_secret("pin"))));
    let all = async || {
        let roads = ROADS.iter().map(async |(road, _)| {
            let mut heard = Vec::new();
            for question in &asked {
                heard.push((*road, question, askers.ask(*road, question).await));
            }
            heard
        });
        futures_util::future::join_all(roads).await.concat()
    };
    let before = all().await;
    let pool = office.world.pool().await;
    sqlx::raw_sql(OTHERWISE).execute(&pool).await.unwrap();
    let after = all().await;
    let told = before.iter().zip(&after).filter(|(then, now)| then.2 != now.2);
    let told =
        told.map(|((road, question, then), (.., now))| format!("{road:?} {question}\n  {then:?}\n  {now:?}"));
    none_of(&told.collect::<Vec<_>>());
    // Who may see the changes is answered otherwise, or this would prove nothing.
    let path = "/items/articles?fields=notes,author.name&sort=id";
    let seen = office.world.api.get(path).await.expect(200).text;
    assert!(seen.contains("another 1") && seen.contains("Ann one hidden"), "{seen}");
}

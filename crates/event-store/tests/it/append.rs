//! What is appended comes back as it was.

use event_store::{Log, append, heads};
use model::{Accountability, Ids as _, RandomIds, TraceParent};
use serde_json::value::RawValue;

use crate::{event, open};

#[tokio::test]
async fn an_event_comes_back_as_it_went_in() {
    let (_database, db) = open().await;
    let who = Accountability {
        user: Some(RandomIds.random()),
        role: Some(RandomIds.random()),
        ip: Some("192.0.2.7".to_owned()),
        user_agent: Some("agent \"quoted\" \\ ü".to_owned()),
        origin: Some("https://app.example".to_owned()),
        ..Accountability::default()
    };
    let body = "{\"z\": 1,  \"a\":12345678901234567890.10, \"lone\":\"\\ud800\"}";
    let mut new = event("k/1 \"ü\"", 3).by(&who);
    new.payload = Some(RawValue::from_string(body.to_owned()).unwrap());
    new.previous = Some(RawValue::from_string("null".to_owned()).unwrap());
    new.fields = Some(["z", "quote\"", "a,b", "NULL", ""].map(str::to_owned).to_vec());
    new.request_id = Some("req".to_owned());
    new.traceparent = TraceParent::parse(testkit::TRACE);
    new.causation_id = Some(RandomIds.ordered());
    new.depth = 2;
    new.batch_id = Some(RandomIds.ordered());
    new.batch_index = 7;
    new.silent = true;
    let mut connection = db.acquire().await.unwrap();
    let positions = append(&mut connection, std::slice::from_ref(&new)).await.unwrap();
    let log = Log::new(db.clone());
    let stored = log.get(positions[0]).await.unwrap().unwrap();
    let read = &log.read(0, 10).await.unwrap()[0];
    for found in [&stored.event, read] {
        assert_eq!((found.position, found.id, &found.name), (positions[0], new.id, &new.name));
        assert_eq!((&found.collection, &found.key, found.version), (&new.collection, &new.key, 3));
        // Byte for byte: order of fields, spaces, digits.
        assert_eq!(found.payload.as_ref().unwrap().get(), body);
        assert_eq!(found.previous.as_ref().unwrap().get(), "null");
        assert_eq!((&found.fields, &found.request_id), (&new.fields, &new.request_id));
        assert_eq!((&found.traceparent, found.causation_id), (&new.traceparent, new.causation_id));
        assert_eq!((found.depth, found.batch_id, found.batch_index), (2, new.batch_id, 7));
        assert_eq!(
            (found.user, found.role, found.silent, found.oversized),
            (who.user, who.role, true, false)
        );
    }
    assert_eq!((stored.ip, stored.user_agent, stored.origin), (who.ip, who.user_agent, who.origin));
    assert!(log.get(positions[0] + 1).await.unwrap().is_none());
}

#[tokio::test]
async fn long_lists_keep_their_order() {
    let (_database, db) = open().await;
    let events: Vec<_> = (0..2500).map(|number| event(&number.to_string(), 1)).collect();
    let mut connection = db.acquire().await.unwrap();
    let positions = append(&mut connection, &events).await.unwrap();
    assert!(positions.is_sorted() && positions.len() == 2500);
    let mut keys = Vec::new();
    let log = Log::new(db.clone());
    while let page @ [_, ..] = log.read(keys.len() as i64, 1000).await.unwrap().as_slice() {
        keys.extend(page.iter().map(|event| event.key.clone()));
    }
    assert!(keys.iter().enumerate().all(|(number, key)| *key == number.to_string()));
    assert_eq!(append(&mut connection, &[]).await.unwrap(), Vec::<i64>::new());
}

#[tokio::test]
async fn versions_go_on_after_deletion() {
    let (_database, db) = open().await;
    let mut connection = db.acquire().await.unwrap();
    assert_eq!(heads::created(&mut connection, "c", "given").await.unwrap(), 1);
    assert_eq!(heads::changed(&mut connection, "c", "given").await.unwrap(), 2);
    assert_eq!(heads::created(&mut connection, "c", "given").await.unwrap(), 3);
    assert_eq!(heads::changed(&mut connection, "c", "without a head").await.unwrap(), 2);
}

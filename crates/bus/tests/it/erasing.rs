//! Messages that the log no longer stands behind leave the stream, and nothing else does.

use bus::{Bus, Config, Marks, Publisher, Resume, erasing, topology};
use model::Event;
use serde_json::value::RawValue;
use testkit::Nats;
use uuid::Uuid;

use crate::world::Log;

const EPOCH: Uuid = Uuid::from_u128(1);

/// Events with holes in their positions and a word in their payload.
fn events(count: i64) -> Vec<Event> {
    let log = Log::default();
    log.fill(usize::try_from(count).unwrap(), 10);
    let mut events = log.all().clone();
    for (event, number) in events.iter_mut().zip(1_i64..) {
        event.position = number * 3 + number % 2;
        event.payload = RawValue::from_string(format!("{{\"word\": \"secret-{number}\"}}")).ok();
    }
    events
}

async fn published(nats: &Nats, events: &[Event]) -> (Bus, Marks) {
    let bus = Bus::connect(&Config::new(nats.url()), "test").await.unwrap();
    let mut publisher = Publisher::new(bus.clone(), EPOCH);
    publisher.resume(Marks::default()).await.unwrap();
    let published = publisher.publish(events).await;
    assert!(published.error.is_none(), "{:?}", published.error);
    (bus, published.marks.unwrap())
}

/// Positions and texts of all messages.
async fn held(bus: &Bus) -> Vec<(i64, String)> {
    let stream = bus.jetstream().get_stream("EVENTS").await.unwrap();
    let state = stream.cached_info().state.clone();
    let mut held = Vec::new();
    for sequence in state.first_sequence..=state.last_sequence {
        if let Ok(message) = stream.get_raw_message(sequence).await {
            let position = bus::envelope::place(&message.headers).unwrap().position;
            held.push((position, String::from_utf8(message.payload.to_vec()).unwrap()));
        }
    }
    held
}

fn without_words(event: &Event) -> Event {
    let payload = RawValue::from_string("{\"word\": null}".to_owned()).ok();
    Event { payload, erased: Some(vec!["word".to_owned()]), ..event.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_messages_that_say_anything_else_go() {
    let nats = Nats::start().await;
    let all = events(400);
    let (bus, marks) = published(&nats, &all).await;
    // Erased, unchanged, not in the stream, and the last one, on which the chain hangs.
    let mut asked: Vec<Event> =
        [0, 1, 2, 150, 299, 399].map(|index: usize| without_words(&all[index])).into();
    asked.insert(3, all[70].clone());
    asked.insert(4, Event { position: all[71].position + 1, ..without_words(&all[71]) });
    let erased = erasing::erase(&bus, &asked).await.unwrap();
    assert_eq!(erased.messages, 5);
    let settled: Vec<i64> = asked[..7].iter().map(|event| event.position).collect();
    assert_eq!(erased.settled, settled);
    let held = held(&bus).await;
    assert_eq!(held.len(), 395);
    for gone in [1, 2, 3, 151, 300] {
        assert!(!held.iter().any(|(_, text)| text.contains(&format!("\"secret-{gone}\""))), "{gone}");
    }
    assert!(held.iter().any(|(_, text)| text.contains("\"secret-71\"")));
    // Asked again, there is nothing more to do; the chain goes on behind the last message, which can go then.
    assert_eq!(erasing::erase(&bus, &asked).await.unwrap().messages, 0);
    let mut next = Publisher::new(bus.clone(), EPOCH);
    let resume = next.resume(marks).await.unwrap();
    assert!(matches!(resume, Resume::Behind { position, .. } if position == all[399].position), "{resume:?}");
    let more = [Event { position: 5000, id: Uuid::from_u128(77), ..all[0].clone() }];
    assert!(next.publish(&more).await.error.is_none());
    let erased = erasing::erase(&bus, &asked[7..]).await.unwrap();
    assert_eq!((erased.messages, erased.settled), (1, vec![all[399].position]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_denies_deletion_is_emptied_up_to_the_event() {
    let nats = Nats::start().await;
    let bus = Bus::connect(&Config::new(nats.url()), "maker").await.unwrap();
    let old = async_nats::jetstream::stream::Config { deny_delete: true, ..topology::stream(bus.config()) };
    bus.jetstream().create_stream(old).await.unwrap();
    let all = events(50);
    let (bus, _) = published(&nats, &all).await;
    let erased = erasing::erase(&bus, &[without_words(&all[3]), without_words(&all[9])]).await.unwrap();
    assert_eq!(erased.messages, 2);
    let held = held(&bus).await;
    assert_eq!(held.first().map(|(position, _)| *position), Some(all[10].position));
    assert_eq!(held.len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_go_at_once_up_to_the_last_of_them() {
    let nats = Nats::start().await;
    let all = events(50);
    let (bus, _) = published(&nats, &all).await;
    // Also a position that no message has.
    assert_eq!(erasing::empty(&bus, all[20].position + 1).await.unwrap(), all[20].position + 1);
    assert_eq!(held(&bus).await.len(), 29);
    assert_eq!(erasing::empty(&bus, all[20].position).await.unwrap(), all[20].position);
    assert_eq!(held(&bus).await.len(), 29);
    // The last message stays.
    assert_eq!(erasing::empty(&bus, 9_999).await.unwrap(), all[49].position - 1);
    assert_eq!(held(&bus).await.len(), 1);
}

//! What is taken from the broker and what from the log.

use super::super::delivery::Token;
use super::super::lanes::tests::event;
use super::*;

fn delivery(position: i64, consumer_sequence: u64, deliveries: u64) -> Delivery {
    let stream_sequence = position.unsigned_abs();
    let token = Token { reply: "r".into(), stream_sequence, consumer_sequence, deliveries };
    Delivery { event: event(position, "k"), token, pin: None }
}

fn takes(feed: &mut Feed, frontier: i64) -> i64 {
    match feed.step(frontier, Instant::now()) {
        Step::Take(delivery) => delivery.event.position,
        other => panic!("{other:?}"),
    }
}

fn marked() -> Feed {
    let mut feed = Feed::default();
    feed.want_mark();
    assert!(matches!(feed.step(0, Instant::now()), Step::AskMark));
    feed.marked();
    feed
}

#[test]
fn the_first_delivery_asks_for_mark_and_log_and_the_next_ones_for_nothing() {
    let mut feed = Feed::default();
    let now = Instant::now();
    assert!(matches!(feed.step(0, now), Step::Wait));
    feed.push(delivery(10, 5, 1));
    feed.push(delivery(11, 6, 1));
    assert!(matches!(feed.step(0, now), Step::AskMark));
    assert!(matches!(feed.step(0, now), Step::Wait), "it is being asked");
    feed.marked();
    assert!(matches!(feed.step(7, now), Step::AskLog));
    feed.read(true);
    assert_eq!(takes(&mut feed, 9), 10);
    assert_eq!(takes(&mut feed, 10), 11);
    assert!(feed.is_quiet());
}

#[test]
fn a_missing_delivery_is_looked_for_in_the_log() {
    let mut feed = marked();
    feed.push(delivery(1, 1, 1));
    assert!(matches!(feed.step(0, Instant::now()), Step::AskLog));
    feed.read(true);
    assert_eq!(takes(&mut feed, 0), 1);
    feed.push(delivery(3, 3, 1));
    assert!(matches!(feed.step(1, Instant::now()), Step::AskLog));
    // A part that does not reach it is not enough.
    feed.read(false);
    assert!(matches!(feed.step(2, Instant::now()), Step::AskLog));
    feed.read(false);
    assert_eq!(takes(&mut feed, 3), 3);
    feed.push(delivery(4, 4, 1));
    assert_eq!(takes(&mut feed, 3), 4);
}

#[test]
fn behind_a_redelivery_others_may_be_missing() {
    let mut feed = marked();
    feed.push(delivery(5, 9, 2));
    assert!(matches!(feed.step(4, Instant::now()), Step::AskLog));
    feed.read(true);
    assert_eq!(takes(&mut feed, 4), 5);
    feed.push(delivery(9, 10, 1));
    assert!(matches!(feed.step(5, Instant::now()), Step::AskLog), "6 to 8 may have gone astray");
}

#[test]
fn what_is_known_needs_no_log() {
    let mut feed = marked();
    feed.push(delivery(3, 9, 2));
    assert_eq!(takes(&mut feed, 5), 3);
    feed.push(delivery(5, 10, 1));
    assert_eq!(takes(&mut feed, 5), 5);
    feed.push(delivery(6, 11, 1));
    assert_eq!(takes(&mut feed, 5), 6, "in step again");
}

#[test]
fn near_the_edge_of_expiry_every_gap_is_looked_up() {
    let mut feed = marked();
    feed.push(delivery(1, 1, 1));
    assert_eq!(takes(&mut feed, 1), 1);
    feed.near_edge = true;
    feed.push(delivery(9, 2, 1));
    assert!(matches!(feed.step(1, Instant::now()), Step::AskLog));
}

#[test]
fn a_delivery_that_the_log_does_not_hold_keeps_its_place() {
    let mut feed = marked();
    feed.push(delivery(5, 1, 1));
    assert!(matches!(feed.step(0, Instant::now()), Step::AskLog));
    assert!(feed.overtaken(0, 4).is_none());
    assert!(feed.overtaken(0, 5).is_none(), "the log holds it");
    assert_eq!(feed.overtaken(4, 6).unwrap().event.position, 5);
    assert!(feed.overtaken(4, 7).is_none());
}

#[test]
fn a_ledger_that_does_not_answer_is_asked_again_later() {
    let mut feed = Feed::default();
    let now = Instant::now();
    feed.push(delivery(1, 1, 1));
    assert!(matches!(feed.step(0, now), Step::AskMark));
    feed.failed(now, Duration::from_secs(1));
    assert!(matches!(feed.step(0, now), Step::Wait));
    let due = feed.next_due().unwrap();
    assert!(matches!(feed.step(0, due), Step::AskMark));
}

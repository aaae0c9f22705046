//! Order within an item, freedom between items.

use super::*;

pub(in crate::consumer) fn event(position: i64, key: &str) -> Event {
    Event { key: key.to_owned(), ..testkit::event(position) }
}

fn positions(batch: &Batch) -> Vec<i64> {
    batch.events.iter().map(|event| event.position).collect()
}

fn worked(slot: Slot) -> Worked {
    Worked { slot, finished: Vec::new(), buried: Vec::new(), troubled: Vec::new(), left: Vec::new() }
}

fn second(_: u32) -> Duration {
    Duration::from_secs(1)
}

#[test]
fn a_busy_lane_gathers_a_batch() {
    let now = Instant::now();
    let mut lanes = Lanes::new(1, 3);
    lanes.add(event(1, "x"));
    let first = lanes.start(now);
    assert_eq!(positions(&first[0]), [1]);
    for position in 2..=5 {
        lanes.add(event(position, "y"));
    }
    assert!(lanes.start(now).is_empty());
    lanes.done(worked(Slot::Lane(0)), now, second);
    assert_eq!(positions(&lanes.start(now)[0]), [2, 3, 4]);
}

#[test]
fn an_item_keeps_to_one_lane() {
    let now = Instant::now();
    let mut lanes = Lanes::new(8, 100);
    for position in 0..100 {
        lanes.add(event(position, &format!("k{}", position % 10)));
    }
    let batches = lanes.start(now);
    assert!(batches.len() > 1);
    for key in 0..10 {
        let key = format!("k{key}");
        assert_eq!(batches.iter().filter(|b| b.events.iter().any(|event| event.key == key)).count(), 1);
    }
}

#[test]
fn only_the_item_in_trouble_waits() {
    let now = Instant::now();
    let mut lanes = Lanes::new(1, 2);
    for (position, key) in [(1, "bad"), (2, "good"), (3, "bad"), (4, "good")] {
        lanes.add(event(position, key));
    }
    let batch = lanes.start(now).remove(0);
    lanes.done(Worked { troubled: vec![(batch.events[0].clone(), 1)], ..worked(batch.slot) }, now, second);
    lanes.add(event(5, "bad"));
    lanes.add(event(6, "good"));
    assert_eq!(positions(&lanes.start(now)[0]), [4, 6]);

    let due = lanes.next_due().unwrap();
    assert_eq!(due, now + Duration::from_secs(1));
    let retry = lanes.start(due).remove(0);
    assert_eq!((positions(&retry), retry.attempts), (vec![1], 1));
    assert!(lanes.start(due).is_empty(), "it is being tried");
    lanes.done(worked(retry.slot), due, second);
    lanes.done(worked(Slot::Lane(0)), due, second);
    assert_eq!(positions(&lanes.start(due)[0]), [3, 5]);
    assert_eq!(lanes.next_due(), None);
}

#[test]
fn what_waits_behind_trouble_in_the_same_batch_stays_behind_it() {
    let now = Instant::now();
    let mut lanes = Lanes::new(1, 10);
    for position in 1..=3 {
        lanes.add(event(position, "bad"));
    }
    let batch = lanes.start(now).remove(0);
    let troubled = batch.events.into_iter().zip([1, 0, 0]).collect();
    lanes.add(event(4, "bad"));
    lanes.done(Worked { troubled, ..worked(batch.slot) }, now, second);
    let later = now + Duration::from_secs(1);
    let retry = lanes.start(later).remove(0);
    assert_eq!(positions(&retry), [1]);
    lanes.done(worked(retry.slot), later, second);
    assert_eq!(positions(&lanes.start(later)[0]), [2, 3, 4]);
}

#[test]
fn a_lane_rests_longer_and_longer_while_nothing_can_be_done() {
    let mut now = Instant::now();
    let mut lanes = Lanes::new(1, 10);
    lanes.add(event(1, "x"));
    let mut rests = Vec::new();
    for _ in 0..7 {
        let batch = lanes.start(now).remove(0);
        lanes.done(Worked { left: batch.events, ..worked(batch.slot) }, now, second);
        assert!(lanes.start(now).is_empty());
        let due = lanes.next_due().unwrap();
        rests.push((due - now).as_millis());
        now = due;
        lanes.stir_due(now);
    }
    assert_eq!(rests, [100, 200, 400, 800, 1600, 2000, 2000]);
    let batch = lanes.start(now).remove(0);
    lanes.done(worked(batch.slot), now, second);
    assert_eq!(lanes.next_due(), None);
}

#[test]
fn what_waits_can_be_dropped_and_what_runs_comes_back() {
    let now = Instant::now();
    let mut lanes = Lanes::new(1, 1);
    for position in 1..=3 {
        lanes.add(event(position, "x"));
    }
    let batch = lanes.start(now).remove(0);
    let mut dropped = lanes.drop_waiting();
    dropped.sort_unstable();
    assert_eq!(dropped, [2, 3]);
    lanes.done(Worked { troubled: vec![(batch.events[0].clone(), 1)], ..worked(batch.slot) }, now, second);
    assert_eq!(lanes.drop_waiting(), [1]);
    assert_eq!(lanes.next_due(), None);
}

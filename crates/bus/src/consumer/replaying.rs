//! Replays: events that an operator gives to this consumer once more, page by page, beside the live ones.
//!
//! They come from the log, in order, and go through the same handler and the same attempts down to the dead letter. Of all
//! replicas one works on a replay; what it has not written down when it dies is done again by another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use model::{Event, Ledger, LedgerError, Replay, ReplayKind, ReplayStep};

use super::lanes::{Batch, Slot};
use super::work::{Work, failure_text};
use super::{Failure, Handler};

/// How often it is looked whether there is one.
const LOOK: Duration = Duration::from_millis(500);

/// How often the database hears that one is still worked on.
const HOLD: Duration = Duration::from_secs(3);

/// How long a rebuild waits for what is away.
const AWAY: Duration = Duration::from_secs(2);

/// Works on replays until the soft stop.
pub(super) async fn run<L: Ledger, H: Handler>(work: Arc<Work<L, H>>, shutdown: chassis::Shutdown) {
    let soft = shutdown.soft();
    while tokio::time::timeout(LOOK, soft.cancelled()).await.is_err() {
        let replay = match work.ledger.next_replay().await {
            Ok(Some(replay)) => Arc::new(replay),
            Ok(None) => continue,
            Err(error) => {
                tracing::debug!(consumer = work.config.name, %error, "replays can't be looked for");
                continue;
            }
        };
        let (consumer, id, kind) = (&work.config.name, replay.id, replay.kind.as_str());
        tracing::info!(consumer, %id, kind, after = replay.done, upto = replay.upto, "a replay goes on");
        let ended = tokio::select! {
            () = soft.cancelled() => work.ledger.leave_replay(&replay).await,
            () = hold(&work, &replay) => {
                tracing::warn!(consumer, %id, "the replay was cancelled, or is another process's now");
                Ok(())
            }
            ended = through(&work, &replay) => ended,
        };
        if let Err(error) = ended {
            tracing::warn!(consumer, %id, %error, "the replay is tried again later");
        }
    }
}

/// Says that we are at it, until it is not ours any more.
async fn hold<L: Ledger, H: Handler>(work: &Work<L, H>, replay: &Replay) {
    loop {
        tokio::time::sleep(HOLD).await;
        match work.ledger.hold_replay(replay).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::debug!(%error, "a replay can't be held"),
        }
    }
}

async fn through<L: Ledger, H: Handler>(
    work: &Arc<Work<L, H>>,
    replay: &Arc<Replay>,
) -> Result<(), LedgerError> {
    if replay.kind == ReplayKind::Rebuild {
        return rebuild(work, replay).await;
    }
    let mut at = Replay::clone(replay);
    while at.done < at.upto {
        let page = work.ledger.read_replay(&at).await?;
        let wanted = page.events.into_iter().filter(|event| work.config.wants(event)).collect();
        let (applied, buried) = attempt(work, replay, wanted).await;
        work.metrics.replayed.inc_by(applied.len() as u64);
        if page.reached > at.done {
            let step = ReplayStep { reached: page.reached, applied, buried };
            if !work.ledger.step_replay(&at, step).await? {
                return Ok(());
            }
            at.done = page.reached;
        }
        if page.waits {
            tokio::time::sleep(LOOK).await;
        }
    }
    tracing::info!(consumer = work.config.name, id = %replay.id, "the replay is done");
    work.ledger.end_replay(replay, Ok(None)).await
}

/// Gives events to the handler until each is applied or a dead letter; gives the positions of the one, and the number of the
/// others.
async fn attempt<L: Ledger, H: Handler>(
    work: &Arc<Work<L, H>>,
    replay: &Arc<Replay>,
    events: Vec<Event>,
) -> (Vec<i64>, u64) {
    let (mut applied, mut buried) = (Vec::new(), 0);
    let mut queue: VecDeque<(Vec<Event>, u32)> = VecDeque::new();
    queue.extend((!events.is_empty()).then_some((events, 0)));
    while let Some((events, attempts)) = queue.pop_front() {
        let batch = Batch { slot: Slot::Lane(0), events, attempts, replay: Some(Arc::clone(replay)) };
        let mut worked = Arc::clone(work).run(batch).await;
        buried += worked.buried.len() as u64;
        worked.finished.retain(|position| !worked.buried.contains(position));
        applied.append(&mut worked.finished);
        if worked.troubled.is_empty() && worked.left.is_empty() {
            continue;
        }
        // Those that were not tried stand behind those that were; a page has few items in trouble.
        let most = worked.troubled.iter().map(|(_, attempts)| *attempts).max().unwrap_or_default();
        queue.extend((!worked.left.is_empty()).then_some((worked.left, 0)));
        for (event, attempts) in worked.troubled.into_iter().rev() {
            queue.push_front((vec![event], attempts));
        }
        tokio::time::sleep(work.config.pause(most)).await;
    }
    (applied, buried)
}

async fn rebuild<L: Ledger, H: Handler>(
    work: &Arc<Work<L, H>>,
    replay: &Arc<Replay>,
) -> Result<(), LedgerError> {
    loop {
        match work.handler.rebuild(replay).await {
            Ok(result) => {
                tracing::info!(consumer = work.config.name, id = %replay.id, result, "the read model is rebuilt");
                return work.ledger.end_replay(replay, Ok(Some(result))).await;
            }
            Err(Failure::Unavailable(error)) => {
                tracing::warn!(consumer = work.config.name, %error, "the rebuild begins again later");
                tokio::time::sleep(AWAY).await;
            }
            Err(failure) => {
                let reason = failure_text(&failure);
                tracing::error!(consumer = work.config.name, id = %replay.id, reason, "the rebuild has failed");
                return work.ledger.end_replay(replay, Err(reason)).await;
            }
        }
    }
}

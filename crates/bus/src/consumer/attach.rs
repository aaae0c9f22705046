//! Finding or making the durable consumer, and looking at it and its stream from outside.

use async_nats::jetstream::consumer::pull::Config as PullConfig;
use async_nats::jetstream::consumer::{
    AckPolicy, Consumer, DeliverPolicy, FromConsumer as _, Info, PriorityPolicy, ReplayPolicy,
};
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use time::OffsetDateTime;

use super::{ConsumerConfig, source};
use crate::{Bus, Error, envelope, subject, topology};

/// How stream and consumer stand.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    /// When the consumer was made: another one has another time.
    pub created: OffsetDateTime,
    /// The stream's first message.
    pub first: Spot,
    /// The stream's last message.
    pub last: Spot,
    /// The last message that was ever delivered to anybody.
    pub delivered: Spot,
    /// Delivered, not acknowledged.
    pub ack_pending: u64,
    /// Not yet delivered.
    pub pending: u64,
    /// The active process.
    pub pinned: Option<String>,
    /// All copies of the stream are level, so what one says of the stream's end holds for all.
    pub level: bool,
}

/// A message of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub sequence: u64,
    /// Its position in the log; `None` when it is not there (any more).
    pub position: Option<i64>,
}

impl Sight {
    /// Events at or below this position will not come by themselves any more: they were delivered, or the
    /// stream has lost them.
    pub(super) fn known(&self) -> i64 {
        let before_first = self.first.position.map_or(0, |first| first - 1);
        before_first.max(self.delivered.position.unwrap_or(0))
    }
}

/// Makes stream and consumer if they are missing, brings the consumer's settings up to date, and gives the time
/// at which the consumer was made. A new one begins behind `low_water`.
pub(super) async fn attach(
    bus: &Bus,
    config: &ConsumerConfig,
    low_water: i64,
) -> Result<OffsetDateTime, Error> {
    topology::ensure_present(bus).await?;
    let stream = stream(bus).await?;
    let wanted = match info(&stream, &config.name).await? {
        Some(present) => {
            let policy = present.config.deliver_policy;
            let wanted = pull_config(bus, config, policy);
            let present_config = PullConfig::try_from_consumer_config(present.config.clone());
            let present_config =
                present_config.map_err(|error| Error::refused("reading the consumer", error))?;
            if same(&present_config, &wanted) {
                return Ok(present.created);
            }
            wanted
        }
        None => {
            let start_sequence = sequence_behind(&stream, low_water).await?;
            pull_config(bus, config, DeliverPolicy::ByStartSequence { start_sequence })
        }
    };
    let made: Consumer<PullConfig> =
        stream.create_consumer(wanted).await.map_err(|error| Error::refused("making the consumer", error))?;
    tracing::info!(consumer = config.name, "consumer made or changed");
    Ok(made.cached_info().created)
}

/// Looks at stream and consumer, a while after the look `before`; `None` when one of them is missing.
pub(super) async fn look(
    bus: &Bus,
    config: &ConsumerConfig,
    before: Option<Sight>,
) -> Result<Option<Sight>, Error> {
    // The stream first: what the consumer says afterwards is at least as new.
    let Some(stream) = topology::look(bus).await? else { return Ok(None) };
    let of_stream = stream.cached_info();
    let state = &of_stream.state;
    let replicas = of_stream.cluster.iter().flat_map(|cluster| &cluster.replicas);
    let level = replicas.fold(true, |level, peer| level && peer.current && peer.lag.unwrap_or(0) == 0);
    let mut known: Vec<Spot> =
        before.iter().flat_map(|sight| [sight.first, sight.last, sight.delivered]).collect();
    let mut found =
        [state.first_sequence, state.last_sequence, 0].map(|sequence| Spot { sequence, position: None });
    for spot in &mut found[..2] {
        spot.position =
            if state.messages > 0 { look_up(&stream, spot.sequence, &known).await? } else { None };
        known.push(*spot);
    }
    let Some(info) = info(&stream, &config.name).await? else { return Ok(None) };
    let [first, last, mut delivered] = found;
    delivered.sequence = info.delivered.stream_sequence;
    delivered.position = look_up(&stream, delivered.sequence, &known).await?;
    Ok(Some(Sight {
        created: info.created,
        first,
        last,
        delivered,
        ack_pending: info.num_ack_pending as u64,
        pending: info.num_pending,
        pinned: pinned(info),
        level,
    }))
}

/// Position of a message, from what is known or from the server.
async fn look_up(stream: &Stream, sequence: u64, known: &[Spot]) -> Result<Option<i64>, Error> {
    if sequence == 0 {
        return Ok(None);
    }
    match known.iter().find(|spot| spot.sequence == sequence && spot.position.is_some()) {
        Some(spot) => Ok(spot.position),
        None => position(stream, sequence).await,
    }
}

/// Lets a stand-by take over at once, if the consumer is still pinned to us.
pub(super) async fn unpin(bus: &Bus, config: &ConsumerConfig, pin: &str) -> Result<(), Error> {
    bus.require()?;
    let name = topology::stream_name(&bus.config().prefix);
    let stream = bus.jetstream().get_stream_no_info(name).await;
    let stream = stream.map_err(|error| Error::refused("handing over", error))?;
    let info = info(&stream, &config.name).await?;
    if info.and_then(pinned).is_some_and(|pinned| pinned == pin) {
        let unpinned = stream.unpin_consumer(&config.name, source::GROUP).await;
        unpinned.map_err(|error| Error::refused("handing over", error))?;
    }
    Ok(())
}

/// The active process's pin.
fn pinned(info: Info) -> Option<String> {
    let group = info.priority_groups.into_iter().find(|state| state.group == source::GROUP)?;
    group.pinned_client_id.filter(|pin| !pin.is_empty())
}

async fn stream(bus: &Bus) -> Result<Stream, Error> {
    let stream = topology::look(bus).await?;
    stream.ok_or_else(|| Error::Unavailable("the stream has just been deleted".to_owned()))
}

async fn info<I>(stream: &Stream<I>, name: &str) -> Result<Option<Info>, Error> {
    match stream.consumer_info(name).await {
        Ok(info) => Ok(Some(info)),
        Err(error) => match error.kind() {
            ConsumerInfoErrorKind::NotFound | ConsumerInfoErrorKind::StreamNotFound => Ok(None),
            ConsumerInfoErrorKind::JetStream(_) | ConsumerInfoErrorKind::InvalidName => {
                Err(Error::refused("reading the consumer", error))
            }
            _ => Err(Error::Unavailable(error.to_string())),
        },
    }
}

/// Position of a stored message; `None` when it is gone, or not ours.
async fn position(stream: &Stream, sequence: u64) -> Result<Option<i64>, Error> {
    match stream.get_raw_message(sequence).await {
        Ok(message) => Ok(envelope::place(&message.headers).ok().map(|place| place.position)),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(Error::Unavailable(error.to_string())),
    }
}

/// Sequence of the first message behind this position: positions grow with sequences, so halves are enough.
async fn sequence_behind(stream: &Stream, low_water: i64) -> Result<u64, Error> {
    let state = &stream.cached_info().state;
    let (mut low, mut high) = (state.first_sequence.max(1), state.last_sequence + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match position(stream, middle).await? {
            Some(position) if position > low_water => high = middle,
            _ => low = middle + 1,
        }
    }
    Ok(low)
}

fn pull_config(bus: &Bus, config: &ConsumerConfig, deliver_policy: DeliverPolicy) -> PullConfig {
    let prefix = &bus.config().prefix;
    let filters = config.filter_subjects.iter().map(|pattern| subject::prefixed(prefix, pattern));
    PullConfig {
        durable_name: Some(config.name.clone()),
        name: Some(config.name.clone()),
        deliver_policy,
        ack_policy: AckPolicy::Explicit,
        ack_wait: config.ack_wait,
        // Attempts are counted by us: a redelivery is no attempt.
        max_deliver: -1,
        filter_subjects: filters.collect(),
        replay_policy: ReplayPolicy::Instant,
        max_ack_pending: i64::try_from(config.max_in_flight).unwrap_or(i64::MAX),
        priority_policy: PriorityPolicy::PinnedClient,
        priority_groups: vec![source::GROUP.to_owned()],
        priority_timeout: config.takeover,
        ..PullConfig::default()
    }
}

/// Whether what may change is equal. The server fills in what we leave open, so not all of it is compared.
fn same(present: &PullConfig, wanted: &PullConfig) -> bool {
    // A single filter comes back in the other field.
    let filters = |config: &PullConfig| {
        let mut filters = config.filter_subjects.clone();
        filters.extend((!config.filter_subject.is_empty()).then(|| config.filter_subject.clone()));
        filters.sort();
        filters
    };
    filters(present) == filters(wanted)
        && present.ack_wait == wanted.ack_wait
        && present.max_ack_pending == wanted.max_ack_pending
        && present.priority_groups == wanted.priority_groups
        && present.priority_timeout == wanted.priority_timeout
}

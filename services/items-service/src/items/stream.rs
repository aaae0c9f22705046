//! Streaming: the items of a list one by one, from one snapshot, as fast as they are read.
//!
//! PostgreSQL sends rows only as they are taken from the connection, they are taken only as the reader takes messages.
//! Nothing but one part is held here, and a reader who stops reading does not hold the snapshot for ever.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use chassis::Tasks;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use model::Error;
use planner::{Statement, StreamPlan};
use proto::items::v1 as pb;
use proto::items::v1::stream_items_response::Part;
use rpc::Caller;
use sqlx::{PgConnection, Row as _};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tonic::Status;
use tracing::Instrument as _;

use super::moment;
use super::read::{self, Wanted};
use super::write::Tries;
use crate::execute;
use crate::failure::Failure;
use crate::state::State;

/// Bytes of items that are sent together.
const PART: usize = 32 * 1024;
/// Parts that wait for the reader.
const BUFFER: usize = 2;
/// How long a stream waits until there is a place for it.
const PLACE: Duration = Duration::from_secs(10);

/// What a call is answered with.
pub type Parts = Pin<Box<dyn Stream<Item = Result<pb::StreamItemsResponse, Status>> + Send>>;

type Sender = mpsc::Sender<Result<pb::StreamItemsResponse, Status>>;
type Receiver = mpsc::Receiver<Result<pb::StreamItemsResponse, Status>>;

/// The streams of this process.
#[derive(Clone)]
pub struct Streams {
    tasks: Tasks,
    /// Half of the connections: a stream may hold its own for long.
    places: Arc<Semaphore>,
    /// How long one may take.
    longest: Duration,
    /// How long its reader may read nothing.
    patience: Duration,
}

impl Streams {
    /// None yet.
    pub fn new(db: &db::Db, tasks: Tasks, longest: Duration, patience: Duration) -> Self {
        let places = usize::try_from(db.max_connections() / 2).unwrap_or(1).max(1);
        Self { tasks, places: Arc::new(Semaphore::new(places)), longest, patience }
    }

    /// Begins one. What is refused, or fails before the first item, is an error of the call itself.
    pub async fn begin(
        &self,
        state: &State,
        caller: &Caller,
        request: pb::StreamItemsRequest,
    ) -> Result<Parts, Status> {
        let place = timeout(PLACE, Arc::clone(&self.places).acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(rpc::status(Error::unavailable("items").into())) };
        let request_read = request.read.unwrap_or_default();
        let query = read::query(&request_read.query).map_err(|error| rpc::status(error.into()))?;
        let (sender, receiver) = mpsc::channel(BUFFER);
        let whole = Arc::new(OnceLock::new());
        let reader = Reader {
            state: state.clone(),
            caller: caller.clone(),
            wanted: Wanted { collection: request_read.collection, query, keys: request_read.keys },
            rehearse: request.rehearse,
            streams: self.clone(),
            head: None,
            sender,
            whole: Arc::clone(&whole),
        };
        let work = async move {
            reader.run().await;
            drop(place);
        };
        self.tasks.detach(work.in_current_span());
        let mut parts = Box::pin(to_the_end(receiver, whole));
        let first = parts.next().await.transpose()?;
        Ok(Box::pin(stream::iter(first.map(Ok)).chain(parts)))
    }
}

/// What is received. However its sender ended, by a stop, a panic or for want of patience: without the word that this
/// was the whole there is an error at the end.
fn to_the_end(
    receiver: Receiver,
    whole: Arc<OnceLock<()>>,
) -> impl Stream<Item = Result<pb::StreamItemsResponse, Status>> + Send {
    stream::unfold(Some(receiver), move |receiver| {
        let whole = Arc::clone(&whole);
        async move {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Some(Err(status)) => Some((Err(status), None)),
                Some(part) => Some((part, Some(receiver))),
                None if whole.get().is_some() => None,
                None => Some((Err(rpc::status(Error::unavailable("items").into())), None)),
            }
        }
    })
}

/// Why a stream ended early.
enum Broken {
    Failed(Failure),
    /// The reader read nothing for too long, or is gone.
    Unread,
}

impl<E: Into<Failure>> From<E> for Broken {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Reads for one stream.
struct Reader {
    state: State,
    caller: Caller,
    wanted: Wanted,
    rehearse: bool,
    streams: Streams,
    /// Waits for the first item: until then everything can be tried again, or refused.
    head: Option<pb::StreamHead>,
    sender: Sender,
    /// Said when everything was sent.
    whole: Arc<OnceLock<()>>,
}

impl Reader {
    async fn run(mut self) {
        let sender = self.sender.clone();
        let ended = tokio::select! {
            biased;
            () = sender.closed() => return,
            ended = self.read() => ended,
        };
        match ended {
            // Said before the sender is gone.
            Ok(()) => drop(self.whole.set(())),
            // Who has no room for it misses the word that it was the whole.
            Err(status) => drop(sender.try_send(Err(status))),
        }
    }

    async fn read(&mut self) -> Result<(), Status> {
        let mut tries = Tries::default();
        loop {
            let failure = match self.attempt().await {
                Ok(()) => return Ok(()),
                Err(Broken::Unread) => return Err(Status::cancelled("nothing was read for too long")),
                Err(Broken::Failed(failure)) => failure,
            };
            let collection = &self.wanted.collection;
            if self.head.is_none() {
                let errors = tries.after(failure, &self.state, collection).await;
                errors.map_err(|errors| rpc::status(read::of_the_query(errors)))?;
                continue;
            }
            return Err(rpc::status(match failure {
                Failure::Refused(errors) => errors,
                Failure::Sql(error) => self.state.failure(&error, collection),
            }));
        }
    }

    /// Plans and reads once. `self.head` is there as soon as something was sent.
    async fn attempt(&mut self) -> Result<(), Broken> {
        let plan = self.plan().await?;
        let Streams { longest, patience, .. } = self.streams;
        let mut reading = self.state.db.read(longest, patience * 2).await?;
        let mut head = pb::StreamHead {
            single: plan.single,
            rehearsed: self.rehearse && !plan.uniform && !plan.single,
            ..pb::StreamHead::default()
        };
        if let Some(counts) = &plan.counts {
            let rows = execute::rows(&mut reading, counts).await?;
            let row = rows.first().ok_or_else(Error::internal)?;
            let meta = self.wanted.query.meta;
            head.total_count = read::count(row, meta.total_count, "total_count")?;
            head.filter_count = read::count(row, meta.filter_count, "filter_count")?;
        }
        if let Some(estimate) = &plan.estimate {
            head.filter_count_estimate = Some(read::expected(&execute::rows(&mut reading, estimate).await?)?);
        }
        if head.rehearsed {
            self.pass(&mut reading, &plan.items, head, Part::Rehearsal).await?;
        }
        self.pass(&mut reading, &plan.items, head, Part::Items).await?;
        Ok(reading.end().await?)
    }

    async fn plan(&self) -> Result<StreamPlan, Failure> {
        let asking = self.state.asking(&self.caller).await?;
        let snapshot = self.state.snapshots.present();
        let collection = snapshot.collection(&self.wanted.collection)?;
        let reader = read::bounds(asking.reader(&snapshot), collection);
        let query = self.wanted.query(collection)?;
        let past = moment::schema(&self.state, &snapshot, &query).await?;
        let (collection, reader) = moment::within(past.as_ref(), collection, reader)?;
        Ok(planner::plan_stream(&query, collection, reader)?)
    }

    /// Sends all items once.
    async fn pass(
        &mut self,
        conn: &mut PgConnection,
        statement: &Statement,
        head: pb::StreamHead,
        part: fn(pb::StreamedItems) -> Part,
    ) -> Result<(), Broken> {
        let work = async {
            let (mut items, mut bytes, mut count) = (Vec::new(), 0, 0);
            let mut rows = execute::row_by_row(conn, statement);
            while let Some(row) = rows.try_next().await? {
                let item = Bytes::from(row.try_get::<String, _>("item")?);
                bytes += item.len();
                count += 1;
                items.push(item);
                if bytes >= PART {
                    self.send(head, part(pb::StreamedItems { items: std::mem::take(&mut items) })).await?;
                    bytes = 0;
                }
            }
            self.send(head, part(pb::StreamedItems { items })).await?;
            Ok::<usize, Broken>(count)
        };
        execute::observed(statement.name, work, |count| Some(*count)).await.map(|_| ())
    }

    /// Sends a part, and the head before the first one.
    async fn send(&mut self, head: pb::StreamHead, part: Part) -> Result<(), Broken> {
        if self.head.replace(head).is_none() {
            self.give(Part::Head(head)).await?;
        }
        self.give(part).await
    }

    async fn give(&self, part: Part) -> Result<(), Broken> {
        let message = pb::StreamItemsResponse { part: Some(part) };
        match timeout(self.streams.patience, self.sender.send(Ok(message))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Broken::Unread),
        }
    }
}

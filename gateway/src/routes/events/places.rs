//! Places for event streams: so many for all, so many for each, and connections to the items service of their own, so that
//! streams don't take the places of other calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::{Error, ErrorCode};
use proto::events::v1::events_service_client::EventsServiceClient;
use rpc::{CALLS_AT_A_TIME, Channel, MAX_MESSAGE};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::caller::Caller;

/// Streams on one connection: the server takes more, but not many.
const TOGETHER: usize = CALLS_AT_A_TIME as usize / 2;

/// See the module.
#[derive(Debug)]
pub struct Streams {
    all: Arc<Semaphore>,
    each: usize,
    taken: Arc<Mutex<HashMap<String, usize>>>,
    items: Channel,
    ways: Mutex<Vec<Way>>,
}

#[derive(Debug)]
struct Way {
    channel: Channel,
    /// One more than the streams on it.
    used: Arc<()>,
}

/// One stream's place, given back when dropped.
pub struct Place {
    /// The way to the events.
    pub channel: Channel,
    _used: Arc<()>,
    _all: OwnedSemaphorePermit,
    _each: Option<Each>,
}

struct Each {
    taken: Arc<Mutex<HashMap<String, usize>>>,
    who: String,
}

impl Drop for Each {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.who);
            }
        }
    }
}

impl Place {
    /// The client of its way.
    pub fn events(&self) -> EventsServiceClient<Channel> {
        EventsServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE)
    }
}

impl Streams {
    /// So many places at all and for each who is no administrator.
    pub fn new(items: Channel, all: usize, each: usize) -> Self {
        let all = Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS)));
        Self { all, each, taken: Arc::default(), items, ways: Mutex::default() }
    }

    /// A place for one more stream of this caller.
    ///
    /// # Errors
    /// SERVICE_UNAVAILABLE: all are taken. REQUESTS_EXCEEDED: his are.
    pub fn take(&self, caller: &Caller) -> Result<Place, Error> {
        let each = if caller.accountability.admin { None } else { Some(self.of(caller)?) };
        let all = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Error::unavailable("events"))?;
        let (channel, used) = self.way();
        Ok(Place { channel, _used: used, _all: all, _each: each })
    }

    fn of(&self, caller: &Caller) -> Result<Each, Error> {
        let who = &caller.accountability;
        let who = match (who.user, &who.ip) {
            (Some(user), _) => user.to_string(),
            (None, address) => limits::of_address(address.as_deref().unwrap_or_default()),
        };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(who.clone()).or_default();
        if *count >= self.each {
            let mut error = Error::new(ErrorCode::RequestsExceeded)
                .with_message(format!("More than {} event streams at a time.", self.each));
            error.retry_after = Some(1);
            return Err(error);
        }
        *count += 1;
        Ok(Each { taken: Arc::clone(&self.taken), who })
    }

    /// A connection with room; those that nobody uses any more are closed.
    fn way(&self) -> (Channel, Arc<()>) {
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        ways.retain(|way| Arc::strong_count(&way.used) > 1);
        if let Some(way) = ways.iter().find(|way| Arc::strong_count(&way.used) <= TOGETHER) {
            return (way.channel.clone(), Arc::clone(&way.used));
        }
        let way = Way { channel: self.items.beside(), used: Arc::default() };
        let taken = (way.channel.clone(), Arc::clone(&way.used));
        ways.push(way);
        taken
    }
}

#[cfg(test)]
mod tests {
    use model::{Accountability, ErrorCode};
    use rpc::{Channel, LocalSlot};
    use uuid::Uuid;

    use super::{Streams, TOGETHER};
    use crate::caller::Caller;

    fn caller(user: Option<u128>, ip: &str, admin: bool) -> Caller {
        let (user, ip) = (user.map(Uuid::from_u128), Some(ip.to_owned()));
        let accountability = Accountability { user, ip, admin, ..Accountability::default() };
        Caller(rpc::Caller { accountability, ..rpc::Caller::default() })
    }

    #[test]
    fn nobody_takes_all_places() {
        let streams = Streams::new(Channel::local(&LocalSlot::new()), 6, 2);
        let ann = caller(Some(1), "10.0.0.1", false);
        let held: Vec<_> = (0..2).map(|_| streams.take(&ann).unwrap()).collect();
        let refused = streams.take(&ann).err().unwrap();
        assert_eq!((refused.code, refused.retry_after), (ErrorCode::RequestsExceeded, Some(1)));
        // Another address is somebody else only where nobody is logged in.
        assert!(streams.take(&caller(Some(1), "10.0.0.2", false)).is_err());
        let public: Vec<_> =
            (0..2).map(|_| streams.take(&caller(None, "10.0.0.1", false)).unwrap()).collect();
        assert!(streams.take(&caller(None, "10.0.0.1", false)).is_err());
        let root: Vec<_> =
            (0..2).map(|_| streams.take(&caller(Some(9), "10.0.0.1", true)).unwrap()).collect();
        let full = streams.take(&caller(Some(9), "10.0.0.1", true)).err().unwrap();
        assert_eq!(full.code, ErrorCode::ServiceUnavailable);
        drop((held, root));
        assert!(streams.take(&ann).is_ok());
        drop(public);
        assert!(streams.taken.lock().unwrap().is_empty());
    }

    #[test]
    fn a_connection_has_so_many_streams() {
        let streams = Streams::new(Channel::local(&LocalSlot::new()), 4 * TOGETHER, 4 * TOGETHER);
        let ann = caller(Some(1), "", false);
        let mut held: Vec<_> = (0..=2 * TOGETHER).map(|_| streams.take(&ann).unwrap()).collect();
        assert_eq!(streams.ways.lock().unwrap().len(), 3);
        held.truncate(2);
        drop(streams.take(&ann).unwrap());
        assert_eq!(
            streams.ways.lock().unwrap().len(),
            1,
            "there was room, and those that were left are closed"
        );
        held.extend((0..TOGETHER).map(|_| streams.take(&ann).unwrap()));
        assert_eq!(streams.ways.lock().unwrap().len(), 2);
    }
}

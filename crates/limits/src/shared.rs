//! Buckets in Redis, for a whole fleet: one script per decision, in which nobody else comes between. A keeper holds
//! the connection; who asks never waits for one to be made.

use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, Script};
use tokio::sync::Notify;

use crate::key::Key;
use crate::memory::Outcome;
use crate::rate::{Mode, Rate};

/// How long an answer may take before the decision is made without Redis.
const ANSWER: Duration = Duration::from_millis(250);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(1);
/// Between two looks at the connection.
const PAUSE: Duration = Duration::from_millis(500);

/// `rate.rs` in Lua. KEYS are the buckets; ARGV the mode, then for each bucket the microseconds of a token and of all.
/// By the clock of Redis: those of the fleet may differ.
const DECIDE: &str = r"
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local mode = ARGV[1]
local allowed = 1
local backlogs = {}
for i, key in ipairs(KEYS) do
  local backlog = (tonumber(redis.call('GET', key)) or now) - now
  if backlog < 0 then backlog = 0 end
  backlogs[i] = backlog
  if backlog + ARGV[2 * i] > tonumber(ARGV[2 * i + 1]) then allowed = 0 end
end
if mode == 'charge' or (mode == 'take' and allowed == 1) then
  for i, key in ipairs(KEYS) do
    backlogs[i] = math.min(backlogs[i] + ARGV[2 * i], 2 * ARGV[2 * i + 1])
    redis.call('SET', key, string.format('%.0f', now + backlogs[i]), 'PX', math.ceil(backlogs[i] / 1000))
  end
end
if mode == 'charge' then allowed = 1 end
return {allowed, unpack(backlogs)}
";

/// The buckets of a fleet.
pub(crate) struct Shared {
    client: Client,
    prefix: String,
    script: Script,
    connection: ArcSwapOption<MultiplexedConnection>,
    lost: Notify,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Shared {
    /// Of this server; nothing is connected yet.
    pub(crate) fn new(client: Client, prefix: String) -> Self {
        let script = Script::new(DECIDE);
        Self { client, prefix, script, connection: ArcSwapOption::empty(), lost: Notify::new() }
    }

    /// As `Memory::decide`; `None` when Redis is away.
    pub(crate) async fn decide(&self, mode: Mode, buckets: &[(Key, Rate)]) -> Option<Outcome> {
        let mut connection = MultiplexedConnection::clone(&*self.connection.load_full()?);
        let mut call = self.script.prepare_invoke();
        call.arg(match mode {
            Mode::Take => "take",
            Mode::Look => "look",
            Mode::Charge => "charge",
        });
        for (key, rate) in buckets {
            call.key(format!("{}:limits:{}", self.prefix, key.hex())).arg(rate.interval()).arg(rate.span());
        }
        let answer = tokio::time::timeout(ANSWER, call.invoke_async::<Vec<i64>>(&mut connection)).await;
        match answer {
            Ok(Ok(numbers)) if numbers.len() == buckets.len() + 1 => {
                Some(Outcome { allowed: numbers[0] == 1, backlogs: numbers[1..].to_vec() })
            }
            Ok(Ok(_)) => None,
            Ok(Err(error)) => {
                self.lose(&error.to_string());
                None
            }
            Err(_) => {
                self.lose("no answer in time");
                None
            }
        }
    }

    fn lose(&self, why: &str) {
        if self.connection.swap(None).is_some() {
            tracing::warn!(why, "Redis is away: limits are kept in memory");
            self.lost.notify_one();
        }
    }

    /// Holds a connection for as long as it is polled.
    pub(crate) async fn keep(&self) -> std::convert::Infallible {
        loop {
            match self.connect().await {
                Ok(connection) => {
                    tracing::info!("limits are shared through Redis");
                    self.connection.store(Some(std::sync::Arc::new(connection.clone())));
                    self.watch(connection).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "no connection to Redis");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER));
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        redis::cmd("PING").query_async::<()>(&mut connection).await?;
        Ok(connection)
    }

    /// Returns when the connection is no good any more.
    async fn watch(&self, mut connection: MultiplexedConnection) {
        loop {
            if tokio::time::timeout(PAUSE, self.lost.notified()).await.is_ok() {
                return;
            }
            if let Err(error) = redis::cmd("PING").query_async::<()>(&mut connection).await {
                self.lose(&error.to_string());
            }
        }
    }
}

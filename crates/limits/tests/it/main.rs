//! Buckets of a fleet, on a real Redis: shared, atomic, kept in memory while it is away, shared again.

use std::sync::Arc;
use std::time::Duration;

use chassis::{Env, Runtime, Shutdown};
use limits::{Attempts, Bucket, Config, Key, Limiter, Mode, Rate, Sort, Tried, Verdict};
use model::SystemClock;
use testkit::{PATIENCE, Redis, eventually};

/// Slow enough that no token comes back during a test.
const FORTY: Rate = Rate { points: 40, duration: Duration::from_secs(36_000) };

struct Fleet {
    limiters: Vec<Arc<Limiter>>,
    runtime: Runtime,
}

fn config(redis: &Redis) -> Config {
    Config::from_env(&Env::from_pairs([("REDIS", redis.url())])).unwrap()
}

impl Fleet {
    async fn of(size: usize, redis: &Redis) -> Self {
        let runtime = Runtime::new(Shutdown::new());
        let limiters: Vec<_> = (0..size).map(|_| Arc::new(config(redis).limiter())).collect();
        for limiter in &limiters {
            let limiter = limiter.clone();
            runtime.tasks.detach(async move { match limiter.keep().await {} });
        }
        let fleet = Self { limiters, runtime };
        fleet.shared().await;
        fleet
    }

    /// Waits until every limiter counts with the others.
    async fn shared(&self) {
        let mark = || bucket("mark", Rate { points: 1_000_000, ..FORTY });
        for limiter in &self.limiters {
            eventually(PATIENCE, || async {
                let before = self.limiters[0].decide(Sort::Requests, Mode::Take, &[mark()]).await;
                let after = limiter.decide(Sort::Requests, Mode::Take, &[mark()]).await;
                let again = self.limiters[0].decide(Sort::Requests, Mode::Look, &[mark()]).await;
                before.remaining == after.remaining + 1 && again.remaining == after.remaining
            })
            .await;
        }
    }

    async fn take(&self, index: usize, bucket: Bucket) -> Verdict {
        self.limiters[index % self.limiters.len()].decide(Sort::Requests, Mode::Take, &[bucket]).await
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.runtime.shutdown.begin_hard();
    }
}

fn bucket(of: &str, rate: Rate) -> Bucket {
    Bucket { name: "ip", key: Key::new("test", of), rate }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_one_for_all_and_no_token_is_given_twice() {
    let redis = Redis::start().await;
    let fleet = Arc::new(Fleet::of(3, &redis).await);
    let mut given = 0;
    let mut tasks = Vec::new();
    for index in 0..200 {
        let fleet = fleet.clone();
        tasks.push(async move { fleet.take(index, bucket("a", FORTY)).await });
    }
    for verdict in futures_util::future::join_all(tasks).await {
        given += u32::from(verdict.allowed);
    }
    assert_eq!(given, 40);
    let refused = fleet.take(1, bucket("a", FORTY)).await;
    assert_eq!((refused.remaining, refused.allowed), (0, false));
    assert!(refused.wait > Duration::from_secs(800) && refused.wait <= Duration::from_secs(900));
    let both = [bucket("a", FORTY), bucket("b", FORTY)];
    assert!(!fleet.limiters[0].decide(Sort::Requests, Mode::Take, &both).await.allowed);
    assert_eq!(fleet.take(2, bucket("b", FORTY)).await.remaining, 39, "of none is taken when one refuses");
    // What stands in Redis is hashes, and ends by itself.
    let keys = redis.ask("KEYS *").await.unwrap();
    let names: Vec<&str> = keys.lines().filter(|line| line.starts_with("eventus")).collect();
    assert_eq!(names.len(), 3, "{keys}");
    for name in names {
        let hash = name.strip_prefix("eventus:limits:").unwrap();
        assert!(hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{name}");
        let ends = redis.ask(&format!("PTTL {name}")).await.unwrap();
        assert!(ends.starts_with(':') && !ends.starts_with(":-"), "{ends}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_come_back_by_the_clock_of_redis() {
    let redis = Redis::start().await;
    let fleet = Fleet::of(2, &redis).await;
    let quick = Rate { points: 2, duration: Duration::from_secs(1) };
    let begun = std::time::Instant::now();
    let mut given = 0;
    while given < 6 {
        let verdict = fleet.take(given as usize, bucket("a", quick)).await;
        given += u32::from(verdict.allowed);
        if !verdict.allowed {
            tokio::time::sleep(verdict.wait).await;
        }
    }
    // Two at once, then one each half a second.
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1_950) && took < Duration::from_secs(6), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_each_counts_for_itself_and_attempts_more_strictly() {
    let mut redis = Redis::start().await;
    let fleet = Fleet::of(2, &redis).await;
    for index in 0..40 {
        assert!(fleet.take(index, bucket("a", FORTY)).await.allowed);
    }
    assert!(!fleet.take(0, bucket("a", FORTY)).await.allowed);
    redis.kill9();
    // Ordinary requests go on, in each process up to its own count.
    for index in 0..80 {
        let begun = std::time::Instant::now();
        assert!(fleet.take(index, bucket("a", FORTY)).await.allowed, "{index}");
        assert!(begun.elapsed() < Duration::from_secs(1), "nobody waits for Redis");
    }
    assert!(!fleet.take(0, bucket("a", FORTY)).await.allowed);
    let attempts = |index: usize| {
        let limiter = fleet.limiters[index].clone();
        async move { limiter.decide(Sort::Attempts, Mode::Take, &[bucket("t", FORTY)]).await }
    };
    let mut given = 0;
    for _ in 0..40 {
        given += u32::from(attempts(0).await.allowed);
    }
    assert_eq!(given, 10, "a quarter");
    redis.restart().await;
    fleet.shared().await;
    for index in 0..40 {
        assert!(fleet.take(index, bucket("a", FORTY)).await.allowed);
    }
    assert!(!fleet.take(1, bucket("a", FORTY)).await.allowed);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_one_count_for_all() {
    let redis = Redis::start().await;
    let pairs = [("REDIS", redis.url()), ("EVENTUS_LOGIN_LIMITER_POINTS", "4".to_owned())];
    let config = Config::from_env(&Env::from_pairs(pairs)).unwrap();
    let fleet = [Arc::new(Attempts::new(&config)), Arc::new(Attempts::new(&config))];
    let runtime = Runtime::new(Shutdown::new());
    for attempts in &fleet {
        let attempts = attempts.clone();
        runtime.tasks.detach(async move { match attempts.keep().await {} });
    }
    // One counts, the other sees it.
    eventually(PATIENCE, || async {
        let account = "warm";
        if let Ok(attempt) = fleet[0].begin(Tried::Credentials, None, Some(account), &SystemClock).await {
            attempt.failed().await;
        }
        fleet[1].begin(Tried::Credentials, None, Some(account), &SystemClock).await.is_err()
    })
    .await;
    let mut made = 0;
    for index in 0..10 {
        if let Ok(attempt) =
            fleet[index % 2].begin(Tried::Credentials, Some("10.0.0.1"), Some("a"), &SystemClock).await
        {
            attempt.failed().await;
            made += 1;
        }
    }
    assert_eq!(made, 4);
    runtime.shutdown.begin_hard();
}

//! Those who write: ordinary writers with every bad habit, and one in a process of its own that is stopped between
//! append and commit.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{Connection as _, PgConnection};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Hot items that all writers fight for.
pub const ITEMS: u64 = 50;

/// Heads and events in one statement, as the planner writes it: updates of hot items, and creations that need no head.
/// The sort makes the difference between a moment and a queue: positions are taken when all heads are locked, not
/// while the next one is waited for.
const APPEND: &str = "
    WITH head AS (
        INSERT INTO eventus.heads AS head (collection, key, version) SELECT 'hot', key, 1 FROM unnest($1::text[]) key
        ON CONFLICT (collection, key) DO UPDATE SET version = head.version + 1 RETURNING key, version
    ), change AS (
        SELECT 'items.update' AS name, key, version FROM head
        UNION ALL SELECT 'items.create', gen_random_uuid()::text, 1 FROM generate_series(1, $2)
    )
    INSERT INTO eventus.events (id, name, collection, key, version, payload)
    SELECT gen_random_uuid(), name, 'hot', key, version, json_build_object('version', version) FROM change
    ORDER BY key";

/// A small generator, so that a run can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// Writes until there is enough: half of the writers take a transaction id early, commits are delayed by up to 30 ms,
/// 7 % are rolled back.
pub async fn write(db: db::Db, number: u64, count: Arc<AtomicUsize>, enough: Arc<AtomicBool>) {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ ((number + 1) << 20));
    while !enough.load(Ordering::SeqCst) {
        let mut transaction = db.begin().await.unwrap();
        if number.is_multiple_of(2) {
            let early = sqlx::query("INSERT INTO elsewhere VALUES ($1)").bind(number as i64);
            early.execute(&mut *transaction).await.unwrap();
        }
        // Sorted, as every statement takes its locks: no two writers lock each other up.
        let mut items: Vec<u64> = (0..=dice.roll(3)).map(|_| dice.roll(ITEMS)).collect();
        items.sort_unstable();
        items.dedup();
        let keys: Vec<String> = items.iter().map(|item| format!("{item:02}")).collect();
        let creations = dice.roll(6) as i32;
        let done = sqlx::query(APPEND).bind(&keys).bind(creations).execute(&mut *transaction).await.unwrap();
        if dice.roll(3) == 0 {
            tokio::time::sleep(Duration::from_millis(dice.roll(31))).await;
        }
        if dice.roll(100) < 7 {
            transaction.rollback().await.unwrap();
        } else {
            transaction.commit().await.unwrap();
            count.fetch_add(done.rows_affected() as usize, Ordering::SeqCst);
        }
    }
}

const URL: &str = "EVENTUS_TEST_WRITER_URL";

/// The process that is stopped: this very program, running `process` only.
pub struct Stopped {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Stopped {
    /// Starts it; returns when it has appended.
    pub async fn start(url: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["late::writer::process", "--exact", "--ignored", "--nocapture"])
            .env(URL, url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut stopped = Self { child, input, output: BufReader::new(output).lines() };
        stopped.wait_for("appended").await;
        stopped
    }

    /// Stops it for a while, lets it commit, and tells from when to when its position was missing.
    pub async fn hold(mut self, time: Duration) -> (Instant, Instant) {
        let from = Instant::now();
        let pid = Pid::from_raw(self.child.id().unwrap() as i32);
        kill(pid, Signal::SIGSTOP).unwrap();
        // The signal takes its time on a busy machine: told too early, it would commit before it stands still.
        testkit::eventually(crate::DEADLINE, || async {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit(')').next().unwrap().starts_with(" T")
        })
        .await;
        self.input.write_all(b"commit\n").await.unwrap();
        tokio::time::sleep(time).await;
        kill(pid, Signal::SIGCONT).unwrap();
        self.wait_for("committed").await;
        (from, Instant::now())
    }

    async fn wait_for(&mut self, word: &str) {
        loop {
            let line = self.output.next_line().await.unwrap().expect("the writer goes on");
            // The test harness writes to the same line.
            if line.ends_with(word) {
                return;
            }
        }
    }
}

/// The program of `Stopped`: appends, says so, commits when it is told to.
#[test]
#[ignore = "started by the late-committer test"]
fn process() {
    #[expect(clippy::disallowed_methods, reason = "how a test tells its child process what to do")]
    let Ok(url) = std::env::var(URL) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let mut transaction = connection.begin().await.unwrap();
        sqlx::query(APPEND).bind(["stopped"]).bind(0).execute(&mut *transaction).await.unwrap();
        println!("\nappended");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        assert_eq!(line, "commit\n");
        transaction.commit().await.unwrap();
        println!("\ncommitted");
    });
}

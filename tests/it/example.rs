//! The example programs of docs/, run as their readers run them. A tool that is missing is a failure that says what
//! to do: nothing is skipped.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long a program may take to say something.
const PATIENCE: Duration = Duration::from_secs(20);

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text of a file of the repository.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Fails unless a document shows the code of this example word for word. The lines before the first blank or code
/// line (what it is, for whom) may be told otherwise there.
#[track_caller]
pub fn is_shown(document: &str, example: &str) {
    let text = read(&format!("docs/examples/{example}"));
    let head = |line: &&str| line.is_empty() || line.starts_with("//") || line.starts_with('#');
    let code: Vec<&str> = text.lines().skip_while(head).collect();
    let code = code.join("\n");
    assert!(
        !code.is_empty() && read(document).contains(&code),
        "{document} does not show {example} as it is:\n{code}"
    );
}

/// A Rust example, which cargo builds beside the tests.
pub fn rust(name: &str) -> Command {
    let here = std::env::current_exe().unwrap();
    let found =
        here.ancestors().skip(1).map(|folder| folder.join("examples").join(name)).find(|path| path.is_file());
    Command::new(
        found
            .unwrap_or_else(|| panic!("the example {name} is not built: run the tests of the whole package")),
    )
}

/// python3 with the packages of the tests and these folders on its path.
pub fn python(more: &[&Path]) -> Command {
    let packages = tools().join("python");
    assert!(
        packages.join("nats").is_dir() && packages.join("grpc_tools").is_dir(),
        "the Python packages of the tests are not in {}: run script/test, which installs them (script/lib/python.txt \
         names them), or set EVENTUS_BIN to the folder that has them",
        packages.display()
    );
    let paths = more.iter().map(|path| path.to_path_buf()).chain([packages]);
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", std::env::join_paths(paths).unwrap()).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// The folder of the tools: `EVENTUS_BIN`, else `.eventus/bin` of the repository.
#[expect(clippy::disallowed_methods, reason = "tests read their environment")]
pub fn tools() -> PathBuf {
    std::env::var_os("EVENTUS_BIN").map_or_else(|| root().join(".eventus/bin"), PathBuf::from)
}

/// Runs a program to its end; fails the test unless it ends well. Gives what it printed.
pub async fn run(command: Command) -> String {
    run_within(command, PATIENCE).await
}

/// As `run`, for programs that may take longer.
pub async fn run_within(mut command: Command, patience: Duration) -> String {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let ended = tokio::time::timeout(patience, running).await;
    let output = ended
        .unwrap_or_else(|_| panic!("{command:?} does not end"))
        .unwrap_or_else(|error| missing(&command, &error));
    let Output { status, stdout, stderr } = output;
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// A program that goes on until it is stopped. Dies with this value.
pub struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// Starts it.
    pub fn start(mut command: Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut child = child.unwrap_or_else(|error| missing(&command, &error));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next lines that it prints.
    pub async fn lines(&mut self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.len() < count {
            let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("nothing more after {lines:?}")).unwrap();
            lines.push(line.unwrap_or_else(|| panic!("it ended after {lines:?}")));
        }
        lines
    }

    /// kill -9.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

fn missing(command: &Command, error: &std::io::Error) -> ! {
    panic!(
        "{:?} cannot be run ({error}): script/test installs what the tests need",
        command.as_std().get_program()
    )
}

//! `eventus schema`: the schema as a document, on the database itself.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chassis::Env;
use clap::{Subcommand, ValueEnum};
use items_service::schema::{DocumentFormat, offline};
use model::RandomIds;

use crate::Error;

/// What `eventus schema` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the schema to a file, or to the terminal
    Snapshot {
        /// How; by the file's ending where it is not said, else YAML
        #[arg(long, value_enum)]
        format: Option<Format>,
        /// Where to
        file: Option<PathBuf>,
    },
    /// Say what applying a file would change. Exit code 0: nothing, 2: something, 1: it can't be said
    Plan {
        /// JSON or YAML, as `snapshot` or `/schema/snapshot` gave it
        file: PathBuf,
        /// Take one of another version or database, too
        #[arg(long)]
        force: bool,
    },
    /// Change the schema into what a file says, all or nothing
    Apply {
        /// JSON or YAML, as `snapshot` or `/schema/snapshot` gave it
        file: PathBuf,
        /// Don't ask
        #[arg(long)]
        yes: bool,
        /// Take one of another version or database, too
        #[arg(long)]
        force: bool,
    },
}

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Yaml,
    /// For programs
    Json,
}

/// Exit code of a plan that has changes.
const CHANGES: u8 = 2;

/// Does it.
///
/// # Errors
/// The file can't be read, is no document, or the database is away, not prepared, or does not take it.
pub async fn run(command: Command, env: &Env) -> Result<ExitCode, Error> {
    let db = db::connect(&db::Config::from_env(env)?, "schema");
    match command {
        Command::Snapshot { format, file } => {
            let text = offline::snapshot(&db, chosen(format, file.as_deref())).await.map_err(part)?;
            match file {
                Some(file) => std::fs::write(&file, text).map_err(|error| unreadable(&file, &error))?,
                None => std::io::stdout().write_all(&text).map_err(|error| Error::part("terminal", error))?,
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Plan { file, force } => {
            let plan = offline::plan(&db, &read(&file)?, force).await.map_err(part)?;
            println!("{plan}");
            Ok(if plan.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(CHANGES) })
        }
        Command::Apply { file, yes, force } => {
            let text = read(&file)?;
            if !yes {
                let plan = offline::plan(&db, &text, force).await.map_err(part)?;
                println!("{plan}");
                if plan.is_empty() || !agreed()? {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            let done = offline::apply(&db, &RandomIds, &text, force).await.map_err(part)?;
            if yes {
                println!("{done}");
            }
            if !done.is_empty() {
                println!("applied");
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn chosen(format: Option<Format>, file: Option<&Path>) -> DocumentFormat {
    let is_json = file.and_then(Path::extension).is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    match format {
        Some(Format::Json) => DocumentFormat::JsonIndented,
        None if is_json => DocumentFormat::JsonIndented,
        _ => DocumentFormat::Yaml,
    }
}

/// Asks the person at the terminal.
fn agreed() -> Result<bool, Error> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(Error::part("schema", "nobody can be asked here: say --yes to apply this"));
    }
    print!("apply this? [y/N] ");
    let mut answer = String::new();
    let asked = std::io::stdout().flush().and_then(|()| input.lock().read_line(&mut answer));
    asked.map_err(|error| Error::part("terminal", error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(file).map_err(|error| unreadable(file, &error))
}

fn unreadable(file: &Path, error: &std::io::Error) -> Error {
    Error::part("file", format!("{}: {error}", file.display()))
}

fn part(error: offline::Error) -> Error {
    Error::part("schema", error)
}

//! The start helper as a program of its own, for tests: `eventus-keep ARGS...` is what `eventus keep ARGS...` is.
//! `eventus-keep with-postgres -- COMMAND...` runs a command beside a throw-away PostgreSQL.
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use embedded::{Launcher, Search, keep, throwaway};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.next_if(|first| first == "with-postgres").is_none() {
        return keep::main(args);
    }
    let command: Vec<OsString> = args.skip_while(|arg| arg == "--").collect();
    if command.is_empty() {
        eprintln!("usage: eventus-keep with-postgres -- COMMAND [ARGUMENT...]");
        return ExitCode::from(2);
    }
    with_postgres(&command).unwrap_or_else(|error| {
        eprintln!("eventus-keep: {error}");
        ExitCode::FAILURE
    })
}

fn with_postgres(command: &[OsString]) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let launcher = Launcher::new(std::env::current_exe()?, []);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    Ok(runtime.block_on(throwaway::with_postgres(&search(), launcher, command))?)
}

#[expect(clippy::disallowed_methods, reason = "a program reads its environment at its door")]
fn search() -> Search {
    let bin_dir = std::env::var_os("EVENTUS_BIN").unwrap_or_else(|| ".eventus/bin".into());
    Search::new(PathBuf::from(bin_dir), std::env::var_os("PATH"))
}

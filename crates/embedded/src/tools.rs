//! Where the server programs are: the place named by the caller, the folder that script/dev fills, PATH, Debian's folder.
//! Versions that fail silently are refused here, before anything is started.
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;

const LEAST_POSTGRES: Version = Version { major: 15, minor: 0 };
const LEAST_NATS: Version = Version { major: 2, minor: 12 };
const DEBIAN_POSTGRES: &str = "/usr/lib/postgresql";

/// Where to look. Everything that comes from the environment is handed in.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The folder that script/dev fills (`.eventus/bin`).
    pub bin_dir: PathBuf,
    /// A folder with `postgres` and `initdb` named by the user; nothing else is looked at then.
    pub postgres_bin: Option<PathBuf>,
    /// A `nats-server` named by the user; nothing else is looked at then.
    pub nats_server: Option<PathBuf>,
    /// The value of PATH.
    pub path: Option<OsString>,
}

impl Search {
    /// Looks in `bin_dir`, in `path` (the value of PATH) and in Debian's folder.
    pub fn new(bin_dir: impl Into<PathBuf>, path: Option<OsString>) -> Self {
        Self { bin_dir: bin_dir.into(), path, ..Self::default() }
    }
}

/// A program's version; what comes behind the minor number is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// One installed PostgreSQL.
#[derive(Debug, Clone)]
pub struct PostgresInstall {
    /// Holds `postgres` and `initdb`.
    pub bin: PathBuf,
    /// 15 or newer.
    pub version: Version,
}

/// Every usable PostgreSQL, the preferred one first: a data folder keeps to the major version that made it.
#[derive(Debug, Clone)]
pub struct PostgresInstalls(Vec<PostgresInstall>);

impl PostgresInstalls {
    /// Runs `postgres --version` in each place (a few milliseconds each).
    ///
    /// # Errors
    /// `Missing` when none is there, or only older ones.
    pub fn find(search: &Search) -> Result<Self, Error> {
        let places = match &search.postgres_bin {
            Some(named) => vec![named.clone()],
            None => postgres_places(search),
        };
        let mut looked = Vec::new();
        let mut found: Vec<PostgresInstall> = Vec::new();
        for bin in places {
            match look_at_postgres(&bin) {
                Ok(install) if found.iter().any(|known| known.bin == install.bin) => {}
                Ok(install) => found.push(install),
                Err(why) => looked.push(format!("{}: {why}", bin.display())),
            }
        }
        if found.is_empty() {
            return Err(Error::Missing {
                program: "PostgreSQL 15 or newer",
                looked: list(looked),
                advice: "the package postgresql, or set DATABASE_URL to a server that runs already",
            });
        }
        Ok(Self(found))
    }

    /// The one to use for a new data folder.
    pub fn preferred(&self) -> &PostgresInstall {
        // `find` never makes an empty list.
        &self.0[0]
    }

    /// The one that can open a data folder made by this major version.
    pub(crate) fn of_major(&self, major: u32) -> Option<&PostgresInstall> {
        self.0.iter().find(|install| install.version.major == major)
    }

    pub(crate) fn versions(&self) -> String {
        self.0.iter().map(|install| install.version.to_string()).collect::<Vec<_>>().join(", ")
    }
}

/// A usable nats-server.
#[derive(Debug, Clone)]
pub struct NatsInstall {
    /// The program.
    pub program: PathBuf,
    /// 2.12 or newer.
    pub version: Version,
}

impl NatsInstall {
    /// Runs `nats-server --version` in each place until one is new enough.
    ///
    /// # Errors
    /// `Missing` when none is there, or only older ones (2.9, Debian's, drops filters and batches silently).
    pub fn find(search: &Search) -> Result<Self, Error> {
        let places = match &search.nats_server {
            Some(named) => vec![named.clone()],
            None => {
                let dirs = std::iter::once(search.bin_dir.clone()).chain(path_dirs(search.path.as_deref()));
                dirs.map(|dir| dir.join("nats-server")).filter(|program| program.is_file()).collect()
            }
        };
        let mut looked = Vec::new();
        for program in places {
            match version_of(&program) {
                Ok(version) if version >= LEAST_NATS => return Ok(Self { program, version }),
                Ok(version) => looked.push(format!("{} is {version}, too old", program.display())),
                Err(why) => looked.push(format!("{}: {why}", program.display())),
            }
        }
        Err(Error::Missing {
            program: "nats-server 2.12 or newer",
            looked: list(looked),
            advice: "a release of nats-server, or set NATS_URL to a server that runs already",
        })
    }
}

/// Both servers' programs.
#[derive(Debug, Clone)]
pub struct Tools {
    /// PostgreSQL.
    pub postgres: PostgresInstalls,
    /// nats-server.
    pub nats: NatsInstall,
}

impl Tools {
    /// Finds both; blocks for some milliseconds.
    ///
    /// # Errors
    /// `Missing` for the first that is not there.
    pub fn find(search: &Search) -> Result<Self, Error> {
        Ok(Self { postgres: PostgresInstalls::find(search)?, nats: NatsInstall::find(search)? })
    }
}

fn list(looked: Vec<String>) -> String {
    if looked.is_empty() { "not in .eventus/bin, nor in PATH".to_owned() } else { looked.join("; ") }
}

fn path_dirs(path: Option<&OsStr>) -> Vec<PathBuf> {
    path.map(|path| std::env::split_paths(path).filter(|dir| dir.is_absolute()).collect()).unwrap_or_default()
}

/// Places that hold a `postgres`, best first: ours, PATH, then Debian's versions from the newest down.
fn postgres_places(search: &Search) -> Vec<PathBuf> {
    let mut places = vec![search.bin_dir.join("postgres").join("bin")];
    places.extend(path_dirs(search.path.as_deref()));
    let mut debian: Vec<(u32, PathBuf)> = std::fs::read_dir(DEBIAN_POSTGRES)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    debian.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    places.extend(debian.into_iter().map(|(_, bin)| bin));
    places.retain(|bin| bin.join("postgres").is_file());
    places
}

/// The real folder behind a link (Debian users like to link `postgres` into PATH), with a version that will do.
fn look_at_postgres(bin: &Path) -> Result<PostgresInstall, String> {
    let program = std::fs::canonicalize(bin.join("postgres")).map_err(|error| error.to_string())?;
    let version = version_of(&program)?;
    if version < LEAST_POSTGRES {
        return Err(format!("is {version}, too old"));
    }
    let bin = program.parent().ok_or("has no folder")?.to_owned();
    if !bin.join("initdb").is_file() {
        return Err("there is no initdb beside postgres".to_owned());
    }
    Ok(PostgresInstall { bin, version })
}

fn version_of(program: &Path) -> Result<Version, String> {
    let output = Command::new(program).arg("--version").output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_version(&text).ok_or_else(|| format!("does not tell its version ({})", output.status))
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian ...)`, `postgres (PostgreSQL) 18beta1` and `nats-server: v2.15.1`.
fn parse_version(text: &str) -> Option<Version> {
    let start = text
        .split_whitespace()
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let (major, rest) = leading_number(start)?;
    let minor = rest.strip_prefix('.').and_then(leading_number).map_or(0, |(minor, _)| minor);
    Some(Version { major, minor })
}

fn leading_number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|other: char| !other.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn versions_are_read() {
        let read = |text| parse_version(text).map(|version| version.to_string());
        assert_eq!(read("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n").as_deref(), Some("15.18"));
        assert_eq!(read("postgres (PostgreSQL) 18beta1").as_deref(), Some("18.0"));
        assert_eq!(read("nats-server: v2.15.1\n").as_deref(), Some("2.15"));
        assert_eq!(read("no number here"), None);
    }

    fn fake(dir: &Path, name: &str, says: &str) {
        let path = dir.join(name);
        std::fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn an_old_nats_server_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        fake(dir.path(), "nats-server", "nats-server: v2.9.10");
        let search = Search::new("/nowhere", Some(dir.path().into()));
        let text = NatsInstall::find(&search).unwrap_err().to_string();
        assert!(text.contains("2.9, too old") && text.contains("script/dev"), "{text}");
    }

    #[test]
    fn the_filled_folder_comes_before_path_and_a_named_one_is_the_only_one() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, path) = (dir.path().join("postgres/bin"), dir.path().join("path"));
        for (place, version) in [(&ours, "16.14"), (&path, "17.2")] {
            std::fs::create_dir_all(place).unwrap();
            fake(place, "postgres", &format!("postgres (PostgreSQL) {version}"));
            fake(place, "initdb", "");
        }
        let mut search = Search::new(dir.path(), Some(path.clone().into()));
        let found = PostgresInstalls::find(&search).unwrap();
        assert_eq!(found.preferred().version.major, 16);
        assert_eq!(found.of_major(17).unwrap().bin, std::fs::canonicalize(&path).unwrap());
        search.postgres_bin = Some(path);
        assert_eq!(PostgresInstalls::find(&search).unwrap().versions(), "17.2");
        search.postgres_bin = Some("/nowhere".into());
        assert!(PostgresInstalls::find(&search).is_err());
    }
}

//! `eventus nats`: users of the broker, each with the least it needs, as configuration of nats-server.
//!
//! A folder holds them: `users.conf`, which the server includes, and the address with its password for each role. What is
//! there keeps its passwords; what a user may do is written anew.

use std::collections::HashMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bus::users::{Part, User, of_role, subscriber};
use chassis::Env;

use crate::{Error, Role};

/// What can be done.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Write users.conf (`authorization { include "users.conf" }`) and ROLE.url for every role into a folder
    Users {
        /// Where to
        folder: PathBuf,
        /// Where the broker is, for the addresses: `nats:4222`, commas between servers
        #[arg(long, default_value = "127.0.0.1:4222")]
        host: String,
    },
    /// Users of programs outside the fleet
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
}

/// What can be done with one user.
#[derive(Debug, clap::Subcommand)]
pub enum UserCommand {
    /// Add a user that hears some collections, or change which; its password is printed
    Add {
        /// Letters, digits and -
        name: String,
        /// Comma-separated
        #[arg(long, value_delimiter = ',', required = true)]
        collections: Vec<String>,
        /// The folder that `eventus nats users` wrote
        #[arg(long, default_value = ".")]
        folder: PathBuf,
    },
}

/// Does it.
///
/// # Errors
/// A name does not fit, or the folder can't be read or written.
pub fn run(command: Command, env: &Env) -> Result<(), Error> {
    let prefix = env.get("EVENTUS_SUBJECT_PREFIX")?.unwrap_or_default();
    match command {
        Command::Users { folder, host } => write_roles(&prefix, &folder, &host),
        Command::User { command: UserCommand::Add { name, collections, folder } } => {
            add(&prefix, &folder, &name, &collections)
        }
    }
}

/// What a role does on the broker. Names of consumers are those of their roles.
fn part(role: Role) -> Part<'static> {
    match role {
        Role::Items => Part::Relay,
        Role::Hooks => Part::Consumer("hooks"),
        Role::Analytics => Part::Consumer("analytics"),
        Role::Webhooks => Part::Consumer("webhooks"),
        Role::CdnPurge => Part::Consumer("cdn-purge"),
        Role::Gateway | Role::Auth => Part::Pings,
    }
}

fn write_roles(prefix: &str, folder: &Path, host: &str) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(failed)?;
    let known = read(folder)?;
    let passwords: HashMap<&str, &str> =
        known.iter().map(|user| (user.user.as_str(), user.password.as_str())).collect();
    let mut users = Vec::new();
    for role in Role::all() {
        let name = format!("eventus-{}", role.name());
        let password = match passwords.get(name.as_str()) {
            Some(password) => (*password).to_owned(),
            None => password()?,
        };
        let servers = host.split(',').map(|host| format!("nats://{name}:{password}@{}", host.trim()));
        let address = servers.collect::<Vec<_>>().join(",");
        write_secret(&folder.join(format!("{}.url", role.name())), &address)?;
        users.push(of_role(prefix, role.name(), part(role), &password));
    }
    let outside = known.into_iter().filter(|user| !user.user.starts_with("eventus-"));
    users.extend(outside);
    write(folder, &users)?;
    println!("{}: users.conf, and ROLE.url for each role", folder.display());
    Ok(())
}

fn add(prefix: &str, folder: &Path, name: &str, collections: &[String]) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let fits = (1..=64).contains(&name.len()) && name.bytes().all(plain);
    let reserved = name.starts_with("eventus-") || Role::all().iter().any(|role| role.name() == name);
    if !fits || reserved {
        return Err(Error::part("name", "letters, digits and -, and none of the fleet's own"));
    }
    let mut users = read(folder)?;
    let known = users.iter().find(|user| user.user == name).map(|user| user.password.clone());
    let password = known.map_or_else(password, Ok)?;
    users.retain(|user| user.user != name);
    users.push(subscriber(prefix, name, collections, &password));
    write(folder, &users)?;
    println!("user {name}, password {password}, inbox prefix {}", bus::users::inbox(name));
    Ok(())
}

/// The users of a folder; none where there is no file yet.
fn read(folder: &Path) -> Result<Vec<User>, Error> {
    let text = match std::fs::read_to_string(folder.join("users.conf")) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let users = text.split_once("users: ").map_or("", |(_, users)| users);
    serde_json::from_str(users).map_err(|error| Error::part("users.conf", error))
}

fn write(folder: &Path, users: &[User]) -> Result<(), Error> {
    let json = serde_json::to_string_pretty(users).map_err(|error| Error::part("users.conf", error))?;
    write_secret(
        &folder.join("users.conf"),
        &format!("# By `eventus nats`. Reload the server after a change.\nusers: {json}\n"),
    )
}

fn password() -> Result<String, Error> {
    let mut bytes = [0; 24];
    secrets::random(&mut bytes).map_err(|error| Error::part("password", error))?;
    Ok(secrets::hex(&bytes))
}

/// Whole or not at all, for its owner's eyes.
fn write_secret(path: &Path, text: &str) -> Result<(), Error> {
    let draft = path.with_extension("draft");
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&draft);
    let mut file = file.map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&draft, path).map_err(failed)
}

fn failed(error: std::io::Error) -> Error {
    Error::part("folder", error)
}

//! As whom the servers run. PostgreSQL refuses root, so root becomes somebody else: in a user namespace (nothing changes owner),
//! or, where that is refused (in containers, in a chroot), as an unprivileged account. A folder keeps the identity it was made with.
use std::ffi::OsString;
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::sys::signal::Signal;
use nix::unistd::{self, Gid, Uid, User};

use crate::child::{Child, Launch};
use crate::{Error, Launcher};

/// What the child becomes before the server starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Our own user.
    Direct,
    /// Our own user, seen as `uid:gid` from the inside.
    Namespace(u32, u32),
    /// Another user; the folder belongs to it.
    Account(u32, u32),
    /// The same, and it may pass folders that are closed to it (programs and folder are below /root, say).
    AccountAnywhere(u32, u32),
}

const FILE: &str = "identity";
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

impl Identity {
    pub fn keep_args(&self) -> Vec<OsString> {
        match self {
            Self::Direct => Vec::new(),
            Self::Namespace(uid, gid) => vec!["--namespace".into(), format!("{uid}:{gid}").into()],
            Self::Account(uid, gid) => vec!["--account".into(), format!("{uid}:{gid}").into()],
            Self::AccountAnywhere(uid, gid) => {
                vec!["--account-anywhere".into(), format!("{uid}:{gid}").into()]
            }
        }
    }

    /// Gives a file or folder to the account, if there is one.
    pub fn own(&self, path: &Path) -> Result<(), Error> {
        let (Self::Account(uid, gid) | Self::AccountAnywhere(uid, gid)) = *self else { return Ok(()) };
        unistd::chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(|errno| Error::io("give away", path)(errno.into()))
    }

    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["direct"] => Some(Self::Direct),
            ["namespace", uid, gid] => Some(Self::Namespace(uid.parse().ok()?, gid.parse().ok()?)),
            ["account", uid, gid] => Some(Self::Account(uid.parse().ok()?, gid.parse().ok()?)),
            ["account-anywhere", uid, gid] => {
                Some(Self::AccountAnywhere(uid.parse().ok()?, gid.parse().ok()?))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => write!(f, "direct"),
            Self::Namespace(uid, gid) => write!(f, "namespace {uid} {gid}"),
            Self::Account(uid, gid) => write!(f, "account {uid} {gid}"),
            Self::AccountAnywhere(uid, gid) => write!(f, "account-anywhere {uid} {gid}"),
        }
    }
}

/// Chooses the identity for a folder, or takes the recorded one, and proves that `program` can be run with it.
pub(crate) async fn settle(
    dir: &Path,
    launcher: &Launcher,
    program: &Path,
    namespace_allowed: bool,
) -> Result<Identity, Error> {
    let refuse = |reason: String| Error::Identity { dir: dir.to_owned(), reason };
    let me = unistd::geteuid();
    let recorded = std::fs::read_to_string(dir.join(FILE)).ok().and_then(|text| Identity::parse(&text));
    let identity = match (me.is_root(), recorded) {
        (false, None | Some(Identity::Direct)) => Identity::Direct,
        (false, Some(_)) => return Err(refuse("it was made by root; run as root, or remove it".to_owned())),
        (true, Some(Identity::Direct)) => return Err(refuse(made_by_user(dir))),
        (true, Some(identity)) => {
            probe(dir, launcher, &identity, program).await.map_err(|why| {
                refuse(format!("it was made as \"{identity}\", which does not work any more: {why}"))
            })?;
            identity
        }
        (true, None) => choose(dir, launcher, program, namespace_allowed).await?,
    };
    let path = dir.join(FILE);
    std::fs::write(&path, format!("{identity}\n")).map_err(Error::io("write", &path))?;
    Ok(identity)
}

fn made_by_user(dir: &Path) -> String {
    let owner = std::fs::metadata(dir).map(|metadata| metadata.uid()).unwrap_or_default();
    format!("it was made by user {owner}; run as that user, or remove it")
}

async fn choose(
    dir: &Path,
    launcher: &Launcher,
    program: &Path,
    namespace_allowed: bool,
) -> Result<Identity, Error> {
    let account = |name: &str| User::from_name(name).ok().flatten();
    let mut tried = Vec::new();
    // initdb needs the user to be in the list of users, inside the namespace too.
    if let Some(nobody) = account("nobody").or_else(|| account("postgres")).filter(|_| namespace_allowed) {
        let identity = Identity::Namespace(nobody.uid.as_raw(), nobody.gid.as_raw());
        match probe(dir, launcher, &identity, program).await {
            Ok(()) => return Ok(identity),
            Err(why) => tried.push(why),
        }
    }
    let users: Vec<User> = ACCOUNTS.iter().filter_map(|name| account(name)).collect();
    let ids = users.iter().map(|user| (user.uid.as_raw(), user.gid.as_raw()));
    let plain = ids.clone().map(|(uid, gid)| Identity::Account(uid, gid));
    let anywhere = ids.map(|(uid, gid)| Identity::AccountAnywhere(uid, gid));
    for identity in plain.chain(anywhere) {
        identity.own(dir)?;
        match probe(dir, launcher, &identity, program).await {
            Ok(()) => return Ok(identity),
            Err(why) => tried.push(format!("as {identity}: {why}")),
        }
    }
    let reason = format!(
        "PostgreSQL does not run as root, and no other identity works ({}); put the folder where every user may pass \
         (EVENTUS_HOME=/var/lib/eventus), or run as an ordinary user",
        tried.join("; ")
    );
    Err(Error::Identity { dir: dir.to_owned(), reason })
}

/// Runs `program --version` and touches the folder with the identity; `Err` says why that failed.
async fn probe(dir: &Path, launcher: &Launcher, identity: &Identity, program: &Path) -> Result<(), String> {
    let log = dir.join("probe.log");
    let mark = dir.join("probe");
    let _ = std::fs::remove_file(&log);
    let script =
        r#"test -x "$1" || { echo "$1 is out of reach"; exit 1; }; "$1" --version && : >"$2" && rm "$2""#;
    let launch = Launch {
        name: "probe",
        launcher,
        identity,
        death_signal: Signal::SIGKILL,
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into(), "sh".into(), program.into(), mark.into()],
        log: log.clone(),
    };
    let outcome = match Child::start(&launch).await {
        Ok(child) if child.exited().await.success() => Ok(()),
        Ok(_) => Err(crate::folder::tail(&log).lines().last().unwrap_or("no reason given").to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let _ = std::fs::remove_file(&log);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_reads_back() {
        for identity in [
            Identity::Direct,
            Identity::Namespace(65534, 65533),
            Identity::Account(101, 104),
            Identity::AccountAnywhere(101, 104),
        ] {
            assert_eq!(Identity::parse(&format!("{identity}\n")), Some(identity));
        }
        assert_eq!(Identity::parse("account 5"), None);
    }
}

//! Makes the data folder: beside its final place, so that a killed attempt is never taken for a finished one.
use std::ffi::OsString;
use std::fs::{self, File};

use nix::sys::signal::Signal;

use super::{NAME, Start};
use crate::child::{Child, Launch};
use crate::{Error, folder};

pub(super) async fn make(start: &Start<'_>) -> Result<(), Error> {
    tracing::info!(dir = %start.data.display(), version = %start.install.version, "making a PostgreSQL data folder (first start)");
    let draft = start.dir.join("data.new");
    let log = start.dir.join("initdb.log");
    folder::remove(&draft)?;
    folder::turn_log(&log)?;
    let args: Vec<OsString> = vec![
        "-D".into(),
        draft.clone().into(),
        "-U".into(),
        NAME.into(),
        "--encoding=UTF8".into(),
        // Bytes decide the order (fast, the same everywhere); upper and lower case know all letters.
        "--locale=C".into(),
        "--lc-ctype=C.UTF-8".into(),
        // Whoever can enter the 0700 folder of the socket is us; there is no network.
        "--auth-local=trust".into(),
        "--auth-host=reject".into(),
        // One flush at the end instead of one for each of a thousand files.
        "--no-sync".into(),
    ];
    let launch = Launch {
        name: "initdb",
        launcher: &start.options.launcher,
        identity: start.identity,
        death_signal: Signal::SIGTERM,
        program: start.install.bin.join("initdb"),
        args,
        log: log.clone(),
    };
    let status = Child::start(&launch).await?.exited().await;
    if !status.success() {
        let last_words = folder::tail(&log);
        return Err(Error::Died { server: "initdb", status: status.to_string(), last_words });
    }
    if start.options.fsync {
        let handle = File::open(&draft).map_err(Error::io("open", &draft))?;
        nix::unistd::syncfs(handle).map_err(|errno| Error::io("flush", &draft)(errno.into()))?;
    }
    fs::rename(&draft, start.data).map_err(Error::io("rename", &draft))
}

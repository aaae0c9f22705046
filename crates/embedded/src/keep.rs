//! The step between fork and exec: a fresh single-threaded process takes a death signal and an identity, then becomes the server.
//! It exists because doing the same after a fork inside a running program needs unsafe code. `eventus keep ...` and the
//! program `eventus-keep` both only call `main`.
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;
use std::str::FromStr as _;

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{self, Gid, Pid, Uid};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, configure_capability_in_ambient_set,
    set_capabilities, set_capabilities_secure_bits,
};

/// Exit code when the starter was gone before the child could follow it.
pub const ORPHANED: u8 = 123;
/// Exit code for arguments that make no sense.
pub const MISUSED: u8 = 124;
/// Exit code when the wanted identity is refused by the kernel.
pub const NO_IDENTITY: u8 = 126;
/// Exit code when the program cannot be executed.
pub const NO_PROGRAM: u8 = 127;

/// What to become before the program starts.
#[derive(Debug, PartialEq, Eq)]
enum Become {
    Nothing,
    Namespace(u32, u32),
    Account(u32, u32),
    /// The account, and it may pass folders that are closed to it.
    AccountAnywhere(u32, u32),
}

#[derive(Debug, PartialEq, Eq)]
struct Order {
    parent: i32,
    death_signal: Signal,
    become_: Become,
    program: OsString,
    args: Vec<OsString>,
}

/// Takes `--parent PID --death-signal NAME [--namespace | --account | --account-anywhere UID:GID] -- PROGRAM ARGS...`
/// (without the program's own name) and becomes PROGRAM. Returns only when that failed, with the reason on standard error. Must be called before
/// any thread is started.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = parse(args).map_err(|text| (MISUSED, text)).and_then(|order| follow(&order));
    let (code, text) = match outcome {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    eprintln!("eventus keep: {text}");
    ExitCode::from(code)
}

fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Order, String> {
    let mut args = args.into_iter();
    let mut parent = None;
    let mut death_signal = None;
    let mut become_ = Become::Nothing;
    loop {
        let Some(name) = args.next() else { return Err("-- PROGRAM is missing".to_owned()) };
        if name == "--" {
            break;
        }
        let value = args.next().ok_or_else(|| format!("{} needs a value", name.display()))?;
        let value = value.to_str().ok_or_else(|| format!("{} is not text", name.display()))?;
        match name.to_str() {
            Some("--parent") => parent = value.parse().ok(),
            Some("--death-signal") => death_signal = Signal::from_str(value).ok(),
            Some("--namespace") => become_ = pair(value).map(|(uid, gid)| Become::Namespace(uid, gid))?,
            Some("--account-anywhere") => {
                become_ = pair(value).map(|(uid, gid)| Become::AccountAnywhere(uid, gid))?;
            }
            Some("--account") => become_ = pair(value).map(|(uid, gid)| Become::Account(uid, gid))?,
            _ => return Err(format!("unknown argument {}", name.display())),
        }
    }
    Ok(Order {
        parent: parent.ok_or("--parent PID is missing")?,
        death_signal: death_signal.ok_or("--death-signal NAME is missing")?,
        become_,
        program: args.next().ok_or("PROGRAM is missing")?,
        args: args.collect(),
    })
}

fn pair(value: &str) -> Result<(u32, u32), String> {
    let wrong = || format!("{value} is not UID:GID");
    let (uid, gid) = value.split_once(':').ok_or_else(wrong)?;
    Ok((uid.parse().map_err(|_| wrong())?, gid.parse().map_err(|_| wrong())?))
}

fn follow(order: &Order) -> Result<std::convert::Infallible, (u8, String)> {
    take_identity(&order.become_).map_err(|text| (NO_IDENTITY, text))?;
    // After the identity: a change of identity clears the death signal.
    prctl::set_pdeathsig(order.death_signal)
        .map_err(|errno| (NO_IDENTITY, format!("the death signal is refused: {errno}")))?;
    // A starter that died before the line above sends nothing any more.
    if unistd::getppid() != Pid::from_raw(order.parent) {
        return Err((ORPHANED, "the starter is gone".to_owned()));
    }
    let no_program =
        |why: &dyn std::fmt::Display| (NO_PROGRAM, format!("{}: {why}", order.program.display()));
    let program = c_string(&order.program).map_err(|error| no_program(&error))?;
    let mut argv = vec![program.clone()];
    for arg in &order.args {
        argv.push(c_string(arg).map_err(|error| no_program(&error))?);
    }
    unistd::execv(&program, &argv).map_err(|errno| no_program(&errno))
}

fn take_identity(wanted: &Become) -> Result<(), String> {
    match *wanted {
        Become::Nothing => Ok(()),
        Become::Namespace(uid, gid) => {
            let (outer_uid, outer_gid) = (unistd::geteuid(), unistd::getegid());
            unshare(CloneFlags::CLONE_NEWUSER)
                .map_err(|errno| format!("a user namespace is refused: {errno}"))?;
            write_map("/proc/self/setgroups", "deny")?;
            write_map("/proc/self/uid_map", &format!("{uid} {outer_uid} 1"))?;
            write_map("/proc/self/gid_map", &format!("{gid} {outer_gid} 1"))
        }
        Become::Account(uid, gid) => become_account(uid, gid),
        Become::AccountAnywhere(uid, gid) => {
            // Capabilities survive the change of user, and access(2), which initdb asks, counts them.
            set_capabilities_secure_bits(CapabilitiesSecureBits::NO_SETUID_FIXUP)
                .map_err(|errno| format!("capabilities are refused: {errno}"))?;
            become_account(uid, gid)?;
            keep_passage().map_err(|errno| format!("capabilities are refused: {errno}"))
        }
    }
}

fn become_account(uid: u32, gid: u32) -> Result<(), String> {
    let refused = |errno| format!("account {uid}:{gid} is refused: {errno}");
    unistd::setgroups(&[]).map_err(refused)?;
    unistd::setgid(Gid::from_raw(gid)).map_err(refused)?;
    unistd::setuid(Uid::from_raw(uid)).map_err(refused)
}

/// Of all that root may do, keeps one thing for the program: not to be stopped by the modes of files and folders. No more than the
/// namespace gives, where the program still owns what is root's.
fn keep_passage() -> rustix::io::Result<()> {
    let passage = CapabilitySet::DAC_OVERRIDE;
    let sets = CapabilitySets { effective: passage, permitted: passage, inheritable: passage };
    set_capabilities(None, sets)?;
    configure_capability_in_ambient_set(passage, true)
}

fn write_map(path: &str, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("a user namespace is refused: {path}: {error}"))
}

fn c_string(text: &OsStr) -> Result<CString, std::ffi::NulError> {
    CString::new(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(text: &str) -> Result<Order, String> {
        parse(text.split(' ').map(OsString::from))
    }

    #[test]
    fn arguments_are_read_up_to_the_program() {
        let order = order("--parent 7 --death-signal SIGINT --namespace 65534:65533 -- /bin/true --parent 9")
            .unwrap();
        assert_eq!(
            order,
            Order {
                parent: 7,
                death_signal: Signal::SIGINT,
                become_: Become::Namespace(65534, 65533),
                program: "/bin/true".into(),
                args: vec!["--parent".into(), "9".into()],
            }
        );
    }

    #[test]
    fn incomplete_orders_are_refused() {
        for text in [
            "",
            "--parent 7 -- /bin/true",
            "--parent 7 --death-signal SIGINT",
            "--parent 7 --death-signal SIGINT --",
            "--parent x --death-signal SIGINT -- /bin/true",
            "--parent 7 --death-signal SIGINT --account 5 -- /bin/true",
            "--parent 7 --death-signal SIGINT --what 5 -- /bin/true",
        ] {
            assert!(order(text).is_err(), "{text}");
        }
    }
}

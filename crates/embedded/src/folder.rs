//! Folders of our own: private, locked by one process at a time, short enough for a socket, and readable when things go wrong.
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::time::sleep;

use crate::Error;

/// A folder that one process holds; the kernel gives it back when the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
}

/// A process that was just killed may need a moment to be gone.
const ATTEMPTS: u32 = 20;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(25);

impl FolderLock {
    /// Locks `dir`, which is made if needed (others may then pass through it, but not look into it: a server that runs as
    /// another user must reach its own folder below).
    ///
    /// # Errors
    /// `Busy`, naming the holder, when another process (or another part of this one) has it.
    pub async fn acquire(dir: &Path) -> Result<Self, Error> {
        if !dir.is_dir() {
            make(dir, 0o711)?;
        }
        let path = dir.join("lock");
        let mut file = File::options()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        let mut attempts = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(fs::TryLockError::WouldBlock) if attempts < ATTEMPTS => {
                    attempts += 1;
                    sleep(BETWEEN_ATTEMPTS).await;
                }
                Err(fs::TryLockError::WouldBlock) => {
                    let holder = fs::read_to_string(&path).ok().filter(|text| !text.trim().is_empty());
                    let holder = holder.map_or_else(|| "?".to_owned(), |text| text.trim().to_owned());
                    return Err(Error::Busy { dir: dir.to_owned(), holder });
                }
                Err(fs::TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
            }
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(Error::io("write", &path))?;
        Ok(Self { file })
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing alone is not enough: a child that is being forked in another thread has a copy until it executes its program.
        let _ = self.file.unlock();
    }
}

/// Makes a folder (and its parents) that only its owner may enter.
pub(crate) fn private(dir: &Path) -> Result<(), Error> {
    make(dir, 0o700)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(Error::io("close to others", dir))
}

fn make(dir: &Path, mode: u32) -> Result<(), Error> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).map_err(Error::io("make", parent))?;
    }
    match DirBuilder::new().mode(mode).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Error::io("make", dir)(error)),
        _ => Ok(()),
    }
}

/// The absolute form of a folder that exists.
pub(crate) fn absolute(dir: &Path) -> Result<PathBuf, Error> {
    fs::canonicalize(dir).map_err(Error::io("find", dir))
}

/// Writes a file that only its owner may read, in one step.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), Error> {
    let draft = path.with_extension("new");
    let _ = fs::remove_file(&draft);
    File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&draft, path))
        .map_err(Error::io("write", path))
}

/// Removes everything below a folder, and the folder itself.
pub(crate) fn remove(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", dir)(error)),
        _ => Ok(()),
    }
}

/// `bytes` random bytes as lower-case hexadecimal digits.
pub(crate) fn random_hex(bytes: usize) -> Result<String, Error> {
    let mut buffer = vec![0_u8; bytes];
    SystemRandom::new().fill(&mut buffer).map_err(|_| {
        Error::io("read random bytes from", Path::new("the system"))(io::Error::other("refused"))
    })?;
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect())
}

const TAIL_BYTES: u64 = 4096;
const TAIL_LINES: usize = 15;

/// The last lines of a log, for an error message.
pub(crate) fn tail(log: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Keeps the log of the run before as `.old` and begins a new one.
pub(crate) fn turn_log(log: &Path) -> Result<(), Error> {
    match fs::rename(log, log.with_extension("log.old")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("rename", log)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_has_one_holder() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        let lock = FolderLock::acquire(&home).await.unwrap();
        let error = FolderLock::acquire(&home).await.unwrap_err();
        let me = std::process::id().to_string();
        assert!(matches!(&error, Error::Busy { holder, .. } if *holder == me), "{error}");
        let copy = lock.file.try_clone().unwrap();
        drop(lock);
        FolderLock::acquire(&home).await.unwrap();
        drop(copy);
    }

    #[test]
    fn a_secret_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        write_secret(&path, "first").unwrap();
        write_secret(&path, "second").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(random_hex(16).unwrap().len(), 32);
    }
}

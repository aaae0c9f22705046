//! The folder of the unix socket: inside the data's folder, or, where that path cannot be a socket's address, in the temporary folder.
use std::fs;
use std::path::{Path, PathBuf};

use crate::identity::Identity;
use crate::{Error, folder};

/// The socket's number; nobody else is in the folder.
pub(super) const PORT: u16 = 5432;
/// The kernel takes 108 bytes with the closing zero.
const LONGEST: usize = 107;
/// Remembers a folder outside, so that the next start can remove it.
const RECORD: &str = "socket-folder";

/// A folder that holds nothing but the socket. Removed on drop when it is in the temporary folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    outside: bool,
}

impl Folder {
    /// An empty folder; whatever a killed run left there is gone.
    pub fn make(dir: &Path, identity: &Identity) -> Result<Self, Error> {
        Self::make_in(dir, &std::env::temp_dir(), identity)
    }

    fn make_in(dir: &Path, temporary: &Path, identity: &Identity) -> Result<Self, Error> {
        let record = dir.join(RECORD);
        if let Ok(old) = fs::read_to_string(&record) {
            let _ = folder::remove(Path::new(old.trim_end()));
            let _ = fs::remove_file(&record);
        }
        let inside = dir.join("run");
        folder::remove(&inside)?;
        let outside = !fit_for_a_socket(&inside);
        let path = if outside {
            let path = temporary.join(format!("eventus-{}", folder::random_hex(8)?));
            folder::write_secret(&record, &path.to_string_lossy())?;
            path
        } else {
            inside
        };
        folder::private(&path)?;
        identity.own(&path)?;
        Ok(Self { path, outside })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn address(&self) -> PathBuf {
        socket_in(&self.path)
    }

    /// The value of `unix_socket_directories`, a list in which commas and quotes have a meaning.
    pub fn setting(&self) -> String {
        format!("\"{}\"", self.path.to_string_lossy().replace('"', "\"\""))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.outside {
            let _ = folder::remove(&self.path);
        }
    }
}

/// Short enough for the kernel, and without the comma that clients take for the end of a server's name.
fn fit_for_a_socket(dir: &Path) -> bool {
    dir.to_str().is_some_and(|text| !text.contains(',')) && socket_in(dir).as_os_str().len() <= LONGEST
}

fn socket_in(dir: &Path) -> PathBuf {
    dir.join(format!(".s.PGSQL.{PORT}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_moves_to_the_temporary_folder_and_is_cleared_later() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("x".repeat(90));
        fs::create_dir(&long).unwrap();
        let first = Folder::make_in(&long, dir.path(), &Identity::Direct).unwrap();
        assert!(first.path().starts_with(dir.path()) && !first.path().starts_with(&long));
        let left = first.path().to_owned();
        std::mem::forget(first);
        let second = Folder::make_in(&long, dir.path(), &Identity::Direct).unwrap();
        assert!(!left.exists() && second.path().is_dir());
        let path = second.path().to_owned();
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn a_short_path_stays_inside() {
        let dir = tempfile::tempdir().unwrap();
        let socket = Folder::make_in(dir.path(), Path::new("/nowhere"), &Identity::Direct).unwrap();
        assert_eq!(socket.path(), dir.path().join("run"));
    }
}

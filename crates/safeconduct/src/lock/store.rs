//! The lock file on disk: written whole or not at all, by one at a time, and never over something that cannot be read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Lock;

/// A lock file.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
}

/// Why a lock file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It is there, and cannot be read.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is no lock file.
    #[error("{} is no lock file: {error}; mend it, or remove it to pin all tools anew", path.display())]
    NoLock {
        /// The file.
        path: PathBuf,
        /// Why.
        error: serde_json::Error,
    },
    /// It cannot be written.
    #[error("{} cannot be written: {error}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Which file was read: another time, length or inode is another file.
pub type Stamp = Option<(SystemTime, u64, u64)>;

impl Store {
    /// At this path, whether or not it is there.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What stands there; nothing, where there is no file.
    ///
    /// # Errors
    /// A file that cannot be read, or is no lock file.
    pub fn read(&self) -> Result<Lock, Unusable> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => self.parsed(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Lock::default()),
            Err(error) => Err(Unusable::Unreadable { path: self.path.clone(), error }),
        }
    }

    /// Which file is there.
    pub fn stamp(&self) -> Stamp {
        let there = std::fs::metadata(&self.path).ok()?;
        Some((there.modified().ok()?, there.len(), there.ino()))
    }

    /// Changes what stands there, while nobody else does. Gives what stands there then, and which file that is.
    ///
    /// # Errors
    /// A file that cannot be read or written, or is no lock file: it stays as it is.
    pub fn change<T>(&self, change: impl FnOnce(&mut Lock) -> T) -> Result<(Lock, T, Stamp), Unusable> {
        let unwritable = |error| Unusable::Unwritable { path: self.path.clone(), error };
        let mut held = self.hold().map_err(unwritable)?;
        let mut text = String::new();
        held.read_to_string(&mut text)
            .map_err(|error| Unusable::Unreadable { path: self.path.clone(), error })?;
        let before = self.parsed(&text)?;
        let mut lock = before.clone();
        let came = change(&mut lock);
        if lock != before {
            self.write(&lock.text()).map_err(unwritable)?;
        }
        Ok((lock, came, self.stamp()))
    }

    fn parsed(&self, text: &str) -> Result<Lock, Unusable> {
        Lock::read(text).map_err(|error| Unusable::NoLock { path: self.path.clone(), error })
    }

    /// The file that stands there, held for as long as it is open. Who had it before may have put another in its place.
    fn hold(&self) -> io::Result<File> {
        loop {
            let file =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.path)?;
            file.lock()?;
            let held = file.metadata()?;
            match std::fs::metadata(&self.path) {
                Ok(there) if (there.dev(), there.ino()) == (held.dev(), held.ino()) => return Ok(file),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        // Whoever holds the lock is alone with this file, too.
        let beside = self.path.with_file_name(name);
        let mut file = File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)
    }
}

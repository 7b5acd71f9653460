//! A directory of one instance of the engine `process`: in memory where the machine has such a place.

use std::ffi::OsStr;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use aws_lc_rs::rand;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use safeconduct_core::secret::Secret;

const MEMORY: &str = "/dev/shm";
const PREFIX: &str = "safeconduct-process-";
/// Readable by this user alone.
const DIRECTORY: u32 = 0o700;
const FILE: u32 = 0o600;

/// Removed with everything in it when it is dropped.
pub(super) struct Scratch {
    root: PathBuf,
    home: PathBuf,
    temporary: PathBuf,
}

impl Scratch {
    /// A new one.
    pub(super) fn new(instance: &str) -> io::Result<Self> {
        let mut random = [0; 8];
        rand::fill(&mut random).map_err(|_| io::Error::other("no randomness"))?;
        let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let root = below().join(format!("{PREFIX}{}-{instance}-{hex}", std::process::id()));
        let scratch = Self { home: root.join("home"), temporary: root.join("tmp"), root };
        for directory in [&scratch.root, &scratch.home, &scratch.temporary] {
            DirBuilder::new().mode(DIRECTORY).create(directory)?;
        }
        Ok(scratch)
    }

    /// Ends and removes what gateways left behind that were killed: processes, and their directories. How many
    /// processes that were.
    pub(super) fn clear_orphans() -> usize {
        let entries = std::fs::read_dir(below()).into_iter().flatten().flatten();
        let left: Vec<PathBuf> = entries
            .filter(|entry| entry.file_name().to_str().and_then(owner).is_some_and(is_gone))
            .map(|entry| entry.path())
            .collect();
        let ended = if left.is_empty() { 0 } else { end_all_of(&left) };
        for root in left {
            // Another user's, or already gone: nothing to do about it.
            drop(std::fs::remove_dir_all(root));
        }
        ended
    }

    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    pub(super) fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Where an in-memory file is: its own path, below this directory.
    pub(super) fn place(&self, file: &Path) -> PathBuf {
        let names = file.components().filter(|part| matches!(part, Component::Normal(_)));
        self.root.join("files").join(names.collect::<PathBuf>())
    }

    /// Writes an in-memory file; who reads it meanwhile reads the old one or the new one, never a part.
    pub(super) fn write(&self, file: &Path, content: &Secret) -> io::Result<()> {
        let place = self.place(file);
        let directory = place.parent().ok_or(ErrorKind::InvalidInput)?;
        DirBuilder::new().recursive(true).mode(DIRECTORY).create(directory)?;
        let mut name = place.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
        name.push(".new");
        let fresh = directory.join(name);
        let mut options = OpenOptions::new();
        let mut written = options.write(true).create(true).truncate(true).mode(FILE).open(&fresh)?;
        written.write_all(content.expose())?;
        std::fs::rename(fresh, place)
    }

    /// Removes it.
    pub(super) fn clear(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.root) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            tracing::warn!(%error, directory = %self.root.display(), "not removed");
        }
    }
}

/// The process that a directory belongs to.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

fn is_gone(process: u32) -> bool {
    !Path::new("/proc").join(process.to_string()).exists()
}

/// Kills every process that has one of these directories as its home; one that gave itself another is not found.
fn end_all_of(roots: &[PathBuf]) -> usize {
    let numbers = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    processes.filter_map(Pid::from_raw).filter(|process| end(*process, roots).unwrap_or_default()).count()
}

fn end(process: Pid, roots: &[PathBuf]) -> io::Result<bool> {
    // Held before it is looked at: the number may become another process's meanwhile.
    let held = pidfd_open(process, PidfdFlags::empty())?;
    let environment = std::fs::read(format!("/proc/{}/environ", process.as_raw_nonzero()))?;
    let home = environment.split(|byte| *byte == 0).find_map(|pair| pair.strip_prefix(b"HOME="));
    let home = home.map(|home| Path::new(OsStr::from_bytes(home)));
    let ours = home.is_some_and(|home| roots.iter().any(|root| home.starts_with(root)));
    if ours {
        pidfd_send_signal(&held, Signal::KILL)?;
    }
    Ok(ours)
}

fn below() -> PathBuf {
    let memory = Path::new(MEMORY);
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::ExitStatusExt;
    use std::path::Path;
    use std::process::{Child, Command};

    use safeconduct_core::secret::Secret;

    use super::Scratch;

    #[test]
    fn what_a_killed_gateway_left_is_ended_and_removed_and_what_is_in_use_is_not() {
        let used = Scratch::new("used").unwrap();
        // No process has this number: it is above the largest that Linux gives.
        let left = super::below().join("safeconduct-process-4194305-left-00");
        std::fs::create_dir(&left).unwrap();
        let at_home =
            |home: &Path| -> Child { Command::new("sleep").arg("300").env("HOME", home).spawn().unwrap() };
        let (mut living, mut orphan) = (at_home(used.home()), at_home(&left.join("home")));
        assert!(Scratch::clear_orphans() >= 1);
        assert!(used.root.exists() && !left.exists());
        assert_eq!(orphan.wait().unwrap().signal(), Some(9));
        assert!(living.try_wait().unwrap().is_none());
        living.kill().unwrap();
        living.wait().unwrap();
    }

    #[test]
    fn a_file_stays_inside_is_replaced_whole_and_is_this_users_alone() {
        let scratch = Scratch::new("test").unwrap();
        let file = Path::new("/run/../../etc/token");
        for content in ["first", "second"] {
            scratch.write(file, &Secret::new(content.into())).unwrap();
            assert_eq!(std::fs::read_to_string(scratch.place(file)).unwrap(), content);
        }
        assert!(scratch.place(file).starts_with(&scratch.root));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&scratch.place(file)), mode(&scratch.root)), (0o600, 0o700));
        let root = scratch.root.clone();
        drop(scratch);
        assert!(!root.exists());
    }
}

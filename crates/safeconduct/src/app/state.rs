//! A gateway's state directory, which is one gateway's at a time: two that think they own the same servers would take
//! them away from each other.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::Failed;
use crate::config::plan::RuntimePlan;

/// Name of the file in it that is locked.
const LOCK: &str = "lock";
/// More than a process writes about itself.
const LONGEST: u64 = 256;

/// The directory of a gateway: the one that the file names; otherwise one of its own below the user's.
pub(super) fn directory(plan: &RuntimePlan) -> PathBuf {
    plan.state.clone().unwrap_or_else(|| home().join(&plan.owner))
}

/// `$XDG_STATE_HOME/safeconduct` or `~/.local/state/safeconduct`.
pub(super) fn home() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
    base.unwrap_or_else(std::env::temp_dir).join("safeconduct")
}

/// A directory that is this process's. The kernel lets go of it when the process ends, however it ends; what it starts
/// does not inherit it.
pub(super) struct Claim {
    path: PathBuf,
    _lock: File,
}

impl Claim {
    /// Takes it, for a gateway that listens there.
    ///
    /// # Errors
    /// Another gateway has it: that one is named. Or it cannot be made or written.
    pub(super) fn take(directory: &Path, listen: SocketAddr) -> Result<Self, Failed> {
        let unusable = |error: io::Error| {
            let why = format!("{error}; `runtime.state` names another directory");
            Failed::of(format!("the state directory {}", directory.display()), why)
        };
        let path = directory.join(LOCK);
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(unusable)?;
        loop {
            let mut file = open(&path).map_err(unusable)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(taken(directory, &mut file)),
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
            }
            // Whoever had it may have removed it in between: then this is nobody's file any more.
            if !is_at(&file, &path) {
                continue;
            }
            sign(&mut file, listen).map_err(unusable)?;
            return Ok(Self { path, _lock: file });
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Still locked: who has opened it meanwhile finds that it is gone. A directory that has more in it stays.
        let _ = std::fs::remove_file(&self.path);
        if let Some(directory) = self.path.parent() {
            let _ = std::fs::remove_dir(directory);
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(held), Ok(found)) => (held.dev(), held.ino()) == (found.dev(), found.ino()),
        _ => false,
    }
}

fn sign(file: &mut File, listen: SocketAddr) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "process {}, which was to listen on {listen}", std::process::id())
}

fn taken(directory: &Path, file: &mut File) -> Failed {
    let mut holder = String::new();
    let _ = file.take(LONGEST).read_to_string(&mut holder);
    let holder = holder.lines().next().filter(|line| !line.is_empty()).unwrap_or("it has not said which");
    let holder: String = holder.chars().filter(|letter| !letter.is_control()).collect();
    Failed::of(
        format!("the state directory {}", directory.display()),
        format!(
            "another gateway has it ({holder}): stop that one, or give this one its own with `runtime.state`"
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::process::Stdio;

    use super::Claim;

    #[test]
    fn a_directory_is_one_gateways_until_it_lets_go() {
        let directory = std::env::temp_dir().join(format!("safeconduct-claim-{}/a/b", std::process::id()));
        let listen = "127.0.0.1:8080".parse().unwrap();
        let claim = Claim::take(&directory, listen).unwrap();
        let refused = Claim::take(&directory, listen).err().unwrap().to_string();
        let named = format!("another gateway has it (process {}, which", std::process::id());
        assert!(refused.contains(&named) && refused.contains("`runtime.state`"), "{refused}");
        drop(claim);
        assert!(!directory.exists(), "nothing is left of it");
        drop(Claim::take(&directory, listen).unwrap());
    }

    #[test]
    fn what_a_gateway_starts_does_not_hold_its_directory() {
        let directory = std::env::temp_dir().join(format!("safeconduct-claim-child-{}", std::process::id()));
        let _claim = Claim::take(&directory, "127.0.0.1:8080".parse().unwrap()).unwrap();
        let lock = directory.join("lock").canonicalize().unwrap();
        let holds = |process: u32| {
            let open = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().flatten();
            open.filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(|file| file == lock)
        };
        assert!(holds(std::process::id()));
        // Its output comes after it has become another program.
        let mut child = std::process::Command::new("cat");
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let held = holds(child.id());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!held);
    }

    #[test]
    fn what_an_ended_gateway_has_left_is_no_hindrance() {
        let directory = std::env::temp_dir().join(format!("safeconduct-claim-left-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("lock"), "process 1, which was to listen on 127.0.0.1:1, and more\n")
            .unwrap();
        std::fs::write(directory.join("other"), "").unwrap();
        let listen = "127.0.0.1:8080".parse().unwrap();
        let claim = Claim::take(&directory, listen).unwrap();
        let refused = Claim::take(&directory, listen).err().unwrap().to_string();
        assert!(!refused.contains("process 1,") && !refused.contains("and more"), "{refused}");
        drop(claim);
        assert!(directory.join("other").exists(), "what is not the gateway's stays");
        std::fs::remove_dir_all(directory).unwrap();
    }
}

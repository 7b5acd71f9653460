//! Files of an instance that exist in memory only: a directory of a tmpfs of the host, mounted into the container
//! read-only. A file is replaced whole: who reads sees the one or the other.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{FsWord, statfs};
use safeconduct_core::secret::Secret;

use crate::engine::EngineError;
use crate::launch::FILES;

/// Numbers of file systems that are in memory (statfs(2)): tmpfs and ramfs.
const IN_MEMORY: [FsWord; 2] = [0x0102_1994, 0x8584_58f6];

/// The directory in which all instances of this gateway have theirs.
#[derive(Clone, Debug)]
pub(super) struct Shelves {
    here: PathBuf,
    /// Where the engine finds it, if that is another name.
    host: PathBuf,
}

impl Shelves {
    /// Opens or makes it. `host` is where the engine finds a path of ours; None where it does not.
    pub(super) fn open(
        named: Option<&Path>,
        owner: &str,
        runtime_dir: Option<&Path>,
        host: impl Fn(&Path) -> Option<PathBuf>,
    ) -> Result<Self, EngineError> {
        let id = rustix::process::geteuid();
        let candidates: Vec<PathBuf> = match (named, runtime_dir) {
            (Some(named), _) => vec![named.to_owned()],
            (None, _) if id.is_root() => vec!["/run/safeconduct".into(), "/dev/shm/safeconduct".into()],
            (None, Some(runtime)) => vec![runtime.join("safeconduct")],
            (None, None) => vec![format!("/dev/shm/safeconduct-{}", id.as_raw()).into()],
        };
        let mut why = String::new();
        for base in candidates {
            match Self::at(&base, owner, &host) {
                Ok(shelves) => return Ok(shelves),
                Err(error) => why = format!("{}: {error}", base.display()),
            }
        }
        Err(EngineError::Forbidden(format!("there is no place in memory for the files of servers: {why}")))
    }

    fn at(base: &Path, owner: &str, host: impl Fn(&Path) -> Option<PathBuf>) -> io::Result<Self> {
        private(base)?;
        let kind = statfs(base)?.f_type;
        if !IN_MEMORY.contains(&kind) {
            return Err(io::Error::other("it is not in memory (no tmpfs)"));
        }
        let here = base.join(owner);
        private(&here)?;
        let host = host(&here).ok_or_else(|| {
            io::Error::other(
                "the host does not have it: mount a tmpfs of the host into the gateway's container",
            )
        })?;
        Ok(Self { here, host })
    }

    /// Makes the directory of one instance. With `gives`, its files are given to its user: where users have the same
    /// numbers outside and inside, and this program may give files away. Otherwise only this program's own directory
    /// above keeps others out.
    pub(super) fn shelf(&self, instance: &str, gives: bool) -> io::Result<Shelf> {
        let here = self.here.join(instance);
        let _ = std::fs::remove_dir_all(&here);
        DirBuilder::new().mode(0o711).create(&here)?;
        let gives = gives && rustix::process::geteuid().is_root();
        let shelf = Shelf {
            files: here.join("files"),
            host: self.host.join(instance),
            here,
            gives,
            user: OnceLock::new(),
        };
        shelf.directory(&shelf.files)?;
        Ok(shelf)
    }

    /// Removes what instances that are gone have left.
    pub(super) fn sweep(&self, alive: impl Fn(&str) -> bool) {
        for entry in std::fs::read_dir(&self.here).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_none_or(|name| !alive(name)) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// One instance's files. They go when it goes.
pub(super) struct Shelf {
    here: PathBuf,
    files: PathBuf,
    host: PathBuf,
    gives: bool,
    user: OnceLock<u32>,
}

impl Shelf {
    /// Where the engine finds the directory that is mounted at [`FILES`].
    pub(super) fn host_files(&self) -> PathBuf {
        self.host.join("files")
    }

    /// Says whose it is, and gives what is there.
    pub(super) fn belongs_to(&self, user: u32) -> io::Result<()> {
        self.user.get_or_init(|| user);
        self.give_all(&self.files)
    }

    fn give_all(&self, directory: &Path) -> io::Result<()> {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() { self.give_all(&path)? } else { self.give(&path, 0o400)? }
        }
        self.give(directory, 0o500)
    }

    /// Writes or replaces a file, named as it is inside.
    pub(super) fn put(&self, inside: &Path, content: &Secret) -> io::Result<()> {
        let name = below(inside)
            .ok_or_else(|| io::Error::other(format!("{} is not below {FILES}", inside.display())))?;
        let path = self.files.join(name);
        let mut above = self.files.clone();
        for part in name.parent().into_iter().flat_map(Path::components) {
            above.push(part);
            if !above.is_dir() {
                self.directory(&above)?;
            }
        }
        self.replace(&path, content.expose())
    }

    /// Writes a file of the engine's own, which is mounted by itself; where the engine finds it.
    pub(super) fn aside(&self, name: &str, content: &str) -> io::Result<PathBuf> {
        self.replace(&self.here.join(name), content.as_bytes())?;
        Ok(self.host.join(name))
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        let _ = std::fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(&new)?;
        file.write_all(content)?;
        self.give(&new, 0o400)?;
        std::fs::rename(&new, path)
    }

    fn directory(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)?;
        self.give(path, 0o500)
    }

    /// To its user alone (root writes nevertheless); where that is not possible, to whoever gets past the directory of
    /// this program.
    fn give(&self, path: &Path, mode: u32) -> io::Result<()> {
        match self.user.get().filter(|_| self.gives) {
            Some(user) => {
                chown(path, Some(*user), None)?;
                std::fs::set_permissions(path, Permissions::from_mode(mode))
            }
            None => {
                let own = if path.is_dir() { 0o200 } else { 0 };
                std::fs::set_permissions(path, Permissions::from_mode(mode | own | (mode >> 3) | (mode >> 6)))
            }
        }
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.here);
    }
}

/// The name below [`FILES`].
pub(super) fn below(inside: &Path) -> Option<&Path> {
    let name = inside.strip_prefix(FILES).ok()?;
    let plain = name.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && name.file_name().is_some()).then_some(name)
}

/// A directory of this user alone, and no link to another's.
fn private(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = std::fs::symlink_metadata(path)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("it is somebody else's"));
    }
    std::fs::set_permissions(path, Permissions::from_mode(0o700))?;
    File::open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::path::{Path, PathBuf};

    use safeconduct_core::secret::Secret;

    use super::{Shelves, below};

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    fn shelves(name: &str) -> (PathBuf, Shelves) {
        let base = PathBuf::from(format!("/dev/shm/safeconduct-test-{name}-{}", std::process::id()));
        let shelves = Shelves::open(Some(&base), "gw", None, |path| Some(path.to_owned())).unwrap();
        (base, shelves)
    }

    #[test]
    fn files_are_in_memory_and_others_cannot_get_to_them() {
        let (base, shelves) = shelves("memory");
        let shelf = shelves.shelf("orders-1", true).unwrap();
        shelf.belongs_to(1000).unwrap();
        shelf.put(Path::new("/run/safeconduct/gcp/token"), &secret("one")).unwrap();
        let file = shelf.host_files().join("gcp/token");
        assert_eq!(std::fs::read(&file).unwrap(), b"one");
        assert_eq!(std::fs::metadata(&base).unwrap().permissions().mode() & 0o777, 0o700);
        let found = std::fs::metadata(&file).unwrap();
        if rustix::process::geteuid().is_root() {
            assert_eq!((found.uid(), found.permissions().mode() & 0o777), (1000, 0o400));
        }
        shelf.put(Path::new("/run/safeconduct/gcp/token"), &secret("two")).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
        drop(shelf);
        assert!(!file.exists());
        std::fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn what_a_crashed_one_left_is_swept() {
        let (base, shelves) = shelves("swept");
        let gone = shelves.shelf("gone", false).unwrap();
        let here = shelves.shelf("here", false).unwrap();
        shelves.sweep(|name| name == "here");
        assert!(!gone.host_files().exists() && here.host_files().exists());
        std::fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn a_directory_on_a_disk_or_of_another_is_refused() {
        let on_disk = std::env::temp_dir().join(format!("safeconduct-disk-{}", std::process::id()));
        if Shelves::open(Some(&on_disk), "gw", None, |path| Some(path.to_owned())).is_ok() {
            // Where /tmp is in memory there is no disk to refuse.
            std::fs::remove_dir_all(on_disk).unwrap();
            return;
        }
        std::fs::remove_dir_all(on_disk).unwrap();
        let link = PathBuf::from(format!("/dev/shm/safeconduct-link-{}", std::process::id()));
        std::os::unix::fs::symlink("/dev/shm", &link).unwrap();
        let told =
            Shelves::open(Some(&link), "gw", None, |path| Some(path.to_owned())).unwrap_err().to_string();
        std::fs::remove_file(link).unwrap();
        assert!(told.contains("somebody else's"), "{told}");
    }

    #[test]
    fn a_file_is_below_its_directory() {
        assert_eq!(below(Path::new("/run/safeconduct/a/b")), Some(Path::new("a/b")));
        for path in ["/run/safeconduct", "/run/safeconduct/../x", "/etc/passwd", "a"] {
            assert_eq!(below(Path::new(path)), None, "{path}");
        }
    }
}

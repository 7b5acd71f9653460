//! Which paths of the host an instance may see: those that were named, and never one that would give it more than
//! files: the engine's socket, this program's own state, the kernel's file systems.

use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

use crate::engine::EngineError;
use crate::launch::{FILES, Mount};

/// File systems of the kernel and of devices.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];
/// Where engines listen, whichever is in use.
const SOCKETS: [&str; 6] = [
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/podman",
    "/run/containerd",
    "/run/crio",
    "/run/docker",
];
/// Inside, these are made by the engine or by this program, or decide who is who.
const TAKEN: [&str; 9] = [
    "/proc",
    "/sys",
    "/dev",
    "/etc/passwd",
    "/etc/group",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/hostname",
    FILES,
];

/// What must not be mounted.
pub(super) struct Keep {
    paths: Vec<PathBuf>,
}

impl Keep {
    /// Keeps these to ourselves, besides what nobody gets.
    pub(super) fn new(own: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut paths: Vec<PathBuf> = KERNEL.iter().chain(&SOCKETS).map(PathBuf::from).collect();
        paths.extend(own);
        let canonical: Vec<_> = paths.iter().filter_map(|path| path.canonicalize().ok()).collect();
        paths.extend(canonical);
        Self { paths }
    }

    /// The mount as it will be: its place on the host without links.
    pub(super) fn check(&self, mount: &Mount) -> Result<Mount, EngineError> {
        let forbidden = |why: String| {
            Err(EngineError::Forbidden(format!("cannot mount {}: {why}", mount.host.display())))
        };
        inside(&mount.inside)?;
        let host = mount.host.canonicalize().map_err(|error| {
            EngineError::Missing(format!("cannot mount {}: {error}", mount.host.display()))
        })?;
        if host.to_str().is_none_or(|text| text.chars().any(char::is_control)) {
            return forbidden("its name is not plain text".to_owned());
        }
        for kept in &self.paths {
            if host.starts_with(kept) {
                return forbidden(format!("{} is not for servers", kept.display()));
            }
            if kept.starts_with(&host) {
                return forbidden(format!("{} is in it, which is not for servers", kept.display()));
            }
        }
        if std::fs::metadata(&host)
            .is_ok_and(|found| !found.file_type().is_file() && !found.file_type().is_dir())
        {
            let socket = std::fs::metadata(&host).is_ok_and(|found| found.file_type().is_socket());
            return forbidden(
                if socket { "it is a socket" } else { "it is neither a file nor a directory" }.to_owned(),
            );
        }
        Ok(Mount { host, inside: mount.inside.clone() })
    }
}

/// Whether something may be mounted there.
fn inside(path: &Path) -> Result<(), EngineError> {
    let plain = path.is_absolute()
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
        && path.to_str().is_some_and(|text| !text.chars().any(|c| c.is_control() || c == ','));
    let taken = TAKEN.iter().map(Path::new).find(|taken| path.starts_with(taken) || taken.starts_with(path));
    match taken {
        _ if !plain => {
            Err(EngineError::Forbidden(format!("cannot mount at {}: name a whole path", path.display())))
        }
        Some(taken) => Err(EngineError::Forbidden(format!(
            "cannot mount at {}: {} is there",
            path.display(),
            taken.display()
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::path::{Path, PathBuf};

    use super::Keep;
    use crate::launch::Mount;

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("safeconduct-mounts-{name}-{}", std::process::id()));
            for directory in ["data/deep", "state", "other"] {
                std::fs::create_dir_all(root.join(directory)).unwrap();
            }
            Self(root.canonicalize().unwrap())
        }

        fn check(&self, host: impl AsRef<Path>, inside: &str) -> Result<Mount, String> {
            let keep = Keep::new([self.0.join("state"), self.0.join("other/engine.sock")]);
            let mount = Mount { host: self.0.join(host), inside: inside.into() };
            keep.check(&mount).map_err(|error| error.to_string())
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_directory_that_was_named_is_mounted_without_its_links() {
        let tree = Tree::new("named");
        std::os::unix::fs::symlink(tree.0.join("data"), tree.0.join("link")).unwrap();
        assert_eq!(tree.check("data", "/data").unwrap().host, tree.0.join("data"));
        assert_eq!(tree.check("link", "/data").unwrap().host, tree.0.join("data"));
        assert_eq!(tree.check("data/../data/deep", "/data").unwrap().host, tree.0.join("data/deep"));
    }

    #[test]
    fn what_is_ours_is_not_mounted_nor_what_holds_it_nor_a_link_to_it() {
        let tree = Tree::new("ours");
        let _socket = UnixListener::bind(tree.0.join("other/engine.sock")).unwrap();
        let _another = UnixListener::bind(tree.0.join("data/any.sock")).unwrap();
        std::os::unix::fs::symlink(tree.0.join("state"), tree.0.join("link")).unwrap();
        for (host, why) in [
            ("state", "is not for servers"),
            ("link", "is not for servers"),
            (".", "is in it, which is not for servers"),
            ("other", "is in it, which is not for servers"),
            ("other/engine.sock", "is not for servers"),
            ("data/any.sock", "it is a socket"),
            ("/", "is in it"),
            ("/proc", "is not for servers"),
            ("/proc/1", "is not for servers"),
            ("/sys", "is not for servers"),
            ("/dev", "is not for servers"),
            ("/dev/null", "is not for servers"),
            ("/run", "is in it"),
            ("nowhere", "No such file"),
        ] {
            let told = tree.check(host, "/data").unwrap_err();
            assert!(told.contains(why), "{host}: {told}");
        }
    }

    #[test]
    fn nothing_is_mounted_over_what_must_stay() {
        let tree = Tree::new("over");
        for inside in [
            "/",
            "/proc",
            "/sys/fs",
            "/dev/x",
            "/etc",
            "/etc/passwd",
            "/run",
            "/run/safeconduct/x",
            "data",
            "/a/../etc",
            "/a,b",
        ] {
            assert!(tree.check("data", inside).is_err(), "{inside}");
        }
    }
}

//! Whether a container ran out of memory, where the engine does not notice: Podman's monitor misses it with control
//! groups of version 1.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};
use tokio::io::unix::AsyncFd;

use super::way_out::Running;

/// Where the groups for memory of version 1 are.
const GROUPS: &str = "/sys/fs/cgroup/memory";

/// True once memory ran out.
pub(super) type RanOut = Arc<AtomicBool>;

/// Watches the group of a process for as long as `running` is held. Nothing where there are no such groups.
pub(super) fn watch(pid: u32, ran_out: RanOut, running: &Running) -> io::Result<()> {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let Some(group) = memory_group(&groups) else { return Ok(()) };
    let control = File::open(group.join("memory.oom_control"))?;
    let notices: OwnedFd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    // The kernel tells the first descriptor of what happens to the second (cgroup-v1/memcg_test, "event_control").
    let order = format!("{} {}", notices.as_raw_fd(), control.as_raw_fd());
    std::fs::write(group.join("cgroup.event_control"), order)?;
    #[expect(
        deprecated,
        reason = "what it fears, another descriptor under the same number, an owned one rules out"
    )]
    let notices = AsyncFd::new(notices)?;
    running.run(async move {
        if notices.readable().await.is_ok() {
            // It is told of the group's end too, but then the group is gone.
            ran_out.store(group.exists(), Ordering::Release);
        }
        drop(control);
    });
    Ok(())
}

/// The directory of the group that counts memory, of version 1 (proc(5): `4:memory:/path`).
fn memory_group(groups: &str) -> Option<PathBuf> {
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let memory = controllers.split(',').any(|controller| controller == "memory");
        memory.then(|| Path::new(GROUPS).join(path.trim_start_matches('/')))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::memory_group;

    #[test]
    fn the_group_that_counts_memory_is_found_and_of_version_two_there_is_none() {
        let v1 = "9:name=systemd:/x\n4:cpu,memory:/libpod_parent/libpod-1\n0::/x\n";
        let group = memory_group(v1).unwrap();
        assert_eq!(group, Path::new("/sys/fs/cgroup/memory/libpod_parent/libpod-1"));
        assert_eq!(memory_group("0::/user.slice\n"), None);
    }
}

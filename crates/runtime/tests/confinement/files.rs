//! What an instance sees and writes of files.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use safeconduct_runtime::launch::Mount;
use serde_json::{Value, json};

use crate::world::{World, secret, told};

/// A directory of the host for one test, which the engine finds under the same name.
struct Shared(PathBuf);

impl Shared {
    fn new(world: &World) -> Self {
        let path = PathBuf::from(told("SHARED")).join(&world.owner);
        for name in ["read", "write", "secret"] {
            std::fs::create_dir_all(path.join(name)).unwrap();
            std::fs::write(path.join(name).join("file"), name).unwrap();
        }
        std::fs::set_permissions(path.join("write"), std::fs::Permissions::from_mode(0o777)).unwrap();
        Self(path)
    }

    fn at(&self, host: &str, inside: &str) -> Mount {
        Mount { host: self.0.join(host), inside: inside.into() }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn nothing_can_be_written_but_scratch_which_is_small_and_runs_nothing() {
    let world = World::new().await;
    let mut launch = world.launch("scratch");
    launch.permissions.tmp = 4 << 20;
    let mut probe = world.probe(&launch).await;
    probe.can(json!({"do": "write", "path": "/tmp/a", "bytes": 1000})).await;
    // A program that was written there does not run; the same one does where the image has it.
    assert_eq!(probe.can(json!({"do": "run", "program": ["/bin/sh", "-c", "exit 3"]})).await["code"], 3);
    let there = "busybox cp /bin/busybox /tmp/b && busybox chmod 755 /tmp/b && /tmp/b sh -c 'exit 3'";
    let ran = probe.can(json!({"do": "run", "program": ["/bin/sh", "-c", there]})).await;
    assert!(ran["code"] == 126 && ran["text"].as_str().unwrap().contains("Permission denied"), "{ran}");
    assert_eq!(probe.cannot(json!({"do": "write", "path": "/tmp/c", "bytes": 8 << 20})).await, "ENOSPC");
    for path in [
        "/a",
        "/home/app/a",
        "/etc/passwd",
        "/usr/bin/a",
        "/var/tmp/a",
        "/run/a",
        "/probe.py",
        "/srv/a",
        "/data/a",
    ] {
        let why = probe.cannot(json!({"do": "write", "path": path})).await;
        assert!(["EROFS", "EACCES"].contains(&why.as_str()), "{path}: {why}");
    }
    let mounts = probe.ask(json!({"do": "mounts"})).await["got"].clone();
    let tmp = at(&mounts, "/tmp");
    assert_eq!(tmp["kind"], "tmpfs");
    for option in ["nosuid", "nodev", "noexec"] {
        assert!(has(tmp, option), "{option}: {tmp}");
    }
    assert!(has(at(&mounts, "/"), "ro"));
    probe.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn of_the_host_only_what_was_named_is_there() {
    let world = World::new().await;
    let shared = Shared::new(&world);
    let mut launch = world.launch("mounts");
    launch.permissions.read = vec![shared.at("read", "/srv/read")];
    launch.permissions.write = vec![shared.at("write", "/srv/write")];
    let mut probe = world.probe(&launch).await;
    assert_eq!(probe.can(json!({"do": "read", "path": "/srv/read/file"})).await, "read");
    assert_eq!(probe.cannot(json!({"do": "write", "path": "/srv/read/new"})).await, "EROFS");
    probe.can(json!({"do": "write", "path": "/srv/write/new"})).await;
    assert_eq!(std::fs::read(shared.0.join("write/new")).unwrap(), b"x");
    assert_eq!(probe.cannot(json!({"do": "read", "path": shared.0.join("secret/file")})).await, "ENOENT");

    // Everything else that is mounted is the engine's own.
    let mounts = probe.ask(json!({"do": "mounts"})).await["got"].clone();
    let own = [
        "/",
        "/proc",
        "/dev",
        "/sys",
        "/tmp",
        "/etc/resolv.conf",
        "/etc/hostname",
        "/etc/hosts",
        "/run/.containerenv",
        "/run",
        "/var/tmp",
    ];
    for mount in mounts.as_array().unwrap() {
        let place = mount["at"].as_str().unwrap();
        let below = ["/proc/", "/sys/", "/dev/"].iter().any(|root| place.starts_with(root));
        let ours = ["/srv/read", "/srv/write"].contains(&place);
        assert!(own.contains(&place) || below || ours, "{mount}");
        let memory = ["tmpfs", "proc", "devpts", "mqueue", "cgroup", "cgroup2", "sysfs", "devtmpfs"]
            .contains(&mount["kind"].as_str().unwrap());
        assert!(has(mount, "ro") || memory || place == "/srv/write", "writable: {mount}");
    }
    probe.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn what_would_give_more_than_files_is_not_mounted() {
    let world = World::new().await;
    let mut launch = world.launch("forbidden");
    let engine = told("ENGINE").trim_start_matches("unix://").to_owned();
    let above = Path::new(&engine).parent().unwrap().to_string_lossy().into_owned();
    for host in [engine.as_str(), &above, "/", "/proc", "/sys", "/dev", "/run"] {
        for write in [false, true] {
            let mount = vec![Mount { host: host.into(), inside: "/srv/x".into() }];
            let permissions = &mut launch.permissions;
            (permissions.read, permissions.write) = if write { (vec![], mount) } else { (mount, vec![]) };
            let refused =
                world.try_start(&launch).await.err().unwrap_or_else(|| panic!("{host} was mounted"));
            assert!(refused.to_string().starts_with(&format!("cannot mount {host}")), "{refused}");
        }
    }
    world.finish().await;
}

#[tokio::test]
async fn files_in_memory_are_the_users_alone_and_are_replaced_while_it_runs() {
    let world = World::new().await;
    let mut launch = world.launch("memory");
    let token = PathBuf::from("/run/safeconduct/gcp/token");
    launch.files = vec![(token.clone(), secret("first")), ("/run/safeconduct/b".into(), secret("b"))];
    let mut probe = world.probe(&launch).await;
    assert_eq!(probe.can(json!({"do": "read", "path": token})).await, "first");
    let found = probe.can(json!({"do": "stat", "path": token})).await;
    if rustix::process::geteuid().is_root() && told("ROOTLESS") != "1" {
        assert_eq!(found, json!({"uid": 1000, "mode": "0o400"}));
    }
    let mounts = probe.ask(json!({"do": "mounts"})).await["got"].clone();
    assert_eq!(at(&mounts, "/run/safeconduct")["kind"], "tmpfs");
    for path in ["/run/safeconduct/gcp/token", "/run/safeconduct/new"] {
        let why = probe.cannot(json!({"do": "write", "path": path})).await;
        assert!(["EROFS", "EACCES"].contains(&why.as_str()), "{path}: {why}");
    }
    probe.instance.write(&token, &secret("second")).await.unwrap();
    assert_eq!(probe.can(json!({"do": "read", "path": token})).await, "second");
    // Nothing but the files is there, and only what was there before is written.
    assert_eq!(probe.can(json!({"do": "listing", "path": "/run/safeconduct"})).await, json!(["b", "gcp"]));
    assert!(probe.instance.write(Path::new("/run/safeconduct/new"), &secret("x")).await.is_err());
    assert!(probe.instance.write(Path::new("/etc/passwd"), &secret("x")).await.is_err());
    probe.stop().await;

    launch.files = vec![("/etc/passwd".into(), secret("x"))];
    assert!(
        world.try_start(&launch).await.err().unwrap().to_string().contains("stands below /run/safeconduct")
    );
    world.finish().await;
}

fn at<'a>(mounts: &'a Value, place: &str) -> &'a Value {
    mounts
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .find(|mount| mount["at"] == place)
        .unwrap_or_else(|| panic!("no {place}"))
}

fn has(mount: &Value, option: &str) -> bool {
    mount["options"].as_array().unwrap().iter().any(|found| found == option)
}

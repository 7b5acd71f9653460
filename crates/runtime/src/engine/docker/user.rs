//! As whom an instance runs: never as root by accident, also not under another name.

use bollard::Docker as Api;
use bollard::query_parameters::DownloadFromContainerOptions;
use futures_util::TryStreamExt;

use super::error::told;
use crate::engine::EngineError;

/// A list of users that is longer is none.
const LONGEST: usize = 1 << 20;

/// As whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum User {
    /// A number.
    Id(u32),
    /// A name, which the image's own list turns into a number: it has to be looked at.
    Name(String),
}

impl User {
    /// Reads `uid[:gid]` or `name[:group]`; nothing means root.
    pub(super) fn read(text: &str) -> Self {
        let user = text.split(':').next().unwrap_or_default().trim();
        match user.parse() {
            Ok(id) => Self::Id(id),
            Err(_) if user.is_empty() || user == "root" => Self::Id(0),
            Err(_) => Self::Name(user.to_owned()),
        }
    }
}

/// Refuses root, unless it was asked for.
pub(super) fn check(id: u32, said: &str, root: bool) -> Result<(), EngineError> {
    if id != 0 || root {
        return Ok(());
    }
    let said = if said.is_empty() {
        "says no user, which is root".to_owned()
    } else {
        format!("runs as `{said}`, which is root")
    };
    Err(EngineError::Forbidden(format!(
        "the image {said}: choose another user (`user: 1000`), or accept it with `root: true`"
    )))
}

/// What number a name has in a container that was made and does not run yet.
pub(super) async fn look_up(api: &Api, container: &str, name: &str) -> Result<u32, EngineError> {
    let unknown = || {
        EngineError::Forbidden(format!(
            "the image's user `{name}` is not in its /etc/passwd: say a number (`user: 1000`)"
        ))
    };
    let options = DownloadFromContainerOptions { path: "/etc/passwd".to_owned() };
    let archive = api.download_from_container(container, Some(options)).try_fold(
        Vec::new(),
        |mut all, part| async move {
            if all.len() <= LONGEST {
                all.extend_from_slice(&part);
            }
            Ok(all)
        },
    );
    let archive = archive.await.map_err(|error| match told(error) {
        EngineError::Missing(_) => unknown(),
        other => other,
    })?;
    let list = file(&archive).ok_or_else(unknown)?;
    id_of(&String::from_utf8_lossy(list), name).ok_or_else(unknown)
}

/// The first file of an archive, if it is one of a plain file (POSIX ustar).
fn file(archive: &[u8]) -> Option<&[u8]> {
    let (head, rest) = archive.split_at_checked(512)?;
    if !matches!(head.get(156)?, b'0' | 0) {
        return None;
    }
    let size = std::str::from_utf8(head.get(124..135)?).ok()?;
    rest.get(..usize::from_str_radix(size.trim_matches(['\0', ' ']), 8).ok()?)
}

/// The number of a name. The first line that has it counts, as for the engine.
fn id_of(list: &str, name: &str) -> Option<u32> {
    let line = list.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{User, check, file, id_of};

    #[test]
    fn nothing_and_zero_and_root_are_root() {
        for text in ["", "0", "0:1000", "root", "root:app", ":0", "00"] {
            assert_eq!(User::read(text), User::Id(0), "{text}");
        }
        assert_eq!(User::read("1000:0"), User::Id(1000));
        assert_eq!(User::read("app:app"), User::Name("app".into()));
    }

    #[test]
    fn root_is_refused_unless_it_was_asked_for() {
        assert!(check(1000, "1000", false).is_ok());
        let error = check(0, "", false).unwrap_err().to_string();
        assert!(error.contains("says no user, which is root") && error.contains("`user: 1000`"), "{error}");
        assert!(check(0, "sneaky", false).unwrap_err().to_string().contains("`sneaky`, which is root"));
        assert!(check(0, "", true).is_ok());
    }

    #[test]
    fn a_name_is_what_the_images_list_makes_of_it() {
        let list = "root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\nsneaky:x:0:0::/:/bin/sh\napp:x:0:0::/:/bin/sh\n";
        assert_eq!(id_of(list, "app"), Some(1000));
        assert_eq!(id_of(list, "sneaky"), Some(0));
        assert_eq!(id_of(list, "nobody"), None);
    }

    #[test]
    fn a_list_is_read_from_an_archive_and_a_link_is_not_followed() {
        let mut archive = vec![0; 1024];
        archive[124..135].copy_from_slice(b"00000000004");
        archive[156] = b'0';
        archive[512..516].copy_from_slice(b"root");
        assert_eq!(file(&archive), Some(&b"root"[..]));
        archive[156] = b'2';
        assert_eq!(file(&archive), None);
        assert_eq!(file(&archive[..100]), None);
    }
}

//! Names of images.

use crate::engine::EngineError;

/// What kind of name it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference<'a> {
    /// `sha256:...`: an image that is here.
    Id,
    /// `name@sha256:...`.
    Digest,
    /// `name:tag`, or `name` alone, which means `latest`.
    Tag { name: &'a str, tag: &'a str },
}

impl<'a> Reference<'a> {
    /// Reads it. The engine gets it as part of a path: nothing else than a name may be in it.
    pub(super) fn read(text: &'a str) -> Result<Self, EngineError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
        let bad = || EngineError::Forbidden(format!("`{text}` is no name of an image"));
        if text.is_empty()
            || !text.chars().all(plain)
            || text.starts_with(['.', '-', '/', ':', '@'])
            || text.contains("..")
        {
            return Err(bad());
        }
        if text.strip_prefix("sha256:").is_some_and(is_digest) {
            return Ok(Self::Id);
        }
        if let Some((_, digest)) = text.split_once('@') {
            return if digest.strip_prefix("sha256:").is_some_and(is_digest) {
                Ok(Self::Digest)
            } else {
                Err(bad())
            };
        }
        // A colon before the last slash belongs to the registry's port.
        match text.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => Ok(Self::Tag { name, tag }),
            _ => Ok(Self::Tag { name: text, tag: "latest" }),
        }
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The registry of a name: its first part, if that looks like a host; Docker's own otherwise.
pub(super) fn registry(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => "docker.io",
    }
}

#[cfg(test)]
mod tests {
    use super::{Reference, registry};

    #[test]
    fn digests_and_tags_are_told_apart() {
        let digest = "a".repeat(64);
        assert_eq!(Reference::read(&format!("sha256:{digest}")).unwrap(), Reference::Id);
        assert_eq!(Reference::read(&format!("ghcr.io/a/b@sha256:{digest}")).unwrap(), Reference::Digest);
        assert_eq!(Reference::read(&format!("ghcr.io/a/b:1@sha256:{digest}")).unwrap(), Reference::Digest);
        let tag = |text| match Reference::read(text).unwrap() {
            Reference::Tag { name, tag } => (name, tag),
            other => panic!("{other:?}"),
        };
        assert_eq!(tag("mcp/time"), ("mcp/time", "latest"));
        assert_eq!(tag("mcp/time:1.2"), ("mcp/time", "1.2"));
        assert_eq!(tag("localhost:5000/time"), ("localhost:5000/time", "latest"));
        assert_eq!(tag("localhost:5000/time:2"), ("localhost:5000/time", "2"));
    }

    #[test]
    fn what_is_no_name_does_not_reach_the_engine() {
        for text in ["", "a b", "../containers", "a/../b", "a?b=c", "a%2f", "/a", "a@sha256:short", "a@md5:0"]
        {
            assert!(Reference::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_registry_is_the_first_part_that_looks_like_a_host() {
        assert_eq!(registry("ghcr.io/a/b:1"), "ghcr.io");
        assert_eq!(registry("localhost:5000/a"), "localhost:5000");
        assert_eq!(registry("mcp/time"), "docker.io");
        assert_eq!(registry("time"), "docker.io");
    }
}

//! A secret by reference: given at start, or in a file that may be replaced while the program runs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use safeconduct_core::secret::Secret;
use thiserror::Error;

/// A secret cannot be had. The text names the file and never its content.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file cannot be read, and never could.
    #[error("cannot read the secret file {path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// There is nothing in it.
    #[error("the secret {0} is empty")]
    Empty(String),
}

/// Where a secret comes from. A file is read again at each use, so a rotated secret is used at the next
/// exchange (edge cases 9 and 11); while it cannot be read, the last good content serves.
pub struct SecretSource(Source);

enum Source {
    Given(Arc<Secret>),
    File { path: PathBuf, last: Mutex<Arc<Secret>> },
}

impl SecretSource {
    /// From a value that the configuration resolved (an environment variable, an inline example).
    ///
    /// # Errors
    /// `Empty`.
    pub fn given(secret: Secret) -> Result<Self, SecretError> {
        if secret.is_empty() {
            return Err(SecretError::Empty("given in the configuration".into()));
        }
        Ok(Self(Source::Given(Arc::new(secret))))
    }

    /// From a file, which must be readable now. One line break at its end is not part of the secret.
    ///
    /// # Errors
    /// `Unreadable`, `Empty`.
    pub fn file(path: impl Into<PathBuf>) -> Result<Self, SecretError> {
        let path = path.into();
        let last = Mutex::new(Arc::new(read(&path)?));
        Ok(Self(Source::File { path, last }))
    }

    /// The secret as it is now.
    pub fn current(&self) -> Arc<Secret> {
        match &self.0 {
            Source::Given(secret) => secret.clone(),
            Source::File { path, last } => {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                match read(path) {
                    Ok(fresh) if fresh.expose() != last.expose() => *last = Arc::new(fresh),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(%error, "using the last good content of a secret file")
                    }
                }
                last.clone()
            }
        }
    }

    /// True when the content can change while the program runs.
    pub fn rotates(&self) -> bool {
        matches!(self.0, Source::File { .. })
    }
}

fn read(path: &PathBuf) -> Result<Secret, SecretError> {
    let name = || path.display().to_string();
    let mut bytes = std::fs::read(path).map_err(|source| SecretError::Unreadable { path: name(), source })?;
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    if bytes.is_empty() { Err(SecretError::Empty(name())) } else { Ok(Secret::new(bytes)) }
}

/// Parts of names of secrets, without `-` and `_`.
const TELLING: [&str; 9] =
    ["secr", "passw", "passphrase", "pwd", "token", "privatekey", "apikey", "authorization", "inline"];

/// True for the name of something whose value is likely a secret.
pub fn is_telling(name: &str) -> bool {
    let name: String = name.to_lowercase().chars().filter(|c| !matches!(c, '-' | '_')).collect();
    TELLING.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("safeconduct-secret-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder.join("secret")
    }

    /// Edge: 9
    #[test]
    fn a_rotated_file_is_used_at_the_next_read_and_a_lost_one_leaves_the_last_good_secret() {
        let path = scratch("rotated");
        std::fs::write(&path, "first\n").unwrap();
        let source = SecretSource::file(&path).unwrap();
        assert_eq!(source.current().expose(), b"first");
        std::fs::write(&path, "second\r\n").unwrap();
        assert_eq!(source.current().expose(), b"second");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(source.current().expose(), b"second");
    }

    #[test]
    fn an_empty_secret_is_refused_at_load() {
        let path = scratch("empty");
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(SecretSource::file(&path), Err(SecretError::Empty(_))));
        assert!(matches!(SecretSource::given(Secret::new(Vec::new())), Err(SecretError::Empty(_))));
    }
}

//! What the file refers to and does not hold: environment variables and files.

use std::path::PathBuf;
use std::sync::Arc;

use safeconduct_core::secret::Secret;

use super::{Resolver, plainly};
use crate::config::decode::At;
use crate::config::plan::{SecretOrigin, SecretValue};
use crate::config::values::SecretText;

/// Larger secrets are mistakes: a PEM key with its comments is below it.
const LARGEST: usize = 64 * 1024;

/// How an environment variable is read.
pub(crate) type Variables = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The world around a configuration file.
pub struct Surroundings {
    /// Reads an environment variable.
    pub variable: Variables,
    /// Where relative paths start.
    pub directory: PathBuf,
    /// Where the lock file is, unless the file says otherwise.
    pub lock: PathBuf,
}

impl Surroundings {
    /// The process's environment, and the directory of the configuration file.
    pub fn of_process(file: &std::path::Path) -> Self {
        let directory = file.parent().map(PathBuf::from).unwrap_or_default();
        let lock = file.with_extension("lock");
        Self { variable: Box::new(|name| std::env::var(name).ok()), directory, lock }
    }
}

impl Resolver<'_> {
    /// The secret, or None after noting why it cannot be had.
    pub(super) fn secret(&mut self, written: &At<SecretText>) -> Option<Arc<SecretValue>> {
        let (origin, value) = match &written.value {
            SecretText::Inline(text) => (SecretOrigin::Inline, text.clone().into_bytes()),
            SecretText::Env(name) => {
                let Some(text) = (self.surroundings.variable)(name).filter(|text| !text.is_empty()) else {
                    self.problems
                        .error(written.span.clone(), format!("the environment variable `{name}` is not set"))
                        .label("not set, or empty")
                        .help(format!("export {name}=... before starting, or use `file:PATH`"));
                    return None;
                };
                (SecretOrigin::Env(name.clone()), text.into_bytes())
            }
            SecretText::Keyring(_) | SecretText::Encrypted(_) => self.kept_elsewhere(written)?,
            SecretText::File(written_path) => {
                let path = self.path(written_path);
                match std::fs::read(&path) {
                    Ok(bytes) => (SecretOrigin::File(path), without_line_end(bytes)),
                    Err(error) => {
                        let why = plainly(&error);
                        self.problems
                            .error(
                                written.span.clone(),
                                format!("cannot read the secret file `{written_path}`: {why}"),
                            )
                            .label("this file")
                            .help("relative paths start at the directory of the configuration file");
                        return None;
                    }
                }
            }
        };
        if value.is_empty() || value.len() > LARGEST {
            let what = if value.is_empty() { "empty" } else { "larger than 64 KiB" };
            self.problems.error(written.span.clone(), format!("this secret is {what}")).label(what);
            return None;
        }
        Some(Arc::new(SecretValue { origin, value: Secret::new(value) }))
    }
}

fn without_line_end(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    bytes
}

//! The program itself, run as a person would, without a terminal.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a run came to.
pub(crate) struct Ran {
    pub(crate) data: String,
    pub(crate) people: String,
    pub(crate) code: i32,
}

impl Ran {
    /// All that was seen, as text.
    pub(crate) fn transcript(&self) -> String {
        let mut text = self.data.clone();
        if !self.people.is_empty() {
            text.push_str(&format!("--- standard error\n{}", self.people));
        }
        text.push_str(&format!("--- exit code {}\n", self.code));
        text
    }
}

/// Runs it in a directory with this environment and no other.
pub(crate) fn safeconduct(directory: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_safeconduct"))
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { data: text(output.stdout), people: text(output.stderr), code: output.status.code().unwrap() }
}

/// A directory of its own for a test, empty.
pub(crate) fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// A directory of this crate.
pub(crate) fn of_crate(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

//! What the lines are written to.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where the audit lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file (or a named pipe), appended to; made with mode 0600.
    File(PathBuf),
    /// Standard output.
    Stdout,
    /// Nowhere: nothing is written, and there is always room.
    Nowhere,
}

/// A target, open.
pub(super) enum Output {
    /// `syncs` when it is a regular file, which alone can be made durable.
    File {
        file: File,
        syncs: bool,
    },
    Stdout,
}

impl Output {
    /// Opens the target; None for nowhere.
    pub(super) fn open(target: &Target) -> io::Result<Option<Self>> {
        match target {
            Target::File(path) => open_file(path).map(Some),
            Target::Stdout => Ok(Some(Self::Stdout)),
            Target::Nowhere => Ok(None),
        }
    }

    /// Writes some of `bytes`; how many.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File { file, .. } => file.write(bytes),
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()?;
                Ok(bytes.len())
            }
        }
    }

    /// Waits until what was written is on disk, where there is one.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        match self {
            Self::File { file, syncs: true } => file.sync_data(),
            _ => Ok(()),
        }
    }
}

fn open_file(path: &Path) -> io::Result<Output> {
    // Opened for reading too: so a named pipe without a reader does not block here, and the end can be looked at.
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let about = file.metadata()?;
    let syncs = about.is_file();
    if syncs && ends_within_a_line(&file, about.len())? {
        file.write_all(b"\n")?;
    }
    Ok(Output::File { file, syncs })
}

/// True when an earlier process was cut off in the middle of a line.
fn ends_within_a_line(file: &File, length: u64) -> io::Result<bool> {
    let Some(last) = length.checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte != *b"\n")
}

//! A text that is compared with the one that was kept.

use std::path::Path;

/// Fails when `text` is not what the file (relative to the crate) holds; writes it with `UPDATE=1`.
pub(crate) fn holds(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(text.lines()).position(|(kept, new)| kept != new);
    assert!(
        kept == text,
        "{file} is stale (line {}); if the change is meant: UPDATE=1 cargo test -p safeconduct --test cli\n\n{text}",
        differs.unwrap_or_else(|| kept.lines().count().min(text.lines().count())) + 1,
    );
}

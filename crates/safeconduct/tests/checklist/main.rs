//! The protocol's checklist: every row has a test that names it (`/// Row: A3`), and docs/checklist.md lists them.
//! `UPDATE=1 cargo test -p safeconduct --test checklist` rewrites the page.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test ends where it fails"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Rows that are proved by something other than a Rust test.
const ELSEWHERE: &[(&str, &str)] = &[(
    "P1",
    "`interop/conformance.sh`: the official suite, direct and through the gateway, by check counts",
)];

#[test]
fn every_row_of_the_checklist_has_a_test_and_the_page_lists_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let proofs = proofs(&root);
    let rows = include_str!("rows.tsv").lines().filter(|line| !line.starts_with('#'));
    let rows: Vec<(&str, &str)> = rows.filter_map(|line| line.split_once('\t')).collect();
    let mut page = String::from(HEAD);
    let mut missing = Vec::new();
    for (row, requirement) in &rows {
        let mut tests = proofs.get(*row).cloned().unwrap_or_default();
        tests.extend(ELSEWHERE.iter().filter(|(id, _)| id == row).map(|(_, how)| (*how).to_owned()));
        if tests.is_empty() {
            missing.push(*row);
        }
        let _ = writeln!(page, "| {row} | {requirement} | {} |", tests.join("<br>"));
    }
    let unknown: Vec<&String> = proofs.keys().filter(|id| !rows.iter().any(|(row, _)| row == id)).collect();
    let unknown: Vec<&&String> = unknown.iter().filter(|id| !id.starts_with('R')).collect();
    assert!(unknown.is_empty(), "tests name rows that are not in rows.tsv: {unknown:?}");
    assert!(missing.is_empty(), "no test names these rows: {missing:?}");
    let path = root.join("docs/checklist.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == page,
        "docs/checklist.md is stale: UPDATE=1 cargo test -p safeconduct --test checklist"
    );
}

const HEAD: &str = "# Checklist\n\nWhat the protocol asks of a gateway, row by row, and the tests that keep it. Made from \
                    the tests; do not edit.\n\nRequirement texts name specification revisions as S18 (2025-06-18), S25 \
                    (2025-11-25) and S26 (2026-07-28).\n\n| row | requirement | proved by |\n|---|---|---|\n";

/// Row id to the tests that name it, as `crate::file: test_name`.
fn proofs(root: &Path) -> BTreeMap<String, Vec<String>> {
    let mut proofs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut files = Vec::new();
    sources(&root.join("crates"), &mut files);
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let place = file.strip_prefix(root.join("crates")).unwrap().display().to_string();
        let mut pending: Vec<String> = Vec::new();
        for line in text.lines().map(str::trim) {
            if let Some(rows) = line.strip_prefix("/// Row: ") {
                pending.extend(rows.split(',').map(|row| row.trim().to_owned()));
            } else if let Some(name) = test_name(line) {
                for row in pending.drain(..) {
                    proofs.entry(row).or_default().push(format!("`{place}`: {}", name.replace('_', " ")));
                }
            }
        }
    }
    proofs
}

fn test_name(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub(crate) ").unwrap_or(line);
    let rest = rest.strip_prefix("async ").unwrap_or(rest);
    rest.strip_prefix("fn ").and_then(|rest| rest.split(['(', '<']).next())
}

fn sources(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs")
            && !path.ends_with("checklist/main.rs")
        {
            files.push(path);
        }
    }
}

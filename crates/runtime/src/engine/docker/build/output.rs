//! What a build says: the last lines for people, and what the installer has installed.

use std::collections::VecDeque;

use bollard::models::BuildInfo;
use serde::Deserialize;

use crate::engine::docker::error::line;

/// The installer's last line begins with this.
const MARK: &str = "safeconduct-built ";
/// Lines that are kept for people, and characters of each.
const KEPT: usize = 12;
const WIDTH: usize = 300;

/// See the module.
#[derive(Default)]
pub(super) struct Output {
    /// The beginning of a line whose end has not come.
    open: String,
    lines: VecDeque<String>,
    built: Option<Built>,
}

/// What was installed.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Built {
    pub(super) version: String,
    pub(super) entry: String,
}

impl Output {
    pub(super) fn take(&mut self, info: &BuildInfo) {
        self.open.push_str(info.stream.as_deref().unwrap_or_default());
        while let Some((whole, rest)) = self.open.split_once('\n') {
            let (whole, rest) = (whole.to_owned(), rest.to_owned());
            self.open = rest;
            self.line(&whole);
        }
        // A line without an end is not kept for ever.
        if self.open.len() > 1 << 20 {
            self.open.clear();
        }
    }

    fn line(&mut self, text: &str) {
        if let Some(said) = text.strip_prefix(MARK) {
            self.built = serde_json::from_str(said).ok();
        }
        let text: String = line(text).chars().take(WIDTH).collect();
        if text.is_empty() {
            return;
        }
        tracing::debug!("build: {text}");
        self.lines.push_back(text);
        if self.lines.len() > KEPT {
            self.lines.pop_front();
        }
    }

    pub(super) fn built(&self) -> Option<Built> {
        self.built.clone()
    }

    pub(super) fn last(&self) -> &str {
        self.lines.back().map_or("", String::as_str)
    }

    /// The last lines, to follow an error.
    pub(super) fn told(&self) -> String {
        self.lines.iter().map(|line| format!("\n    {line}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::BuildInfo;

    use super::Output;

    #[test]
    fn what_was_installed_is_read_also_when_the_line_comes_in_parts() {
        let mut output = Output::default();
        for part in [
            "Collecting x\n\u{1b}[1mInst",
            "alled\nsafeconduct-built {\"version\":\"1.2\",",
            "\"entry\":\"x\"}\n",
        ] {
            output.take(&BuildInfo { stream: Some(part.into()), ..BuildInfo::default() });
        }
        let built = output.built().unwrap();
        assert_eq!((built.version.as_str(), built.entry.as_str()), ("1.2", "x"));
        assert!(output.told().starts_with("\n    Collecting x\n     [1mInstalled\n"), "{}", output.told());
        for number in 0..100 {
            output.take(&BuildInfo { stream: Some(format!("line {number}\n")), ..BuildInfo::default() });
        }
        assert_eq!((output.last(), output.lines.len()), ("line 99", 12));
    }
}

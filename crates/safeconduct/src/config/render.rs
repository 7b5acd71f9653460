//! Problems as people read them, and as programs do.

use std::fmt;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use serde::Serialize;

use super::problem::{Problem, Report, Severity};

/// Columns of the text; wide enough for the longest help, narrow enough for two windows.
const WIDTH: usize = 110;

impl Report {
    /// Every problem with its line, underline and help.
    pub fn text(&self, color: bool) -> String {
        let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let printer = GraphicalReportHandler::new_themed(theme)
            .with_links(false)
            .with_width(WIDTH)
            .with_context_lines(1);
        let mut text = String::new();
        for problem in &self.problems {
            // Writing into a String does not fail; what could not be drawn is still said in one line.
            if printer.render_report(&mut text, &self.drawn(problem)).is_err() {
                text.push_str(&problem.message);
            }
            text.push('\n');
        }
        text
    }

    /// Every problem with its place as numbers.
    pub fn rows(&self) -> Vec<Row<'_>> {
        self.problems.iter().map(|problem| self.row(problem)).collect()
    }

    /// `2 errors, 1 warning`.
    pub fn tally(&self) -> String {
        let words = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        format!(
            "{}, {}",
            words(self.count(Severity::Error), "error"),
            words(self.count(Severity::Warning), "warning")
        )
    }

    fn drawn(&self, problem: &Problem) -> Drawn {
        let source = self.sources.get(problem.source);
        let empty = problem.span.is_empty() && problem.span.start == 0;
        Drawn {
            problem: problem.clone(),
            source: source
                .filter(|_| !empty)
                .map(|source| NamedSource::new(&source.name, source.text.clone())),
            file: source.map(|source| source.name.clone()).unwrap_or_default(),
        }
    }

    fn row<'r>(&'r self, problem: &'r Problem) -> Row<'r> {
        let source = self.sources.get(problem.source);
        let before = source.and_then(|source| source.text.get(..problem.span.start)).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Row {
            severity: problem.severity,
            file: source.map(|source| source.name.as_str()).unwrap_or_default(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            length: problem.span.len(),
            message: &problem.message,
            label: &problem.label,
            help: problem.help.as_deref(),
        }
    }
}

/// A problem as programs read it.
#[derive(Debug, Serialize)]
pub struct Row<'r> {
    /// `error` or `warning`.
    pub severity: Severity,
    /// File as the user named it.
    pub file: &'r str,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Length in bytes.
    pub length: usize,
    /// What is wrong.
    pub message: &'r str,
    /// What stands under the underline.
    pub label: &'r str,
    /// What to do next.
    pub help: Option<&'r str>,
}

struct Drawn {
    problem: Problem,
    source: Option<NamedSource<String>>,
    file: String,
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source.is_none() && !self.file.is_empty() {
            write!(f, "{}: ", self.file)?;
        }
        f.write_str(&self.problem.message)
    }
}

impl fmt::Debug for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Drawn {}

impl Diagnostic for Drawn {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.problem.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.problem.span.clone();
        let label = LabeledSpan::new_primary_with_span(Some(self.problem.label.clone()), span);
        Some(Box::new(self.source.iter().map(move |_| label.clone())))
    }
}

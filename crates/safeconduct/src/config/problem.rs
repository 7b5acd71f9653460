//! What is wrong with a configuration: every problem at once, each with its place and what to do next.

use std::ops::Range;

use serde::Serialize;

use super::node::{Kind, Node};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, and somebody should look at it.
    Warning,
}

/// A file that problems point into: the configuration, or a policy.
#[derive(Clone, Debug)]
pub struct SourceText {
    /// Path as the user wrote it.
    pub name: String,
    /// Its text with everything secret masked, byte for byte: this is what is printed.
    pub text: String,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad.
    pub severity: Severity,
    /// Index into [`Report::sources`]; 0 is the configuration file.
    pub source: usize,
    /// Bytes of the source that are underlined; empty when the whole file is meant.
    pub span: Range<usize>,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// A few words under the underline.
    pub label: String,
    /// What to do next.
    pub help: Option<String>,
}

/// All that is known to be wrong, in the order of the files.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Files that problems point into.
    pub sources: Vec<SourceText>,
    /// The problems.
    pub problems: Vec<Problem>,
}

impl Report {
    /// True when a problem is an error.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Number of problems of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    /// Adds an error that belongs to no place in a file.
    pub(crate) fn add(&mut self, message: String, help: &str) {
        let (label, help) = (String::new(), Some(help.to_owned()));
        let problem = Problem { severity: Severity::Error, source: 0, span: 0..0, message, label, help };
        self.problems.push(problem);
    }

    /// Puts the problems in the order of the files, the same one only once.
    pub(crate) fn sort(&mut self) {
        let place = |problem: &Problem| (problem.source, problem.span.start);
        // At one place by their words: Cedar finds them in no particular order.
        self.problems.sort_by(|one, other| (place(one), &one.message).cmp(&(place(other), &other.message)));
        self.problems.dedup();
    }
}

/// Problems of the configuration file in the making, with the places that hold secrets.
#[derive(Default)]
pub(crate) struct Problems {
    pub(crate) found: Vec<Problem>,
    /// Places whose text must never be printed.
    pub(crate) secret_spans: Vec<Range<usize>>,
}

impl Problems {
    /// Notes an error at `span`; continue with [`Noted`] to add a label and help.
    pub(crate) fn error(&mut self, span: Range<usize>, message: impl Into<String>) -> Noted<'_> {
        self.note(Severity::Error, span, message.into())
    }

    /// Notes a warning at `span`.
    pub(crate) fn warning(&mut self, span: Range<usize>, message: impl Into<String>) -> Noted<'_> {
        self.note(Severity::Warning, span, message.into())
    }

    /// Keeps this value, and all that is in it, out of everything that is printed.
    pub(crate) fn keep_secret(&mut self, node: &Node) {
        self.secret_spans.push(node.span.clone());
        match &node.kind {
            Kind::List(items) => items.iter().for_each(|item| self.keep_secret(item)),
            Kind::Map(entries) => entries.iter().for_each(|entry| self.keep_secret(&entry.value)),
            Kind::Null | Kind::Flag(_) | Kind::Number(_) | Kind::Text(_) => {}
        }
    }

    fn note(&mut self, severity: Severity, span: Range<usize>, message: String) -> Noted<'_> {
        let index = self.found.len();
        self.found.push(Problem {
            severity,
            source: 0,
            span,
            message,
            label: String::from("here"),
            help: None,
        });
        Noted { problem: self.found.get_mut(index) }
    }
}

/// A problem that was just noted.
pub(crate) struct Noted<'a> {
    problem: Option<&'a mut Problem>,
}

impl Noted<'_> {
    /// Says what stands under the underline.
    pub(crate) fn label(self, label: impl Into<String>) -> Self {
        self.change(|problem| problem.label = label.into())
    }

    /// Says what to do next.
    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        self.change(|problem| problem.help = Some(help.into()))
    }

    /// The same, when there is something to say.
    pub(crate) fn maybe_help(self, help: Option<String>) -> Self {
        self.change(|problem| problem.help = help)
    }

    fn change(mut self, change: impl FnOnce(&mut Problem)) -> Self {
        if let Some(problem) = self.problem.as_deref_mut() {
            change(problem);
        }
        self
    }
}

//! From policy files to a [`Policy`]: all problems at once, each with its place and what to do about it.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

use cedar_policy::{EntityUid, ParseError, PolicyId, PolicySet};
use miette::Diagnostic;

use super::entities::Types;
use super::near::nearest;
use super::rule::{Rule, named};
use super::schema::{GROUPS, Schemas};
use super::select::Index;
use super::validate::validate;
use super::{Policy, Problem, Source};
use crate::mcp::methods::TABLE;

/// What needs no rule of its own (unless a forbid takes it away).
const BUILT_IN: [(&str, &str); 2] = [
    ("built-in:life", "permit (principal, action in Action::\"life\", resource);"),
    ("built-in:lists", "permit (principal, action in Action::\"list\", resource);"),
];

impl Policy {
    /// Compiles policy files. Servers are those of the configuration, to notice a policy that names another. No
    /// policies at all is no error: everything is denied then, and a warning says so.
    ///
    /// # Errors
    /// All problems of all files, warnings among them, if one of them is more than a warning.
    pub fn compile(sources: &[Source], servers: &[&str]) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let types = Types::new().map_err(|error| vec![nowhere(error.to_string())])?;
        let mut problems = Vec::new();
        let mut rules = Vec::new();
        for (number, source) in sources.iter().enumerate() {
            rules.extend(parse(number, source, &mut problems));
        }
        if rules.is_empty() && problems.is_empty() {
            problems.push(Problem {
                warning: true,
                help: Some("write a `permit`, for example: permit (principal, action, resource in Server::\"NAME\");".into()),
                ..nowhere("there are no policies: everything but the life of a connection is denied".into())
            });
        }
        let custom = custom_methods(&rules, sources, &mut problems);
        let mut schemas = Schemas::new(custom.clone());
        for rule in &rules {
            check_servers(rule, sources, servers, &mut problems);
            validate(rule, &mut schemas, &mut problems);
        }
        problems.sort_by_key(|problem| (problem.source, problem.span.start));
        problems.dedup();
        if problems.iter().any(|problem| !problem.warning) {
            return Err(problems);
        }
        rules.extend(built_in().map_err(|error| vec![nowhere(error)])?);
        let rules = rules.into_iter().map(Arc::new).collect();
        Ok((Self::new(types, Index::new(rules), custom), problems))
    }
}

fn parse(number: usize, source: &Source, problems: &mut Vec<Problem>) -> Vec<Rule> {
    let set: PolicySet = match source.text.parse::<PolicySet>() {
        Ok(set) => set,
        Err(errors) => {
            problems.extend(errors.iter().map(|error| parse_problem(number, source, error)));
            return Vec::new();
        }
    };
    problems.extend(set.templates().map(|template| Problem {
        source: number,
        span: place(source, template.as_ref().loc().map(|loc| loc.start()..loc.end())),
        message: "this is a template: nothing fills `?principal` and `?resource` here".into(),
        help: Some("name a principal and a resource, or leave the slot out".into()),
        warning: false,
    }));
    let mut policies: Vec<_> = set
        .policies()
        .filter(|policy| policy.is_static())
        .map(|policy| {
            (place(source, policy.as_ref().loc().map(|loc| loc.start()..loc.end())), policy.clone())
        })
        .collect();
    policies.sort_by_key(|(span, _)| span.start);
    let mut taken = HashSet::new();
    let mut rules = Vec::new();
    for (span, policy) in policies {
        let (line, column) = position(&source.text, span.start);
        let mut name = format!("{}:{line}", source.file);
        if !taken.insert(name.clone()) {
            name = format!("{name}:{column}");
        }
        let policy = policy.new_id(PolicyId::new(&name));
        match policy.to_pst() {
            Ok(tree) => rules.push(Rule::new(name.into(), Some(number), span, policy, tree.body())),
            Err(error) => problems.push(Problem {
                source: number,
                span,
                message: error.to_string(),
                help: None,
                warning: false,
            }),
        }
    }
    rules
}

fn built_in() -> Result<Vec<Rule>, String> {
    let rule = |(name, text): (&str, &str)| {
        let policy = cedar_policy::Policy::parse(Some(PolicyId::new(name)), text)
            .map_err(|error| error.to_string())?;
        let tree = policy.to_pst().map_err(|error| error.to_string())?;
        Ok(Rule::new(name.into(), None, 0..0, policy, tree.body()))
    };
    BUILT_IN.into_iter().map(rule).collect()
}

/// Methods that only policies know. A name that is nearly a known one is a slip: a `forbid` that names nothing
/// would protect nothing.
fn custom_methods(rules: &[Rule], sources: &[Source], problems: &mut Vec<Problem>) -> BTreeSet<Box<str>> {
    let known: Vec<&str> = TABLE.iter().map(|row| row.name).chain(GROUPS).collect();
    let mut custom = BTreeSet::new();
    for rule in rules {
        for uid in named(&rule.policy).iter().filter(|uid| uid.type_name().basename() == "Action") {
            let name = uid.id().unescaped();
            if known.contains(&name) || !uid.type_name().namespace().is_empty() {
                continue;
            }
            custom.insert(name.into());
            let near = nearest(name, known.iter().copied());
            if near.is_some() || !name.contains('/') {
                let help = match near {
                    Some(near) => format!("did you mean `Action::\"{near}\"`?"),
                    None => "actions are the methods of the protocol (`tools/call`), the groups `read` and `write`, and methods of your own with a `/` in their name".into(),
                };
                problems.push(Problem {
                    source: rule.source.unwrap_or_default(),
                    span: literal(rule, sources, uid),
                    message: format!("unknown action `{name}`"),
                    help: Some(help),
                    warning: false,
                });
            }
        }
    }
    custom
}

fn check_servers(rule: &Rule, sources: &[Source], servers: &[&str], problems: &mut Vec<Problem>) {
    for uid in named(&rule.policy) {
        let id = uid.id().unescaped();
        let name = match uid.type_name().basename() {
            "Server" => id,
            "Tool" | "Prompt" | "Resource" | "Task" => id.split_once('/').map_or(id, |(server, _)| server),
            _ => continue,
        };
        if servers.contains(&name) {
            continue;
        }
        let help = match nearest(name, servers.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if uid.type_name().basename() == "Server" => "it matches nothing until there is one".into(),
            None => format!("write `{}::\"SERVER/NAME\"`", uid.type_name().basename()),
        };
        problems.push(Problem {
            source: rule.source.unwrap_or_default(),
            span: literal(rule, sources, &uid),
            message: format!("`{uid}`: there is no server `{name}`"),
            help: Some(help),
            warning: true,
        });
    }
}

fn parse_problem(number: usize, source: &Source, error: &ParseError) -> Problem {
    let span = error.labels().and_then(|mut labels| labels.next());
    let label = span.as_ref().and_then(|span| span.label().map(str::to_owned));
    Problem {
        source: number,
        span: place(source, span.map(|span| span.offset()..span.offset() + span.len())),
        message: error.to_string(),
        help: error.help().map(|help| help.to_string()).or(label),
        warning: false,
    }
}

/// Where an entity is written in a policy; the whole policy if it is written in some other way than usual.
fn literal(rule: &Rule, sources: &[Source], uid: &EntityUid) -> Range<usize> {
    let text = rule
        .source
        .and_then(|number| sources.get(number))
        .and_then(|source| source.text.get(rule.span.clone()));
    let written = uid.to_string();
    match text.and_then(|text| text.find(&written)) {
        Some(at) => rule.span.start + at..rule.span.start + at + written.len(),
        None => rule.span.clone(),
    }
}

fn place(source: &Source, span: Option<Range<usize>>) -> Range<usize> {
    span.filter(|span| source.text.get(span.clone()).is_some()).unwrap_or(0..0)
}

/// Line and column of an offset, from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}

fn nowhere(message: String) -> Problem {
    Problem { source: 0, span: 0..0, message, help: None, warning: false }
}

//! One policy against the schema.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use cedar_policy::{ActionConstraint, Policy, PolicySet, ValidationError, ValidationMode};
use miette::Diagnostic;

use super::Problem;
use super::infer::{Shape, Tested};
use super::rule::{Rule, named};
use super::schema::Schemas;

/// Against the schema, with the arguments typed by what this policy takes them for. What it asks for with `has`
/// is optional; to read it without having asked is allowed, since that only ever denies, but doubtful.
pub(super) fn validate(rule: &Rule, schemas: &mut Schemas, problems: &mut Vec<Problem>) {
    let problem = |span: Range<usize>, message: String, help: Option<String>, warning: bool| Problem {
        source: rule.source.unwrap_or_default(),
        span,
        message,
        help,
        warning,
    };
    let whole = |message: String| problem(rule.span.clone(), message, None, false);
    let (set, tree) = match (PolicySet::from_policies([rule.policy.clone()]), rule.policy.to_pst()) {
        (Ok(set), Ok(tree)) => (set, tree),
        (Err(error), _) => return problems.push(whole(error.to_string())),
        (_, Err(error)) => return problems.push(whole(error.to_string())),
    };
    let shape = Shape::of(tree.body());
    let actions = actions(&rule.policy);
    let mut found: BTreeMap<Tested, Vec<Problem>> = BTreeMap::new();
    let passes =
        if shape.is_tested() { &[Tested::Optional, Tested::Required][..] } else { &[Tested::Required] };
    for tested in passes {
        let validator = match schemas.validator(&actions, shape.schema(*tested)) {
            Ok(validator) => validator,
            Err(error) => return problems.push(whole(format!("the arguments have no type: {error}"))),
        };
        let result = validator.validate(&set, ValidationMode::Strict);
        let list = found.entry(*tested).or_default();
        for error in result.validation_errors() {
            // Reported before, with a better hint.
            if matches!(error, ValidationError::UnrecognizedActionId(_)) {
                continue;
            }
            let doubtful = *tested == Tested::Optional
                && matches!(error, ValidationError::UnsafeOptionalAttributeAccess(_));
            let help = if doubtful { Some(MAY_BE_MISSING.into()) } else { help_of(error) };
            list.push(problem(span_of(error, rule), said(error), help, doubtful));
        }
        // In a policy with errors the warnings are mostly their echo.
        let sound = list.iter().all(|problem| problem.warning);
        if sound && (*tested == Tested::Optional || passes.len() == 1) {
            list.extend(
                result
                    .validation_warnings()
                    .map(|warning| problem(span_of(warning, rule), said(warning), help_of(warning), true)),
            );
        }
    }
    let required = found.remove(&Tested::Required).unwrap_or_default();
    let same = |one: &Problem, other: &Problem| one.span == other.span && one.message == other.message;
    for problem in found.remove(&Tested::Optional).unwrap_or_default() {
        if !required.iter().any(|other| same(other, &problem)) {
            problems.push(problem);
        }
    }
    problems.extend(required);
}

const MAY_BE_MISSING: &str = "a call without it is denied; if it may be missing, write `context.args has NAME && ...` or `if ... then ... else`";

/// The actions and groups that a policy names; None when its scope is open to all.
fn actions(policy: &Policy) -> Option<BTreeSet<Box<str>>> {
    if policy.action_constraint() == ActionConstraint::Any {
        return None;
    }
    let all = named(policy).into_iter().filter(|uid| uid.type_name().basename() == "Action");
    Some(all.map(|uid| uid.id().unescaped().into()).collect())
}

/// Cedar begins each message with the policy's id, which the place says already.
fn said(error: &dyn Diagnostic) -> String {
    let text = error.to_string();
    match text.strip_prefix("for policy `").and_then(|rest| rest.split_once("`, ")) {
        Some((_, rest)) => rest.to_owned(),
        None => text,
    }
}

fn help_of(error: &dyn Diagnostic) -> Option<String> {
    error.help().map(|help| help.to_string())
}

fn span_of(error: &dyn Diagnostic, rule: &Rule) -> Range<usize> {
    let span = error.labels().and_then(|mut labels| labels.next());
    let span = span.map(|span| span.offset()..span.offset() + span.len());
    span.filter(|span| rule.span.start <= span.start && span.end <= rule.span.end)
        .unwrap_or_else(|| rule.span.clone())
}

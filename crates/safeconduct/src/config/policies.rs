//! Compiles the policies of a plan, with their problems in the same report.

use safeconduct_core::policy::Policy;

use super::plan::Plan;
use super::problem::{Problem, Report, Severity, SourceText};

/// The policies of the plan, compiled; None after noting errors in the report.
pub fn compile(plan: &Plan, report: &mut Report) -> Option<Policy> {
    let first = report.sources.len();
    report.sources.extend(
        plan.policies
            .iter()
            .map(|source| SourceText { name: source.file.clone(), text: source.text.clone() }),
    );
    let servers: Vec<&str> = plan.servers.iter().map(|server| server.name.as_str()).collect();
    let (policy, problems) = match Policy::compile(&plan.policies, &servers) {
        Ok((policy, warnings)) => (Some(policy), warnings),
        Err(problems) => (None, problems),
    };
    // That there are none at all was said where the file says (or does not say) where they are.
    let problems = problems.into_iter().filter(|_| !plan.policies.is_empty());
    report.problems.extend(problems.map(|problem| Problem {
        severity: if problem.warning { Severity::Warning } else { Severity::Error },
        source: first + problem.source,
        span: problem.span,
        label: String::from("here"),
        message: problem.message,
        help: problem.help,
    }));
    report.sort();
    policy
}

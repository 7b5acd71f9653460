//! Why: every policy that had a say, and what it said.

use cedar_policy::PolicySet;
use serde::Serialize;

use super::decide::{Question, told};
use super::rule::Rule;
use super::{Decision, Effect};

/// A decision, taken apart. Holds names and places, and no value of any argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// `permit`, `deny`, `error` or `ambiguous`.
    pub effect: &'static str,
    /// The error, or the ambiguous name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What a person can do about a denial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// `file:line` of the policies that determined it. None of them: nothing permits it.
    pub policies: Vec<String>,
    /// Every policy whose scope fits the action and the resource, in the order of the files.
    pub considered: Vec<Considered>,
    /// Whether the caller sees the item in lists.
    pub visible: bool,
}

/// One policy's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Considered {
    /// `file:line`.
    pub policy: String,
    /// Its `@id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `permit` or `forbid`.
    pub kind: &'static str,
    /// `satisfied`, `not satisfied`, `error`, or `not for this caller`.
    pub outcome: &'static str,
    /// The evaluation error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Explanation {
    /// Of a decision that no policy was asked for.
    pub(super) fn unasked(decision: &Decision) -> Self {
        let detail = match &decision.effect {
            Effect::Error(error) => Some(error.clone()),
            _ => None,
        };
        Self {
            effect: "error",
            detail,
            remedy: None,
            policies: Vec::new(),
            considered: Vec::new(),
            visible: false,
        }
    }
}

/// Takes a decision apart.
pub(super) fn explanation(question: &Question<'_>, decision: &Decision, visible: bool) -> Explanation {
    let (effect, detail, remedy) = match &decision.effect {
        Effect::Permit => ("permit", None, None),
        Effect::Deny(remedy) => ("deny", None, remedy.clone()),
        Effect::Error(error) => ("error", Some(error.clone()), None),
        Effect::Ambiguous(name) => ("ambiguous", Some(name.clone()), None),
    };
    Explanation {
        effect,
        detail,
        remedy,
        policies: decision.policies.iter().map(ToString::to_string).collect(),
        considered: question
            .ready
            .choice
            .rules
            .iter()
            .map(|rule| considered(question, decision, rule))
            .collect(),
        visible,
    }
}

fn considered(question: &Question<'_>, decision: &Decision, rule: &Rule) -> Considered {
    let (outcome, error) = if !rule.fits_principal(question.caller) {
        ("not for this caller", None)
    } else {
        match (question.prepare(), PolicySet::from_policies([rule.policy.clone()])) {
            (Ok(prepared), Ok(alone)) => {
                let response = question.ask(&prepared, &alone);
                let error = response.diagnostics().errors().next().map(|error| told(error).1);
                match (error, response.diagnostics().reason().next()) {
                    (Some(error), _) => ("error", Some(error)),
                    (None, Some(_)) => ("satisfied", None),
                    (None, None) => ("not satisfied", None),
                }
            }
            // The arguments were refused before any policy was asked.
            _ if decision.policies.contains(&rule.name) => ("error", None),
            _ => ("not asked", None),
        }
    };
    Considered {
        policy: rule.name.to_string(),
        id: rule.title.as_deref().map(Into::into),
        kind: if rule.permits() { "permit" } else { "forbid" },
        outcome,
        error,
    }
}

//! What a caller may see: what there are *some* arguments for that would be permitted.

use cedar_policy::{Decision, Effect, PolicySet, RestrictedExpression};

use super::decide::{Prepared, Question};

impl Question<'_> {
    /// Whether some call would be permitted. An error that does not depend on the arguments says no.
    pub(super) fn possible(&self) -> bool {
        let unknown = RestrictedExpression::new_unknown("args");
        let Ok(prepared) = self.with_arguments(Some(unknown)) else { return false };
        let choice = &self.ready.choice;
        let response = self.ask_partially(&prepared, &choice.set);
        if response.definitely_errored().next().is_some() {
            return false;
        }
        let satisfied =
            |effect: Effect| response.definitely_satisfied().any(|policy| policy.effect() == effect);
        if satisfied(Effect::Forbid) {
            return false;
        }
        satisfied(Effect::Permit)
            || response.nontrivial_residuals().any(|residual| {
                let rule = choice.rules.iter().find(|rule| *rule.name == *residual.id().to_string());
                rule.is_some_and(|rule| rule.permits() && self.open(&prepared, rule.outlook.as_ref()))
            })
    }

    /// Whether a permit that looks at arguments is not ruled out by the rest of it.
    fn open(&self, prepared: &Prepared, outlook: Option<&PolicySet>) -> bool {
        let Some(alone) = outlook else { return false };
        let response = self.ask_partially(prepared, alone);
        response.definitely_errored().next().is_none() && response.decision() != Some(Decision::Deny)
    }
}

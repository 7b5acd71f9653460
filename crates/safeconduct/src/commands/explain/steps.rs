//! The credential steps that would run, and what each would send.

use std::sync::Arc;

use safeconduct_core::caller::Principal;
use safeconduct_identity::acquire::CredentialPlan;
use safeconduct_identity::provider::{Description, Preview, Provider, Whose};
use safeconduct_identity::template::MissingClaim;
use serde::Serialize;

use crate::config::plan::{ServerPlan, StepPlan};

/// The word of the audit line, too.
const GATEWAY: &str = "gateway";

/// One step.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    /// What it is and whom it asks.
    #[serde(flatten)]
    pub(super) description: Description,
    /// `gateway` where what it gets is the gateway's own, the same for all callers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) identity: Option<&'static str>,
    /// Its form, in order. Tokens and secrets stand as `<...>`.
    pub(super) form: Vec<Field>,
}

/// One parameter of a form.
#[derive(Debug, Serialize)]
pub(super) struct Field {
    pub(super) name: Box<str>,
    pub(super) value: Box<str>,
}

/// The steps for this caller.
///
/// # Errors
/// The caller's token does not give what a step needs: the call is refused.
pub(super) fn steps(
    server: &ServerPlan,
    chain: &CredentialPlan,
    caller: &Principal,
) -> Result<Vec<Step>, MissingClaim> {
    match chain {
        CredentialPlan::None => Ok(Vec::new()),
        CredentialPlan::Static(secret) => {
            let value = match server.credential.first() {
                Some(StepPlan::Static(secret)) => format!("<{}>", secret.origin),
                _ => "<the configured secret>".to_owned(),
            };
            let form = vec![Field { name: "secret".into(), value: value.into() }];
            Ok(vec![Step { description: secret.description(), identity: Some(GATEWAY), form }])
        }
        CredentialPlan::Chain(providers) => {
            let mut own = false;
            let step = |(number, provider): (usize, &Arc<dyn Provider>)| {
                own = match provider.whose() {
                    Whose::Subject => own,
                    Whose::Caller => false,
                    Whose::Gateway => true,
                };
                let before = number.checked_sub(1).and_then(|at| server.credential.get(at));
                let subject = match before {
                    None => "<the caller's token>".to_owned(),
                    Some(step) => format!("<the {} of step {number}>", step.gives().noun()),
                };
                let form = fields(provider.preview(caller, &subject)?);
                Ok(Step { description: provider.description(), identity: own.then_some(GATEWAY), form })
            };
            providers.iter().enumerate().map(step).collect()
        }
    }
}

fn fields(preview: Preview) -> Vec<Field> {
    preview.into_iter().map(|(name, value)| Field { name, value }).collect()
}

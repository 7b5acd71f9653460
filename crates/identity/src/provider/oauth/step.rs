//! A step at an OAuth token endpoint: what is the same for every grant type.

use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::caller::Principal;
use safeconduct_core::credential::Warrant;
use safeconduct_core::time::Timestamp;

use super::{Asked, Expected, Fieldset, Repeat, Targets, TokenEndpoint, Types, grant};
use crate::cache::Fields;
use crate::provider::answer::TokenAnswer;
use crate::provider::classify::Refusal;
use crate::provider::{
    Counterpart, Description, ExchangeError, Exchanging, Granted, Preview, Provider, Subject, SubjectUse,
    Whose,
};
use crate::template::MissingClaim;
use crate::wire::Wire;

/// What every configuration of a grant has as fields, as [`Grant`] asks for it.
macro_rules! fields {
    () => {
        fn at(&self) -> &$crate::provider::oauth::TokenEndpoint {
            &self.at
        }

        fn targets(&self) -> &$crate::provider::oauth::Targets {
            &self.targets
        }

        fn expected(&self) -> &$crate::provider::oauth::Expected {
            &self.expected
        }
    };
}
pub(in crate::provider) use fields;

/// What one grant type has of its own.
pub(in crate::provider) trait Grant: Send + Sync + 'static {
    /// Name of the step in the configuration.
    const NAME: &'static str;

    /// Where it asks, and as whom.
    fn at(&self) -> &TokenEndpoint;

    /// What for.
    fn targets(&self) -> &Targets;

    /// What of an answer is accepted.
    fn expected(&self) -> &Expected;

    /// The request, for targets that are filled in.
    fn request(&self, asked: &Asked) -> Fieldset;

    /// Adds the claims that the API behind wants of the new token (JSON), where they can be asked for.
    fn challenged(&self, _request: &mut Fieldset, _claims: Option<&str>) {}

    /// Whether [`Grant::challenged`] does that.
    fn heeds_claims(&self) -> bool {
        false
    }

    /// The request with everything.
    fn whole(&self, asked: &Asked, claims: Option<&str>) -> Fieldset {
        let mut request = self.request(asked);
        self.challenged(&mut request, claims);
        request
    }

    /// The claims that the API behind wants.
    ///
    /// # Errors
    /// What it wants is none: only the caller's own login can be of another class or newer.
    fn claims<'a>(&self, given: &'a Given) -> Result<Option<&'a str>, ExchangeError> {
        let Some(challenge) = given.warrant.challenge().filter(|_| self.heeds_claims()) else {
            return Ok(None);
        };
        match challenge.claims.as_deref() {
            Some(claims) => Ok(Some(claims)),
            None => Err(ExchangeError::StepUp {
                acr_values: challenge.acr_values.as_deref().map(str::to_owned),
                max_age: challenge.max_age,
                claims: None,
            }),
        }
    }

    /// Adds what else shapes the answer, or whether it is accepted.
    fn identify(&self, _fields: &mut Fields) {}

    /// Which members of the answer name types.
    fn types(&self) -> Types<'_> {
        Types::Plain
    }

    /// See [`Provider::whose`].
    fn whose(&self) -> Whose {
        Whose::Subject
    }

    /// See [`Provider::subject_use`].
    fn subject_use(&self) -> SubjectUse {
        SubjectUse::Any
    }

    /// Whether a request may be sent again after an attempt that was not answered.
    fn repeat(&self, _subject: &Subject) -> Repeat {
        Repeat::Safely
    }

    /// What a refusal means.
    fn refused(&self, refusal: &Refusal) -> ExchangeError {
        refusal.classified()
    }

    /// Whether to ask once more after a refusal, and how long after; `made` counts the refusals.
    fn again(&self, _refusal: &Refusal, _made: u32) -> Option<Again> {
        None
    }

    /// What a success grants.
    fn read(&self, answer: TokenAnswer, asked: &Asked, given: &Given) -> Result<Granted, ExchangeError> {
        grant(self.expected(), self.types(), &*self.at().client, answer, asked, given)
    }
}

/// Another question after a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) struct Again {
    pub(in crate::provider) after: Duration,
    /// What the client proved itself with is too old: another proof is to be had first.
    pub(in crate::provider) stale_proof: bool,
}

/// What a step is given for one exchange.
pub(in crate::provider) struct Given {
    pub(in crate::provider) subject: Subject,
    pub(in crate::provider) warrant: Warrant,
    pub(in crate::provider) now: Timestamp,
}

/// A step of one grant type.
pub struct Step<G> {
    grant: Arc<G>,
    wire: Arc<Wire>,
}

impl<G> Step<G> {
    pub(in crate::provider) fn of(grant: G, wire: Arc<Wire>) -> Self {
        Self { grant: Arc::new(grant), wire }
    }
}

impl<G: Grant> Provider for Step<G> {
    fn name(&self) -> &'static str {
        G::NAME
    }

    fn description(&self) -> Description {
        self.grant.at().description(G::NAME, self.grant.targets())
    }

    fn identify(&self, fields: &mut Fields) {
        fields.text(G::NAME);
        self.grant.at().identify(fields);
        self.grant.targets().identify(fields);
        self.grant.expected().identify(fields);
        self.grant.identify(fields);
    }

    fn inputs(&self, caller: &Principal, fields: &mut Fields) -> Result<(), MissingClaim> {
        self.grant.targets().inputs(caller, fields)
    }

    fn preview(&self, caller: &Principal, subject: &str) -> Result<Preview, MissingClaim> {
        Ok(self.grant.whole(&self.grant.targets().asked(caller)?, None).preview(subject))
    }

    fn counterpart(&self) -> Option<Counterpart<'_>> {
        Some(self.grant.at().counterpart())
    }

    fn max_lifetime(&self) -> Duration {
        self.grant.at().max_lifetime
    }

    fn pause_after_refusal(&self) -> Duration {
        self.grant.at().pause_after_refusal
    }

    fn whose(&self) -> Whose {
        self.grant.whose()
    }

    fn subject_use(&self) -> SubjectUse {
        self.grant.subject_use()
    }

    fn heeds_challenges(&self) -> bool {
        self.grant.heeds_claims()
    }

    fn exchange(&self, warrant: &Warrant, subject: Subject, now: Timestamp) -> Exchanging {
        let (grant, wire) = (self.grant.clone(), self.wire.clone());
        let given = Given { subject, warrant: warrant.clone(), now };
        Box::pin(async move {
            let asked = grant.targets().asked(given.warrant.principal())?;
            let claims = grant.claims(&given)?;
            let (request, repeat) = (grant.whole(&asked, claims), grant.repeat(&given.subject));
            let (began, mut made) = (tokio::time::Instant::now(), 0);
            loop {
                let refusal = match grant.at().ask(&wire, now, repeat, || request.form(&given)).await? {
                    Ok(answer) => return grant.read(answer, &asked, &given),
                    Err(refusal) => refusal,
                };
                made += 1;
                let again = grant.again(&refusal, made);
                let in_time = |again: &Again| began.elapsed() + again.after < grant.at().total_timeout;
                let Some(again) = again.filter(in_time) else { return Err(grant.refused(&refusal)) };
                if again.stale_proof {
                    grant.at().client.forget_proof();
                }
                wire.sleep(again.after).await;
            }
        })
    }
}

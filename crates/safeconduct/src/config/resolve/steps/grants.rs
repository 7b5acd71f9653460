//! `client_credentials`, `jwt_bearer`, `id_jag`.

use super::super::Resolver;
use super::common::{elements, expected, long};
use crate::config::decode::{At, Field};
use crate::config::plan::{ClientCredentialsPlan, IdJagPlan, JwtBearerPlan};
use crate::config::raw::{AuthMethod, ClientCredentials, IdJag, JwtBearer, Step};

impl Resolver<'_> {
    pub(super) fn client_credentials(&mut self, step: &ClientCredentials) -> Option<ClientCredentialsPlan> {
        let at = self.at(step.common());
        self.proves_itself(&step.client);
        let targets = self.targets(step.common(), elements(&step.audience));
        let expected = expected(&step.issued_audience, &step.expected_audience, &step.broader_scope);
        Some(ClientCredentialsPlan { at: at?, targets, expected })
    }

    pub(super) fn jwt_bearer(&mut self, step: &JwtBearer) -> Option<JwtBearerPlan> {
        let at = self.at(step.common());
        let targets = self.targets(step.common(), elements(&step.audience));
        let expected = expected(&step.issued_audience, &step.expected_audience, &step.broader_scope);
        Some(JwtBearerPlan { at: at?, targets, expected, single_use: step.single_use.or(false) })
    }

    /// `next` is the step after it, which presents the assertion.
    pub(super) fn id_jag(&mut self, step: &IdJag, next: Option<&At<Step>>) -> Option<IdJagPlan> {
        let at = self.at(step.common());
        let audience: Vec<At<String>> = step.audience.given().cloned().into_iter().collect();
        let targets = self.targets(step.common(), &audience);
        let subject_token_type =
            self.token_type(&step.subject_token_type).unwrap_or_else(|| long("id_token"));
        let client_there = step.client_there.value().cloned().or_else(|| self.client_of(next));
        if let (None, Some(client)) = (&client_there, step.client.given()) {
            self.problems
                .error(client.site.clone(), "it is not known which client the assertion must name")
                .label("needs `client_there`")
                .help("client_there: our client identifier at the other domain's authorization server; or give the next step, `jwt_bearer`, its `client`");
        }
        let accept = step.accept.value().map(|many| many.values().copied().collect()).unwrap_or_default();
        Some(IdJagPlan { at: at?, targets, subject_token_type, client_there: client_there?, accept })
    }

    /// The client identifier that the next step asks with.
    fn client_of(&self, next: Option<&At<Step>>) -> Option<String> {
        let Step::JwtBearer(next) = &next?.value else { return None };
        self.client_named(&next.client)?.client_id.value().cloned()
    }

    /// Only for confidential clients (RFC 6749 §4.4; Entra).
    pub(super) fn proves_itself(&mut self, name: &Field<String>) {
        let public =
            self.client_named(name).is_some_and(|client| client.auth.value() == Some(&AuthMethod::None));
        if let (true, Some(name)) = (public, name.given()) {
            self.problems
                .error(
                    name.span.clone(),
                    format!("the client `{}` proves nothing, and must here", name.value),
                )
                .label("has `auth: none`")
                .help("give the client a secret, a key or another proof");
        }
    }
}

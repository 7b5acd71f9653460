//! Is this gateway known where it asks for tokens? One request for each client and endpoint, which is refused for
//! what it presents, or for who presents it: that is the question. One only: there are providers that lock out whoever
//! presents bad tokens often (Auth0: ten).

use std::time::Duration;

use safeconduct_core::credential::Form;
use safeconduct_identity::client_auth::{ClientAuthError, Errand};
use safeconduct_identity::clock::{Clock as _, SystemClock};
use safeconduct_identity::provider::said::masked;
use safeconduct_identity::wire::{Answer, Retry, WireError};
use serde_json::Value;

use super::ask;
use super::check::{Finding, Group};
use super::known;
use crate::app::Rehearsal;
use crate::config::plan::{AtPlan, ClientAuthPlan, ClientPlan, IssuerPlan, ServerPlan, StepPlan};

/// What is presented in place of a token.
const NONSENSE: &str = "safeconduct-doctor";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Where a client asks, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    endpoint: String,
    way: Way,
    allow_http: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Exchange,
    JwtBearer,
    ClientCredentials,
    Introspection,
}

/// All of a client's.
pub(super) async fn checks(
    client: &ClientPlan,
    servers: &[&ServerPlan],
    issuers: &[&IssuerPlan],
    rehearsal: &Rehearsal<'_>,
) -> Group {
    let mut group = Group::about(format!("client {}", client.name));
    for place in places(client, servers, issuers) {
        group.check(&format!("authentication at {}", place.endpoint), asked(client, &place, rehearsal)).await;
    }
    group
}

fn places(client: &ClientPlan, servers: &[&ServerPlan], issuers: &[&IssuerPlan]) -> Vec<Place> {
    let steps = servers.iter().flat_map(|server| &server.credential).filter_map(asks);
    let steps = steps.filter(|(at, _)| at.client.as_ref() == Some(&client.name)).map(|(at, way)| Place {
        endpoint: at.token_endpoint.clone(),
        way,
        allow_http: at.allow_http,
    });
    let introspection = issuers.iter().filter_map(|issuer| {
        let introspection = issuer.introspection.as_ref().filter(|it| it.client == client.name)?;
        let (endpoint, allow_http) = (introspection.endpoint.clone(), issuer.allow_http);
        Some(Place { endpoint, way: Way::Introspection, allow_http })
    });
    let mut places: Vec<Place> = Vec::new();
    for place in steps.chain(introspection) {
        if places.iter().all(|known| known.endpoint != place.endpoint) {
            places.push(place);
        }
    }
    places
}

/// Where a step asks as a client.
fn asks(step: &StepPlan) -> Option<(&AtPlan, Way)> {
    match step {
        StepPlan::ClientCredentials(plan) => Some((&plan.at, Way::ClientCredentials)),
        StepPlan::EntraObo(plan) => Some((&plan.at, Way::JwtBearer)),
        StepPlan::Exchange(plan) => Some((&plan.at, Way::Exchange)),
        StepPlan::IdJag(plan) => Some((&plan.at, Way::Exchange)),
        StepPlan::JwtBearer(plan) => Some((&plan.at, Way::JwtBearer)),
        StepPlan::GoogleSts(plan) => Some((&plan.at, Way::Exchange)),
        StepPlan::AwsAssumeRole(_)
        | StepPlan::AwsWebIdentity(_)
        | StepPlan::GoogleImpersonate(_)
        | StepPlan::GoogleIdToken(_)
        | StepPlan::Static(_)
        | StepPlan::Vault(_) => None,
    }
}

impl Way {
    fn form(self) -> Form {
        let mut form = Form::new();
        match self {
            Self::Exchange => form
                .field("grant_type", EXCHANGE)
                .field("subject_token", NONSENSE)
                .field("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            Self::JwtBearer => form.field("grant_type", JWT_BEARER).field("assertion", NONSENSE),
            Self::ClientCredentials => {
                form.field("grant_type", "client_credentials").field("scope", NONSENSE)
            }
            Self::Introspection => form.field("token", NONSENSE),
        };
        form
    }
}

/// Why there is no answer.
enum Unasked {
    Wire(WireError),
    Client(ClientAuthError),
}

impl From<WireError> for Unasked {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<ClientAuthError> for Unasked {
    fn from(error: ClientAuthError) -> Self {
        Self::Client(error)
    }
}

async fn asked(client: &ClientPlan, place: &Place, rehearsal: &Rehearsal<'_>) -> Finding {
    if matches!(client.auth, ClientAuthPlan::None) {
        return Finding::note("it proves nothing (`auth: none`), so there is nothing to check");
    }
    let endpoint = match ask::endpoint(&place.endpoint, place.allow_http) {
        Ok(endpoint) => endpoint,
        Err(finding) => return finding,
    };
    let Some(auth) = rehearsal.client(&client.name) else { return Finding::note("not used") };
    let errand = Errand {
        client: &**auth,
        endpoint: &endpoint,
        retry: Retry::ONCE,
        timeout: Duration::from_secs(10),
        now: SystemClock::new().wall(),
    };
    let form = || Ok::<_, Unasked>(place.way.form());
    let answer = match place.way {
        Way::Introspection => errand.inquire(rehearsal.wire(), form).await,
        Way::Exchange | Way::JwtBearer | Way::ClientCredentials => errand.run(rehearsal.wire(), form).await,
    };
    match answer {
        Ok(answer) => judged(place.way, &answer, auth.method()),
        Err(Unasked::Wire(error)) => ask::unanswered(&place.endpoint, &error),
        Err(Unasked::Client(error)) => Finding::fail(
            error.to_string(),
            "the gateway cannot even ask: put what the client proves itself with in its place",
        ),
    }
}

fn judged(way: Way, answer: &Answer, method: &str) -> Finding {
    let status = answer.status.as_u16();
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = |name: &str| masked(body.get(name).and_then(Value::as_str).unwrap_or_default(), 300);
    let (error, description) = (text("error"), text("error_description"));
    verdict(way, status, &error, &description, method)
}

/// What an answer says of the client: by its error first.
fn verdict(way: Way, status: u16, error: &str, description: &str, method: &str) -> Finding {
    let said = format!("{error} {description}");
    let words = if said.trim().is_empty() {
        format!("HTTP {status}")
    } else {
        format!("HTTP {status}, {}", said.trim())
    };
    let known = known::find(&said);
    let explained = |found: String, otherwise: &str| match known {
        Some(known) => Finding::fail(format!("{found}. {}", known.means), known.fix),
        None => Finding::fail(found, otherwise),
    };
    match (status, error) {
        (200..300, "") => match way {
            Way::Introspection => Finding::ok(format!("it is known there, by {method}")),
            Way::ClientCredentials => {
                Finding::ok(format!("it is known there, by {method}, and granted a token"))
            }
            Way::Exchange | Way::JwtBearer => Finding::fail(
                "the endpoint granted a token for nonsense",
                "this is no token endpoint to be trusted: it does not check what it is given",
            ),
        },
        (408 | 425 | 429 | 500.., _) => explained_warning(&words),
        (_, "unsupported_grant_type") => explained(words, "is `token_endpoint` the right server's?"),
        (401, _) | (_, "invalid_client" | "invalid_dpop_proof" | "use_dpop_nonce") => explained(
            format!("it is refused: {words}"),
            "compare `client_id` and `auth` with the registration: is the secret or key the current one, is this method allowed for the client?",
        ),
        (_, "unauthorized_client") => explained(
            format!("it is known there, but may not use this grant: {words}"),
            "enable the grant type for the client at the provider",
        ),
        _ if description.to_lowercase().contains("aadsts90002") => explained(words, "correct the tenant"),
        (_, "") => Finding::fail(
            words,
            "this does not answer as a token endpoint does (RFC 6749 §5.2): correct the URL",
        ),
        _ => Finding::ok(format!("it is known there, by {method}; nonsense was refused ({error})")),
    }
}

fn explained_warning(words: &str) -> Finding {
    let known = known::find(words);
    let found = known.map_or_else(|| words.to_owned(), |known| format!("{words}. {}", known.means));
    Finding::warn(
        found,
        known.map_or(
            "nothing is known of the client: the endpoint is overloaded or broken; try again later",
            |known| known.fix,
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::{Way, verdict};
    use crate::commands::doctor::check::Outcome;

    fn outcome(status: u16, error: &str, description: &str) -> Outcome {
        verdict(Way::Exchange, status, error, description, "client_secret_basic").outcome
    }

    #[test]
    fn nonsense_that_is_refused_as_nonsense_proves_that_the_client_is_known() {
        for error in ["invalid_request", "invalid_grant", "invalid_target"] {
            assert_eq!(outcome(400, error, ""), Outcome::Ok, "{error}");
        }
        assert_eq!(outcome(401, "invalid_client", ""), Outcome::Fail);
        assert_eq!(
            outcome(401, "unauthorized_client", "Invalid client or Invalid client credentials"),
            Outcome::Fail
        );
        assert_eq!(outcome(400, "unauthorized_client", "Grant type is not allowed"), Outcome::Fail);
        assert_eq!(outcome(400, "unsupported_grant_type", ""), Outcome::Fail);
        assert_eq!(outcome(404, "", ""), Outcome::Fail);
        assert_eq!(outcome(200, "", ""), Outcome::Fail);
        assert_eq!(outcome(429, "too_many_attempts", ""), Outcome::Warn);
        assert_eq!(outcome(503, "", ""), Outcome::Warn);
    }

    #[test]
    fn a_provider_whose_words_are_known_is_explained() {
        let finding = verdict(
            Way::JwtBearer,
            401,
            "invalid_client",
            "AADSTS7000222: The provided client secret keys for app '11f0' are expired.",
            "client_secret_post",
        );
        assert!(finding.found.contains("has expired"), "{}", finding.found);
        assert!(finding.remedy.unwrap().contains("az ad app credential reset"));
    }
}

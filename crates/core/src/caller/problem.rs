//! Why a token is not believed.

use crate::refusal::Reason;

/// Why a token is not believed. The text is the operator's; it names claims, never their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenProblem {
    /// Not a compact JWS with JSON in it (RFC 7515 §3.1, R4).
    #[error("not a signed JWT: {0}")]
    Malformed(&'static str),
    /// A header that asks for something not supported (R3), or that cannot be right.
    #[error("the token's header {0}")]
    Header(&'static str),
    /// The algorithm is not among the issuer's (R1).
    #[error("the token's algorithm is not among those accepted from its issuer")]
    Algorithm,
    /// No key with this `kid`: perhaps the keys changed, and a refetch helps (R11).
    #[error("the issuer has no key with the token's kid")]
    UnknownKey,
    /// No `kid`, and not exactly one key that could be meant.
    #[error("the token names no key, and the issuer does not have exactly one that fits")]
    AmbiguousKey,
    /// The named key is for another algorithm (R1).
    #[error("the token's algorithm does not fit its key")]
    KeyMismatch,
    /// The signature is not the key's.
    #[error("the token's signature is not valid")]
    Signature,
    /// Not an access token (R8).
    #[error("not an access token: {0}")]
    WrongType(&'static str),
    /// Not a logout token (OpenID Connect Back-Channel Logout 1.0 §2.6).
    #[error("not a logout token: {0}")]
    NotLogout(&'static str),
    /// `iss` is not this issuer's (R5).
    #[error("the token is of another issuer")]
    WrongIssuer,
    /// A claim is missing.
    #[error("the token has no claim {0}")]
    MissingClaim(&'static str),
    /// A claim is of a wrong type or has an impossible value.
    #[error("the token's claim {0} is not acceptable")]
    BadClaim(&'static str),
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` lies ahead by more than the leeway.
    #[error("the token is not valid yet")]
    NotYet,
    /// `iat` lies ahead by more than the leeway.
    #[error("the token is from the future; is a clock wrong?")]
    FromTheFuture,
    /// Older than the configuration accepts.
    #[error("the token is older than is accepted here")]
    TooOld,
    /// Bound to a key (RFC 7800): as a mere bearer token it may have been stolen (R14).
    #[error("sender-constrained token presented as bearer (claim cnf)")]
    SenderConstrained,
    /// The issuer left the groups out because there are too many of them (Entra's overage, OIDC Core §5.6.2).
    #[error(
        "the token leaves the caller's groups out because there are too many (groups overage); \
         let the issuer send only groups assigned to the application"
    )]
    GroupsOverage,
    /// Introspection says that the token is not active (RFC 7662 §2.2).
    #[error("the issuer says that the token is not active")]
    Inactive,
}

impl From<TokenProblem> for Reason {
    fn from(problem: TokenProblem) -> Self {
        Self::InvalidToken(problem.to_string().into())
    }
}

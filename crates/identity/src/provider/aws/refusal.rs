//! What AWS means when it refuses: by the error's code, then by its sentence, and by the status only where there is
//! neither.

use std::time::{Duration, SystemTime};

use super::xml::Element;
use crate::provider::ExchangeError;
use crate::provider::answer::visible;
use crate::provider::said;
use crate::wire::{Answer, retry_after};

/// A refusal's words (`ErrorResponse`).
pub(super) struct Said {
    status: u16,
    code: String,
    message: String,
    request: String,
    retry_after: Option<Duration>,
}

/// Sentences that say more than the code does: how they begin, and what is made of them.
const SENTENCES: [(&str, &str); 4] = [
    ("Incorrect token audience", "the token's audience (or azp) is not among the IAM provider's client ids"),
    ("No OpenIDConnect provider found", "the token's issuer is no IAM OIDC provider of the role's account"),
    ("The requested DurationSeconds exceeds", "the duration is longer than the role allows"),
    ("Signature expired", "the clock of this machine is wrong"),
];

/// That the identity provider could not be reached from AWS: it says so with the code of a bad token, and with more than
/// one kind of apostrophe before this.
const UNREACHED: &str = "retrieve verification key from your identity provider";

impl Said {
    pub(super) fn read(answer: &Answer) -> Self {
        let root = Element::read(&answer.body);
        let text = |path: &[&str]| root.as_ref().and_then(|root| root.text(path)).unwrap_or_default();
        Self {
            status: answer.status.as_u16(),
            code: visible(text(&["Error", "Code"]), 64),
            message: text(&["Error", "Message"]).to_owned(),
            request: visible(text(&["RequestId"]), 64),
            retry_after: retry_after(&answer.headers, SystemTime::now()),
        }
    }

    /// AWS's code.
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    /// True when another attempt may fare better.
    pub(super) fn passes(&self) -> bool {
        match self.code.as_str() {
            "InvalidIdentityToken" => self.message.contains(UNREACHED),
            "IDPCommunicationError"
            | "Throttling"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "InternalFailure"
            | "InternalError"
            | "ServiceUnavailable" => true,
            _ => matches!(self.status, 429 | 500..),
        }
    }

    /// For the operator: the sentence, without what is long enough to be a token, and what AWS's support asks for.
    pub(super) fn log(&self, endpoint: &str) {
        let Self { status, code, request, .. } = self;
        said::note(&format!("{code} {}", self.message));
        let said = said::masked(&self.message, 256);
        tracing::info!(endpoint, status, code, said, request, "AWS refuses");
    }

    /// What it means here.
    pub(super) fn into_error(self) -> ExchangeError {
        let error = self.words();
        if self.passes() {
            return ExchangeError::Unavailable { retry_after: self.retry_after, problem: error };
        }
        match self.code.as_str() {
            "InvalidIdentityToken" if self.sentence().is_some() => ExchangeError::Misconfigured { error },
            "ExpiredTokenException"
            | "ExpiredToken"
            | "IDPRejectedClaim"
            | "InvalidIdentityToken"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException" => ExchangeError::SubjectRefused { error },
            "AccessDenied" | "AccessDeniedException" => ExchangeError::Denied { error },
            "MalformedPolicyDocument"
            | "PackedPolicyTooLarge"
            | "ValidationError"
            | "RegionDisabledException"
            | "InvalidParameterValue"
            | "InvalidParameterCombination"
            | "MissingParameter"
            | "InvalidAction"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "MissingAuthenticationToken" => ExchangeError::Misconfigured { error },
            _ if self.status == 403 => ExchangeError::Denied { error },
            _ => ExchangeError::BadAnswer { problem: error },
        }
    }

    fn sentence(&self) -> Option<&'static str> {
        SENTENCES.iter().find(|(start, _)| self.message.starts_with(start)).map(|(_, meaning)| *meaning)
    }

    fn words(&self) -> String {
        match (self.code.as_str(), self.sentence()) {
            ("", _) => format!("status {}", self.status),
            (code, Some(meaning)) => format!("{code}: {meaning}"),
            (code, None) => code.to_owned(),
        }
    }
}

//! How AWS answers: XML of its query protocol, JSON of its newer services, each with the account's own time.

use std::fmt::Write as _;

use http::StatusCode;
use serde_json::json;
use time::OffsetDateTime;
use time::macros::format_description;

use super::Account;
use super::account::Session;
use crate::canary;
use crate::wire::Reply;

/// A refusal: HTTP status, AWS's code and its sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// HTTP status.
    pub(super) status: u16,
    /// `SignatureDoesNotMatch`
    pub(super) code: &'static str,
    /// What is said of it.
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationError", message)
    }

    /// As the token service writes it.
    pub(super) fn xml(&self, account: &Account) -> Reply {
        let Self { status, code, message } = self;
        let body = format!(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <Error>\n    <Type>Sender</Type>\n    <Code>{code}</Code>\n    <Message>{}</Message>\n  </Error>\n  <RequestId>{}</RequestId>\n</ErrorResponse>\n",
            escaped(message),
            request_id(),
        );
        dated(account, Reply::of(status_of(*status), "text/xml", body))
    }

    /// As a service with a JSON protocol writes it: the code in a header.
    pub(super) fn json(&self, account: &Account) -> Reply {
        let code = match self.code {
            "InvalidClientTokenId" => "UnrecognizedClientException",
            "ExpiredToken" => "ExpiredTokenException",
            "SignatureDoesNotMatch" => "InvalidSignatureException",
            "MissingAuthenticationToken" => "MissingAuthenticationTokenException",
            other => other,
        };
        let reply = Reply::json(status_of(self.status), &json!({"message": self.message}));
        dated(account, reply.header("x-amzn-errortype", code))
    }
}

/// A success of the token service.
pub(super) fn xml(account: &Account, action: &str, result: &str) -> Reply {
    let body = format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <{action}Result>\n{result}  </{action}Result>\n  <ResponseMetadata>\n    <RequestId>{}</RequestId>\n  </ResponseMetadata>\n</{action}Response>\n",
        request_id(),
    );
    dated(account, Reply::of(StatusCode::OK, "text/xml", body))
}

/// The members that both ways to a role have in common.
pub(super) fn credentials(session: &Session, packed: usize) -> String {
    let mut xml = String::new();
    let end = i64::try_from(session.expires).unwrap_or_default();
    let end = OffsetDateTime::from_unix_timestamp(end).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let end = end.format(format).unwrap_or_default();
    let _ = write!(
        xml,
        "    <AssumedRoleUser>\n      <AssumedRoleId>{}</AssumedRoleId>\n      <Arn>{}</Arn>\n    </AssumedRoleUser>\n    <Credentials>\n      <AccessKeyId>{}</AccessKeyId>\n      <SecretAccessKey>{}</SecretAccessKey>\n      <SessionToken>{}</SessionToken>\n      <Expiration>{end}</Expiration>\n    </Credentials>\n    <PackedPolicySize>{packed}</PackedPolicySize>\n",
        session.user_id(),
        session.arn(),
        session.id,
        session.secret,
        session.token,
    );
    if let Some(identity) = &session.source_identity {
        let _ = writeln!(xml, "    <SourceIdentity>{}</SourceIdentity>", escaped(identity));
    }
    xml
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&apos;")
}

/// The service's own time: what a client whose clock is wrong learns it from.
fn dated(account: &Account, reply: Reply) -> Reply {
    let now = i64::try_from(account.clock.secs()).unwrap_or_default();
    let now = OffsetDateTime::from_unix_timestamp(now).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    reply.header("date", now.format(format).unwrap_or_default())
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn request_id() -> String {
    let mut id = canary::random_hex();
    for at in [8, 13, 18, 23] {
        id.insert(at, '-');
    }
    id
}

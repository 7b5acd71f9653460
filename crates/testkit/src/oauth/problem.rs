//! Error answers of a token endpoint (RFC 6749 §5.2, RFC 8693 §2.2.2).

use http::StatusCode;
use serde_json::json;

use crate::wire::Reply;

/// An error word and a text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `error`.
    pub error: &'static str,
    /// `error_description`.
    pub description: String,
}

impl Problem {
    /// A problem with this word.
    pub fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { error, description: description.into() }
    }

    /// The answer: 401 for a refused client, 400 otherwise.
    pub fn reply(&self) -> Reply {
        let body = json!({"error": self.error, "error_description": self.description});
        if self.error == "invalid_client" {
            return Reply::json(StatusCode::UNAUTHORIZED, &body)
                .header("www-authenticate", "Basic realm=\"token\"");
        }
        Reply::json(StatusCode::BAD_REQUEST, &body).header("cache-control", "no-store")
    }
}

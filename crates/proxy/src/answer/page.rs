//! A page that the user has to open before the call can be made: asked for as each revision does, where the client said that
//! it can, and said in words where it cannot.
//!
//! - 2025-11-25: error -32042 with `data.elicitations` (client/elicitation, "URL Elicitation Required Error")
//! - 2026-07-28: a result of type `input_required` (basic/patterns/mrtr; client/elicitation, "URL Mode"), which the client
//!   answers by making the call again; the code -32042 is not used any more

use http::StatusCode;
use safeconduct_core::mcp::door::PAGE;
use safeconduct_core::refusal::is_page;
use serde_json::json;

use super::{Answer, DENIED, Facts, plain};

/// What the elicitation is in the older revision: an error of this code.
const URL_ELICITATION_REQUIRED: i32 = -32042;

pub(super) fn asked(url: &str, facts: &Facts<'_>) -> Answer {
    if !is_page(url) {
        return plain(
            facts.or(StatusCode::FORBIDDEN),
            DENIED,
            "no credential for the backend is granted to you",
        );
    }
    let host =
        url.parse::<http::Uri>().ok().and_then(|url| url.host().map(str::to_owned)).unwrap_or_default();
    let why =
        format!("To act for you, the gateway needs your consent at {host}: open this page, then try again.");
    match (facts.pages, facts.modern) {
        (true, true) => required(url, &why, facts),
        (true, false) => {
            let elicitation =
                json!({"mode": "url", "elicitationId": facts.request_id, "url": url, "message": why});
            Answer {
                extra: format!(",\"elicitations\":[{elicitation}]"),
                ..plain(
                    facts.or(StatusCode::FORBIDDEN),
                    URL_ELICITATION_REQUIRED,
                    "a page must be opened first",
                )
            }
        }
        // The message is what such a client shows.
        (false, _) => Answer {
            extra: format!(",\"url\":{}", json!(url)),
            ..plain(
                facts.or(StatusCode::FORBIDDEN),
                DENIED,
                &format!("a page must be opened first, then try again: {url}"),
            )
        },
    }
}

fn required(url: &str, why: &str, facts: &Facts<'_>) -> Answer {
    let result = json!({
        "resultType": "input_required",
        "inputRequests": {
            PAGE: {"method": "elicitation/create", "params": {"mode": "url", "url": url, "message": why}},
        },
        "_meta": {"safeconduct/code": "SC-C04", "safeconduct/request_id": facts.request_id},
    });
    Answer {
        result: Some(result.to_string()),
        ..plain(StatusCode::OK, DENIED, "a page must be opened first")
    }
}

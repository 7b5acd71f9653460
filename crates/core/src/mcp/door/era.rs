//! Which era a request belongs to. Order: `initialize` is legacy, unless header and body both say modern (then it is
//! a method that this revision does not have, as the official suite asks); a modern header is modern; a legacy header
//! is legacy, whatever keys stray in `_meta` (ChatGPT sends the modern ones with 2025-11-25); no header and a
//! version in `_meta` is modern (and lacks its header); nothing is legacy, 2025-03-26.

use http::HeaderValue;

use super::envelope::Envelope;
use crate::mcp::{Era, Head};
use crate::refusal::Reason;

/// The stateless revision.
pub(super) const MODERN: &str = "2026-07-28";
/// Stateless revisions that are served.
pub const MODERN_VERSIONS: &[&str] = &[MODERN];
/// Revisions with `initialize` that are served: those that use Streamable HTTP.
pub const LEGACY_VERSIONS: &[&str] = &["2025-03-26", "2025-06-18", "2025-11-25"];

enum Said<'a> {
    Nothing,
    Legacy,
    Modern,
    Unsupported(&'a HeaderValue),
}

/// The era of a message, and what is wrong with the version it names. The era of an unsupported version
/// decides only how the refusal is written.
pub(super) fn of_message(head: &Head, envelope: &Envelope<'_>) -> (Era, Option<Reason>) {
    let initialize = envelope.method.name() == "initialize";
    let era_of_body = if envelope.version().is_some() { Era::Modern } else { Era::Legacy };
    match said(head) {
        Said::Unsupported(_) if !initialize && era_of_body == Era::Modern => {
            // The body names a version too: equality with the header, then support, are checked with the rest.
            (Era::Modern, None)
        }
        Said::Unsupported(version) => {
            let era = if initialize || !is_later(version) { Era::Legacy } else { Era::Modern };
            (era, Some(unsupported(version)))
        }
        Said::Modern if !initialize || era_of_body == Era::Modern => (Era::Modern, None),
        _ if initialize => (Era::Legacy, None),
        Said::Modern => (Era::Modern, None),
        Said::Legacy => (Era::Legacy, None),
        Said::Nothing => (era_of_body, None),
    }
}

/// The era of a request without a message.
///
/// # Errors
/// `UnsupportedVersion`.
pub(super) fn of_head(head: &Head) -> Result<Era, Reason> {
    match said(head) {
        Said::Modern => Ok(Era::Modern),
        Said::Legacy | Said::Nothing => Ok(Era::Legacy),
        Said::Unsupported(version) => Err(unsupported(version)),
    }
}

fn said(head: &Head) -> Said<'_> {
    match &head.protocol_version {
        None => Said::Nothing,
        Some(version) if version == MODERN => Said::Modern,
        Some(version) if LEGACY_VERSIONS.iter().any(|known| version == known) => Said::Legacy,
        Some(version) => Said::Unsupported(version),
    }
}

/// A version newer than the legacy ones is asked for by a modern client, which reads the modern refusal.
fn is_later(version: &HeaderValue) -> bool {
    version.to_str().is_ok_and(|version| version.len() == 10 && version > "2025-11-25")
}

fn unsupported(version: &HeaderValue) -> Reason {
    Reason::UnsupportedVersion(version.to_str().unwrap_or_default().chars().take(64).collect())
}

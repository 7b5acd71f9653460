//! One fetch of an issuer's keys.

use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use http::header::CACHE_CONTROL;
use safeconduct_core::caller::{KeySet, MAX_KEY_SET};

use super::discovery;
use crate::wire::{Answer, Endpoint, Request, Wire};

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The issuer says it: OIDC discovery, then RFC 8414.
    Discovery {
        /// Plain http beyond loopback was allowed by name.
        allow_http: bool,
        /// Hosts that may hold the keys besides the issuer's own.
        key_hosts: &'static [&'static str],
    },
    /// At this URL.
    Uri(Endpoint),
    /// In this file, which is read again when keys are refreshed.
    File(PathBuf),
}

/// Keys cannot be had now. The text is the operator's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}")]
pub struct Unavailable {
    place: String,
    why: String,
}

impl Unavailable {
    pub(super) fn new(place: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self { place: one_line(&place.to_string()), why: one_line(&why.to_string()) }
    }
}

/// What a document says of itself may stand in it: cut, and without line breaks.
fn one_line(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(300).collect()
}

/// Keys, and for how long the issuer says that they are good.
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    pub(super) fresh: Option<Duration>,
}

/// Fetches once. An empty set is no set: it would end all callers for what is surely a mistake (R12).
pub(super) async fn fetch(source: &KeySource, issuer: &str, wire: &Wire) -> Result<Fetched, Unavailable> {
    let endpoint = match source {
        KeySource::File(path) => return read_file(path).await,
        KeySource::Uri(endpoint) => endpoint.clone(),
        KeySource::Discovery { allow_http, key_hosts } => {
            discovery::jwks_uri(wire, issuer, *allow_http, key_hosts).await?
        }
    };
    let place = endpoint.to_string();
    let answer = wire.send(Request::read(endpoint)).await.map_err(|error| Unavailable::new(&place, error))?;
    if !answer.status.is_success() {
        return Err(Unavailable::new(&place, format_args!("HTTP {}", answer.status.as_u16())));
    }
    Ok(Fetched { keys: usable(&place, &answer.body)?, fresh: max_age(&answer) })
}

async fn read_file(path: &std::path::Path) -> Result<Fetched, Unavailable> {
    let place = path.display().to_string();
    let mut document = Vec::new();
    // Small and rare: read where it stands, on the background runtime.
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_KEY_SET as u64 + 1).read_to_end(&mut document))
        .map_err(|error| Unavailable::new(&place, error))?;
    Ok(Fetched { keys: usable(&place, &document)?, fresh: None })
}

fn usable(place: &str, document: &[u8]) -> Result<KeySet, Unavailable> {
    let keys = KeySet::from_jwks(document).map_err(|error| Unavailable::new(place, error))?;
    if keys.is_empty() {
        return Err(Unavailable::new(place, "no key that can verify tokens"));
    }
    Ok(keys)
}

/// `max-age` (RFC 9111 §5.2.2.1). `no-store` says nothing here: keys must be kept to be used.
fn max_age(answer: &Answer) -> Option<Duration> {
    let control = answer.headers.get(CACHE_CONTROL)?.to_str().ok()?;
    let seconds = control.split(',').find_map(|part| {
        let (name, value) = part.trim().split_once('=')?;
        name.eq_ignore_ascii_case("max-age").then(|| value.trim_matches('"').parse().ok())?
    });
    seconds.map(Duration::from_secs)
}

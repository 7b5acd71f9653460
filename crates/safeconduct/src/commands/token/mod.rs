//! `safeconduct token`: a look at a token, and what a chain makes of it. A signature is never printed.

mod exchange;
mod inspect;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;
use safeconduct_identity::clock::{Clock as _, SystemClock};
use serde_json::{Map, Value};

use crate::cli::Output;
use crate::present::{Paint, Said};

/// The largest file that can be a token with some space around it.
const LARGEST: u64 = 64 * 1024;

/// What can be done with a token.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what a token says: its header and claims, and how long it is good.
    ///
    /// Nothing is verified and nobody is asked. The signature is not printed, so that the answer can be shown to others.
    #[command(after_help = "\
Examples:
  safeconduct token inspect token.jwt
  pbpaste | safeconduct token inspect
  safeconduct token inspect token.jwt --output json | jq .claims.aud")]
    Inspect {
        /// A file with the token; `-` for standard input. It is not taken from the command line, where others can
        /// read it.
        #[arg(value_name = "FILE", default_value = "-")]
        file: PathBuf,
        /// How the answer is written on standard output.
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Run a server's credential chain with a token, as the gateway would, and show what each step gives.
    ///
    /// The token is verified as at the gateway, the token endpoints are really asked, nothing is taken from a cache. What is
    /// shown are claims, lifetimes and scopes, or which step failed, why, and what to do; no token and no signature.
    /// Exits with 1 when a step fails.
    #[command(after_help = "\
Examples:
  safeconduct token exchange --server orders --token-file token.jwt
  pbpaste | safeconduct token exchange --token-stdin -o json | jq '.steps[].granted.claims'
  safeconduct token exchange --server orders --token-file token.jwt --print-token > exchanged.jwt")]
    Exchange(Box<exchange::Question>),
}

/// Does it.
pub fn run(command: &Command, paint: Paint, people: Paint) -> Said {
    let now = SystemClock::new().wall();
    match command {
        Command::Inspect { file, output } => inspect::run(file, *output, now, paint),
        Command::Exchange(question) => exchange::run(question, now, paint, people),
    }
}

/// A token, as far as it can be read without a key.
pub(super) enum Token {
    /// A compact JWS with JSON in it (RFC 7515 §3.1).
    Signed(Signed),
    /// A compact JWE (RFC 7516 §3.1).
    Encrypted,
    /// Anything else: only its issuer knows what it says.
    Opaque,
}

/// Header and claims of a JWT. Nothing of it is verified.
pub(super) struct Signed {
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
}

impl Token {
    /// Reads a token.
    pub(super) fn read(token: &[u8]) -> Self {
        let parts: Vec<&[u8]> = token.split(|byte| *byte == b'.').collect();
        match parts.as_slice() {
            [header, claims, _] => match (object(header), object(claims)) {
                (Some(header), Some(claims)) => Self::Signed(Signed { header, claims }),
                _ => Self::Opaque,
            },
            [header, _, _, _, _] if object(header).is_some_and(|header| header.contains_key("enc")) => {
                Self::Encrypted
            }
            _ => Self::Opaque,
        }
    }
}

fn object(part: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// A token from a file, or from standard input for `-`: without the space around it, and without a `Bearer`.
pub(super) fn from_file(file: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(LARGEST).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(LARGEST).read_to_end(&mut bytes))
    };
    read.map_err(|error| format!("cannot be read: {error}"))?;
    let token = bytes.trim_ascii();
    let token = token.strip_prefix(b"Bearer ").unwrap_or(token).trim_ascii();
    if token.is_empty() { Err("there is none".to_owned()) } else { Ok(token.to_vec()) }
}

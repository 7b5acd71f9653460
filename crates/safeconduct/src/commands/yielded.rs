//! What a chain that was run by hand came to: as data. Never a token, never a signature.

use safeconduct_core::caller::Principal;
use safeconduct_core::material::Material;
use safeconduct_core::refusal::Reason;
use safeconduct_core::time::Timestamp;
use safeconduct_identity::acquire::{Stopped, Walk, Walked};
use safeconduct_identity::provider::{Description, Use};
use safeconduct_proxy::answer;
use serde::Serialize;
use serde_json::{Map, Value};

use super::doctor::known;
use super::doctor::remedy::remedy;
use super::token::Token;

/// The whole of it.
#[derive(Debug, Serialize)]
pub(crate) struct Yielded {
    /// Whether the chain came to its end.
    pub(crate) ok: bool,
    pub(crate) server: String,
    /// The token that it began with.
    pub(crate) subject: Look,
    /// Whom the gateway takes the caller for; None for a token that it does not believe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) caller: Option<Caller>,
    /// The steps that were run, the refused one last.
    pub(crate) steps: Vec<Leg>,
    /// Why it ended early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refusal: Option<Refused>,
}

/// The caller, as policies see it.
#[derive(Debug, Serialize)]
pub(crate) struct Caller {
    pub(crate) principal: String,
    pub(crate) groups: Vec<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) expires: String,
}

/// One step.
#[derive(Debug, Serialize)]
pub(crate) struct Leg {
    /// What it asks, of whom.
    #[serde(flatten)]
    pub(crate) description: Description,
    /// What it was given; None where it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) granted: Option<Granted>,
}

/// What a step gave.
#[derive(Debug, Serialize)]
pub(crate) struct Granted {
    #[serde(flatten)]
    pub(crate) look: Look,
    /// `bearer`, or `subject` for what only another token endpoint takes.
    #[serde(rename = "use")]
    pub(crate) usable: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<String>,
    pub(crate) scopes: Vec<Box<str>>,
}

/// A credential, as far as it may be shown.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Look {
    /// `jwt`, `encrypted`, `opaque` or `aws_keys`.
    pub(crate) kind: &'static str,
    /// Bytes of a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) header: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) claims: Option<Map<String, Value>>,
    /// Not secret (AWS IAM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access_key_id: Option<Box<str>>,
    /// Bound to a key of the gateway (RFC 9449).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) bound: bool,
}

/// Why it ended early.
#[derive(Debug, Serialize)]
pub(crate) struct Refused {
    /// The step; None when the gateway itself does not let the caller in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<Box<str>>,
    pub(crate) code: &'static str,
    pub(crate) fault: &'static str,
    pub(crate) why: String,
    /// The provider's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) said: Option<String>,
    /// What they mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) means: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<String>,
}

impl Yielded {
    /// Nothing was run: the gateway refuses the caller.
    pub(crate) fn refused(server: &str, token: &[u8], reason: &Reason) -> Self {
        Self {
            ok: false,
            server: server.to_owned(),
            subject: Look::at(token),
            caller: None,
            steps: Vec::new(),
            refusal: Some(Refused::of(None, reason, None)),
        }
    }

    /// What was run.
    pub(crate) fn of(
        server: &str,
        token: &[u8],
        caller: &Principal,
        steps: Vec<Description>,
        walk: &Walk,
    ) -> Self {
        let ran = walk.granted.len() + usize::from(walk.failure.is_some());
        let granted = walk.granted.iter().map(|step| Some(Granted::of(step))).chain([None]);
        let legs = steps.into_iter().take(ran).zip(granted);
        let refusal = match &walk.failure {
            Some(Stopped { step, reason, said }) => Some(Refused::of(Some(step), reason, said.as_deref())),
            None => walk.granted.last().and_then(useless),
        };
        Self {
            ok: refusal.is_none(),
            server: server.to_owned(),
            subject: Look::at(token),
            caller: Some(Caller::of(caller)),
            steps: legs.map(|(description, granted)| Leg { description, granted }).collect(),
            refusal,
        }
    }
}

/// A chain whose end is good for nobody but another token endpoint.
fn useless(last: &Walked) -> Option<Refused> {
    let reason = Reason::BadTokenAnswer {
        step: last.step.to_string(),
        problem: "the chain ends in a token that is good as a subject only (token_type N_A)".into(),
    };
    (last.usable == Use::SubjectOnly).then(|| Refused::of(Some(&last.step), &reason, None))
}

impl Refused {
    pub(crate) fn of(step: Option<&str>, reason: &Reason, said: Option<&str>) -> Self {
        let why = answer::detail(reason);
        let known = known::find(&format!("{why} {}", said.unwrap_or_default()));
        Self {
            step: step.map(Into::into),
            code: reason.code(),
            fault: reason.fault().word(),
            why,
            said: said.map(Into::into),
            means: known.map(|known| known.means),
            remedy: known.map(|known| known.fix.to_owned()).or_else(|| remedy(reason)),
        }
    }
}

impl Caller {
    fn of(caller: &Principal) -> Self {
        let texts = |texts: &[Box<str>]| texts.iter().map(ToString::to_string).collect();
        Self {
            principal: super::explain::named(caller),
            groups: texts(&caller.groups),
            scopes: texts(&caller.scopes),
            expires: rfc3339(caller.expires),
        }
    }
}

impl Granted {
    fn of(step: &Walked) -> Self {
        Self {
            look: Look::of(&step.material),
            usable: match step.usable {
                Use::Bearer => "bearer",
                Use::SubjectOnly => "subject",
            },
            expires: step.expires.map(rfc3339),
            scopes: step.scopes.to_vec(),
        }
    }
}

impl Look {
    /// At a token.
    pub(crate) fn at(token: &[u8]) -> Self {
        let length = Some(token.len());
        match Token::read(token) {
            Token::Signed(signed) => Self {
                kind: "jwt",
                length,
                header: Some(signed.header),
                claims: Some(signed.claims),
                ..Self::default()
            },
            Token::Encrypted => Self { kind: "encrypted", length, ..Self::default() },
            Token::Opaque => Self { kind: "opaque", length, ..Self::default() },
        }
    }

    fn of(material: &Material) -> Self {
        match (material.subject(), material.aws()) {
            (Some(token), _) => Self { bound: material.bound().is_some(), ..Self::at(token.expose()) },
            (None, Some(keys)) => {
                Self { kind: "aws_keys", access_key_id: Some(keys.access_key_id.clone()), ..Self::default() }
            }
            (None, None) => Self { kind: "opaque", ..Self::default() },
        }
    }
}

/// Without the milliseconds, which nobody grants.
fn rfc3339(moment: Timestamp) -> String {
    moment.rfc3339().replace(".000Z", "Z")
}

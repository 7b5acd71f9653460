//! What the backend is asked with. A [`Credential`] is made from an issuer's answer or from configuration;
//! there is no way from a caller's token to one.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::audit::{CredentialRecord, SpeaksFor};
use crate::caller::{Fingerprint, Principal, SubjectToken};
use crate::challenge::Challenge;
use crate::material::Material;
use crate::secret::Secret;
use crate::server::{Delivery, Server};
use crate::sigv4::SigningKeys;
use crate::time::Timestamp;

/// What an issuer gave for one caller, or a secret that the configuration names, in the form that its server takes.
///
/// Cheap to clone: what it is made of is shared.
#[derive(Clone)]
pub struct Credential {
    form: Carried,
    record: CredentialRecord,
}

/// How a credential travels.
#[derive(Clone)]
enum Carried {
    /// Not at all: `credential: none`.
    Nothing,
    /// In a header, built once.
    Header(http::HeaderName, HeaderValue),
    /// In `Authorization`, built once, with a proof for each request (RFC 9449 §7).
    Proven(HeaderValue, Arc<Material>),
    /// Not itself: the request is signed with it.
    Signed(Arc<SigningKeys>),
    /// Not on the request: the process that runs the server for this caller is given it.
    Instance(Arc<Material>),
}

/// What was granted cannot be delivered as the configuration says. The text is the operator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undeliverable {
    /// Characters that no header may hold (edge case 28).
    #[error("the token holds characters that no header may hold")]
    Characters,
    /// AWS keys for a header, a token for a signature, a token that goes with a proof for anything but the usual
    /// `Authorization`.
    #[error("what was granted is not of the kind that the server's delivery takes")]
    Kind,
}

impl Credential {
    /// From an issuer's answer.
    ///
    /// # Errors
    /// [`Undeliverable`]
    pub fn issued(
        material: &Arc<Material>,
        delivery: &Delivery,
        record: CredentialRecord,
    ) -> Result<Self, Undeliverable> {
        let form = match delivery {
            Delivery::Header { name, prefix } if material.bound().is_some() => {
                // The scheme is part of the protocol: a proof in another header proves nothing.
                if *name != http::header::AUTHORIZATION || !prefix.eq_ignore_ascii_case("bearer ") {
                    return Err(Undeliverable::Kind);
                }
                let token = material.subject().ok_or(Undeliverable::Kind)?;
                Carried::Proven(token.to_header("DPoP ").ok_or(Undeliverable::Characters)?, material.clone())
            }
            Delivery::Header { name, prefix } => {
                let token = material.token().ok_or(Undeliverable::Kind)?;
                let value = token.to_header(prefix).ok_or(Undeliverable::Characters)?;
                Carried::Header(name.clone(), value)
            }
            Delivery::SigV4(_) => Carried::Signed(Arc::new(SigningKeys::new(material)?)),
            Delivery::Instance => Carried::Instance(material.clone()),
        };
        Ok(Self { form, record })
    }

    /// From the configuration (`static`): the same for every caller, and named so in the audit record.
    ///
    /// # Errors
    /// [`Undeliverable`]
    pub fn configured(
        material: &Arc<Material>,
        delivery: &Delivery,
        record: CredentialRecord,
    ) -> Result<Self, Undeliverable> {
        Self::issued(material, delivery, record)
    }

    /// `credential: none`: said, not forgotten.
    pub fn none() -> Self {
        let nothing: Arc<[Box<str>]> = Arc::new([]);
        let record = CredentialRecord {
            steps: nothing.clone(),
            source: "none",
            speaks_for: SpeaksFor::Nobody,
            audience: nothing.clone(),
            scopes: nothing,
            expires: None,
        };
        Self { form: Carried::Nothing, record }
    }

    /// What of it is written to the audit record.
    pub fn record(&self) -> &CredentialRecord {
        &self.record
    }

    /// What the process that runs the server is to be given; None for a credential that travels on the request.
    pub fn for_instance(&self) -> Option<&Arc<Material>> {
        match &self.form {
            Carried::Instance(material) => Some(material),
            Carried::Nothing | Carried::Header(..) | Carried::Proven(..) | Carried::Signed(_) => None,
        }
    }

    /// The same credential, said to come from elsewhere (`cache` instead of `issuer`).
    #[must_use]
    pub fn from_source(mut self, source: &'static str) -> Self {
        self.record.source = source;
        self
    }

    /// When it ends; None for what does not end.
    pub fn expires(&self) -> Option<Timestamp> {
        self.record.expires
    }

    /// True when both are the same secret, delivered alike: whether what a backend refused is what is kept.
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (&self.form, &other.form) {
            (Carried::Header(name, value), Carried::Header(other_name, other_value)) => {
                name == other_name
                    && verify_slices_are_equal(value.as_bytes(), other_value.as_bytes()).is_ok()
            }
            (Carried::Signed(one), Carried::Signed(other)) => one.material().is_same_as(other.material()),
            (Carried::Instance(one), Carried::Instance(other))
            | (Carried::Proven(_, one), Carried::Proven(_, other)) => one.is_same_as(other),
            (Carried::Nothing, Carried::Nothing) => true,
            _ => false,
        }
    }

    /// Puts it on the request, as the last thing that is done to it.
    pub(crate) fn apply(
        &self,
        request: &mut http::Request<bytes::Bytes>,
        delivery: &Delivery,
        now: Timestamp,
    ) {
        match &self.form {
            Carried::Header(name, value) => {
                request.headers_mut().insert(name.clone(), value.clone());
            }
            Carried::Proven(value, material) => {
                if let Some(bound) = material.bound() {
                    bound.apply(value, request, now);
                }
            }
            Carried::Signed(keys) => {
                // What was made for a signature goes unsigned to a server that no longer wants one: it refuses.
                if let Delivery::SigV4(signer) = delivery {
                    signer.sign(keys, request, now);
                }
            }
            Carried::Nothing | Carried::Instance(_) => {}
        }
    }

    /// Takes over what an answer says of the next proof; true when the same request is wanted again with it.
    pub(crate) fn is_challenged(&self, url: &http::Uri, status: StatusCode, headers: &HeaderMap) -> bool {
        let Carried::Proven(_, material) = &self.form else { return false };
        material.bound().is_some_and(|bound| bound.is_challenged(url, status, headers))
    }
}

impl SubjectToken {
    /// True when `token` is this very token: an issuer that hands the caller's token back issued nothing.
    pub fn is(&self, token: &Secret) -> bool {
        verify_slices_are_equal(self.expose(), token.expose()).is_ok()
    }
}

/// Proof that this caller was permitted this call, in the form that providers take: it lives as long as an
/// exchange needs it, beyond the call itself. Made only by [`crate::path::Authorized::warrant`].
#[derive(Clone)]
pub struct Warrant {
    principal: Arc<Principal>,
    subject: SubjectToken,
    server: Arc<Server>,
    challenge: Option<Arc<Challenge>>,
}

impl Warrant {
    pub(crate) fn new(principal: Arc<Principal>, subject: SubjectToken, server: Arc<Server>) -> Self {
        Self { principal, subject, server, challenge: None }
    }

    /// The same, with what the server wants of the login behind the credential.
    #[must_use]
    pub fn with_challenge(self, challenge: Option<Arc<Challenge>>) -> Self {
        Self { challenge, ..self }
    }

    /// What the server wants of the login behind the credential, where it refused one for that. A step that can ask for
    /// it does; it is part of what its answer is kept under.
    pub fn challenge(&self) -> Option<&Challenge> {
        self.challenge.as_deref()
    }

    /// The caller.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// The caller's fingerprint: part of every cache key.
    pub fn fingerprint(&self) -> Fingerprint {
        self.principal.fingerprint
    }

    /// The server that the call is for.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// The caller's verified token, for a token endpoint's form.
    pub fn subject(&self) -> &SubjectToken {
        &self.subject
    }
}

/// A token endpoint's form (`application/x-www-form-urlencoded`): the one place that a subject token goes to.
/// Zeroized on drop; its bytes come out once, as the request body.
#[derive(Default)]
pub struct Form {
    body: zeroize::Zeroizing<Vec<u8>>,
}

impl Form {
    /// An empty form.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field; names may repeat (`audience`, `resource`; RFC 8693 §2.1).
    pub fn field(&mut self, name: &str, value: &str) -> &mut Self {
        self.pair(name, value.as_bytes())
    }

    /// Adds a secret field (a client secret, an earlier step's token, an assertion).
    pub fn secret(&mut self, name: &str, value: &Secret) -> &mut Self {
        self.pair(name, value.expose())
    }

    /// Adds the caller's token.
    pub fn subject(&mut self, name: &str, token: &SubjectToken) -> &mut Self {
        self.pair(name, token.expose())
    }

    /// The body, whose storage is zeroized when the last clone of it drops.
    pub fn into_body(self) -> bytes::Bytes {
        bytes::Bytes::from_owner(self.body)
    }

    fn pair(&mut self, name: &str, value: &[u8]) -> &mut Self {
        if !self.body.is_empty() {
            self.body.push(b'&');
        }
        encode(&mut self.body, name.as_bytes());
        self.body.push(b'=');
        encode(&mut self.body, value);
        self
    }
}

/// A login as a JSON object of strings: the other place that a subject token goes to, for services that take no form
/// (OpenBao, Vault). As with [`Form`], its bytes come out once, as the request body.
#[derive(Default)]
pub struct Login {
    body: zeroize::Zeroizing<Vec<u8>>,
}

impl Login {
    /// An empty object.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member.
    pub fn field(&mut self, name: &str, value: &str) -> &mut Self {
        self.pair(name, value.as_bytes())
    }

    /// Adds an earlier step's token.
    pub fn secret(&mut self, name: &str, value: &Secret) -> &mut Self {
        self.pair(name, value.expose())
    }

    /// Adds the caller's token.
    pub fn subject(&mut self, name: &str, token: &SubjectToken) -> &mut Self {
        self.pair(name, token.expose())
    }

    /// The body, whose storage is zeroized when the last clone of it drops.
    pub fn into_body(mut self) -> bytes::Bytes {
        if self.body.is_empty() {
            self.body.push(b'{');
        }
        self.body.push(b'}');
        bytes::Bytes::from_owner(self.body)
    }

    fn pair(&mut self, name: &str, value: &[u8]) -> &mut Self {
        let before = if self.body.is_empty() { b'{' } else { b',' };
        self.body.push(before);
        quote(&mut self.body, name.as_bytes());
        self.body.push(b':');
        quote(&mut self.body, value);
        self
    }
}

/// A JSON string (RFC 8259 §7). Bytes that are no UTF-8 are no token that anybody would take.
fn quote(out: &mut Vec<u8>, bytes: &[u8]) {
    // Once, so that no copy is left behind in storage that is not zeroized.
    out.reserve(bytes.len() * 6 + 2);
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Percent-encoding of the form media type (WHATWG URL, RFC 6749 appendix B), appended to `out`.
pub fn encode(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.reserve(bytes.len());
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => {
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, Login};
    use crate::secret::Secret;

    #[test]
    fn a_login_is_json_whatever_its_members_hold() {
        assert_eq!(&Login::new().into_body()[..], b"{}");
        let mut login = Login::new();
        login.field("role", "a\"b\\c\n").secret("jwt", &Secret::new(b"e.y.J".to_vec()));
        let body = login.into_body();
        let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(read, serde_json::json!({ "role": "a\"b\\c\n", "jwt": "e.y.J" }));
    }

    #[test]
    fn a_form_encodes_reserved_characters_and_repeats_names() {
        let mut form = Form::new();
        form.field("audience", "a b").field("audience", "c&d=é+");
        assert_eq!(&form.into_body()[..], b"audience=a+b&audience=c%26d%3D%C3%A9%2B");
    }
}

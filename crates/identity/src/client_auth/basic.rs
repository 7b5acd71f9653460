//! `client_secret_basic`: HTTP Basic with the form-encoded identifier and secret (RFC 6749 §2.3.1).
//!
//! Servers disagree: strict ones refuse what is not form-encoded, lax ones do not decode. Hence the setting.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use safeconduct_core::credential::{Form, encode};
use safeconduct_core::time::Timestamp;
use zeroize::Zeroizing;

use super::{ClientAuth, ClientAuthError, check_alphabet};
use crate::secret_source::SecretSource;

/// How identifier and secret are written before base64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BasicEncoding {
    /// Form-encoded, as RFC 6749 §2.3.1 says.
    #[default]
    Form,
    /// As they are, for servers that do not decode (RFC 7617 alone).
    Raw,
}

/// See the module.
pub struct ClientSecretBasic {
    client_id: Box<str>,
    secret: SecretSource,
    encoding: BasicEncoding,
}

impl ClientSecretBasic {
    /// For this client.
    ///
    /// # Errors
    /// `SecretAlphabet`; `Header` for an identifier with a colon, which raw encoding cannot tell from the
    /// separator (RFC 7617 §2).
    pub fn new(
        client_id: Box<str>,
        secret: SecretSource,
        encoding: BasicEncoding,
    ) -> Result<Self, ClientAuthError> {
        check_alphabet(&client_id, &secret.current())?;
        if encoding == BasicEncoding::Raw && client_id.contains(':') {
            return Err(ClientAuthError::Header(client_id.into()));
        }
        Ok(Self { client_id, secret, encoding })
    }

    fn write(&self, out: &mut Vec<u8>, bytes: &[u8]) {
        match self.encoding {
            BasicEncoding::Form => encode(out, bytes),
            BasicEncoding::Raw => out.extend_from_slice(bytes),
        }
    }
}

impl ClientAuth for ClientSecretBasic {
    fn method(&self) -> &'static str {
        "client_secret_basic"
    }

    fn client_id(&self) -> Option<&str> {
        Some(&self.client_id)
    }

    fn apply(
        &self,
        _: &mut Form,
        headers: &mut HeaderMap,
        _: &str,
        _: Timestamp,
    ) -> Result<(), ClientAuthError> {
        let secret = self.secret.current();
        check_alphabet(&self.client_id, &secret)?;
        // Room for the worst case of each, so that no half-filled buffer is left behind unzeroized.
        let room = 3 * (self.client_id.len() + secret.len()) + 1;
        let mut pair = Zeroizing::new(Vec::with_capacity(room));
        self.write(&mut pair, self.client_id.as_bytes());
        pair.push(b':');
        self.write(&mut pair, secret.expose());
        let mut text = Zeroizing::new(String::with_capacity(6 + room.div_ceil(3) * 4));
        text.push_str("Basic ");
        STANDARD.encode_string(&*pair, &mut text);
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(ZeroizedText(text)))
            .map_err(|_| ClientAuthError::Header(self.client_id.to_string()))?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
        Ok(())
    }
}

struct ZeroizedText(Zeroizing<String>);

impl AsRef<[u8]> for ZeroizedText {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use safeconduct_core::secret::Secret;

    use super::*;

    fn header_of(secret: &str, encoding: BasicEncoding) -> String {
        let secret = SecretSource::given(Secret::new(secret.as_bytes().to_vec())).unwrap();
        let client = ClientSecretBasic::new("my app".into(), secret, encoding).unwrap();
        let (mut form, mut headers) = (Form::new(), HeaderMap::new());
        client.apply(&mut form, &mut headers, "https://as/token", Timestamp::default()).unwrap();
        assert!(form.into_body().is_empty());
        let value = &headers[header::AUTHORIZATION];
        assert!(value.is_sensitive());
        let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
        String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
    }

    /// Edge: 6
    #[test]
    fn reserved_characters_are_form_encoded_unless_raw_is_asked_for() {
        assert_eq!(header_of(":/+ %&=", BasicEncoding::Form), "my+app:%3A%2F%2B+%25%26%3D");
        assert_eq!(header_of(":/+ %&=", BasicEncoding::Raw), "my app::/+ %&=");
    }

    /// Edge: 7
    #[test]
    fn a_secret_outside_the_alphabet_is_refused_at_load() {
        let secret = |text: &str| SecretSource::given(Secret::new(text.as_bytes().to_vec())).unwrap();
        let made = |text: &str| ClientSecretBasic::new("app".into(), secret(text), BasicEncoding::Form);
        assert!(made("cafe").is_ok());
        assert!(matches!(made("caf\u{e9}"), Err(ClientAuthError::SecretAlphabet(_))));
        assert!(matches!(made("a\tb"), Err(ClientAuthError::SecretAlphabet(_))));
    }

    #[test]
    fn a_colon_in_a_raw_identifier_is_refused() {
        let secret = || SecretSource::given(Secret::new(b"s".to_vec())).unwrap();
        assert!(ClientSecretBasic::new("a:b".into(), secret(), BasicEncoding::Form).is_ok());
        assert!(ClientSecretBasic::new("a:b".into(), secret(), BasicEncoding::Raw).is_err());
    }
}

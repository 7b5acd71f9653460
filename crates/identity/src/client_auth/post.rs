//! `client_secret_post`: identifier and secret in the form (RFC 6749 §2.3.1). Never in a URL.

use http::HeaderMap;
use safeconduct_core::credential::Form;
use safeconduct_core::time::Timestamp;

use super::{ClientAuth, ClientAuthError, check_alphabet};
use crate::secret_source::SecretSource;

/// See the module.
pub struct ClientSecretPost {
    client_id: Box<str>,
    secret: SecretSource,
}

impl ClientSecretPost {
    /// For this client.
    ///
    /// # Errors
    /// `SecretAlphabet`.
    pub fn new(client_id: Box<str>, secret: SecretSource) -> Result<Self, ClientAuthError> {
        check_alphabet(&client_id, &secret.current())?;
        Ok(Self { client_id, secret })
    }
}

impl ClientAuth for ClientSecretPost {
    fn method(&self) -> &'static str {
        "client_secret_post"
    }

    fn client_id(&self) -> Option<&str> {
        Some(&self.client_id)
    }

    fn apply(
        &self,
        form: &mut Form,
        _: &mut HeaderMap,
        _: &str,
        _: Timestamp,
    ) -> Result<(), ClientAuthError> {
        let secret = self.secret.current();
        check_alphabet(&self.client_id, &secret)?;
        form.field("client_id", &self.client_id).secret("client_secret", &secret);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use safeconduct_core::secret::Secret;

    use super::*;

    #[test]
    fn the_secret_goes_into_the_form_encoded() {
        let secret = SecretSource::given(Secret::new(b"a&b=c".to_vec())).unwrap();
        let client = ClientSecretPost::new("app".into(), secret).unwrap();
        let (mut form, mut headers) = (Form::new(), HeaderMap::new());
        client.apply(&mut form, &mut headers, "https://as/token", Timestamp::default()).unwrap();
        assert_eq!(&form.into_body()[..], b"client_id=app&client_secret=a%26b%3Dc");
        assert!(headers.is_empty());
    }
}

//! `none`: a public client, or an endpoint that knows no clients (Databricks, Google).

use http::HeaderMap;
use safeconduct_core::credential::Form;
use safeconduct_core::time::Timestamp;

use super::{ClientAuth, ClientAuthError};

/// Sends `client_id` at most (RFC 6749 §3.2.1).
pub struct NoAuthentication {
    client_id: Option<Box<str>>,
}

impl NoAuthentication {
    /// With a `client_id`, or without.
    pub fn new(client_id: Option<Box<str>>) -> Self {
        Self { client_id }
    }
}

impl ClientAuth for NoAuthentication {
    fn method(&self) -> &'static str {
        "none"
    }

    fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    fn apply(
        &self,
        form: &mut Form,
        _: &mut HeaderMap,
        _: &str,
        _: Timestamp,
    ) -> Result<(), ClientAuthError> {
        if let Some(client_id) = &self.client_id {
            form.field("client_id", client_id);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_client_sends_its_name_and_nothing_else() {
        let (mut form, mut headers) = (Form::new(), HeaderMap::new());
        let client = NoAuthentication::new(Some("app".into()));
        client.apply(&mut form, &mut headers, "https://as/token", Timestamp::default()).unwrap();
        assert_eq!(&form.into_body()[..], b"client_id=app");
        assert!(headers.is_empty());
    }
}

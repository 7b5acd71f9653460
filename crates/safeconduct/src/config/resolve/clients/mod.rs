//! Who we are at a token endpoint.

mod keys;
mod platform;

use std::ops::Range;
use std::sync::Arc;

use super::Resolver;
use crate::config::decode::{At, Field};
use crate::config::plan::{ClientAuthPlan, ClientPlan, SecretValue};
use crate::config::raw::{AuthMethod, BasicEncoding, Client};

impl Resolver<'_> {
    pub(super) fn clients(&mut self) -> Vec<ClientPlan> {
        let Some(clients) = self.file.clients.value() else { return Vec::new() };
        clients.iter().filter_map(|(name, client)| self.client(name, client)).collect()
    }

    /// Names of all clients, broken ones too.
    pub(super) fn client_names(&self) -> Vec<String> {
        self.file
            .clients
            .value()
            .map(|clients| clients.names().map(str::to_owned).collect())
            .unwrap_or_default()
    }

    fn client(&mut self, name: &At<String>, written: &At<Client>) -> Option<ClientPlan> {
        let client = &written.value;
        let method = match &client.auth {
            Field::Given(method) => method.value,
            Field::Absent => AuthMethod::ClientSecretBasic,
            Field::Broken => return None,
        };
        self.only_for(client, method);
        let dpop = self.dpop(client);
        let auth = match method {
            AuthMethod::ClientSecretBasic => {
                let secret = self.client_secret(name, client)?;
                Some(ClientAuthPlan::SecretBasic {
                    secret,
                    encoding: client.basic_encoding.or(BasicEncoding::Form),
                })
            }
            AuthMethod::ClientSecretPost => {
                Some(ClientAuthPlan::SecretPost { secret: self.client_secret(name, client)? })
            }
            AuthMethod::PrivateKeyJwt => self.private_key_jwt(name, client),
            AuthMethod::TlsClientAuth => self.certificate(name, client, false),
            AuthMethod::SelfSignedTlsClientAuth => self.certificate(name, client, true),
            AuthMethod::AssertionFile => {
                let help = "assertion_file: the path of the token that the platform keeps fresh";
                let assertion = self.needed_file(name, "assertion_file", &client.assertion_file, help)?;
                Some(ClientAuthPlan::AssertionFile { assertion })
            }
            AuthMethod::Spiffe => {
                let help = "assertion_file: the path of the JWT-SVID that spiffe-helper keeps fresh";
                let svid = self.needed_file(name, "assertion_file", &client.assertion_file, help)?;
                Some(ClientAuthPlan::Spiffe { svid })
            }
            AuthMethod::ManagedIdentity => self.managed_identity(client),
            AuthMethod::None => Some(ClientAuthPlan::None),
        }?;
        Some(ClientPlan {
            name: name.value.clone(),
            client_id: client.client_id.value()?.clone(),
            auth,
            dpop: dpop?,
        })
    }

    fn client_secret(&mut self, name: &At<String>, client: &Client) -> Option<Arc<SecretValue>> {
        if client.client_secret.is_absent() {
            let method = client.auth.or(AuthMethod::ClientSecretBasic).word();
            self.problems
                .error(name.span.clone(), format!("`client_secret` is missing: `{method}` needs one"))
                .label("needs `client_secret`")
                .help("client_secret: env:NAME or file:PATH; for a public client `auth: none`");
        }
        self.secret(client.client_secret.given()?)
    }

    // A setting that the method does not read is a misunderstanding, and would look as if it worked.
    fn only_for(&mut self, client: &Client, method: AuthMethod) {
        let secret = matches!(method, AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost);
        let signed = method == AuthMethod::PrivateKeyJwt;
        let shown = matches!(method, AuthMethod::TlsClientAuth | AuthMethod::SelfSignedTlsClientAuth);
        let stray = [
            ("client_secret", place(&client.client_secret), secret),
            ("basic_encoding", place(&client.basic_encoding), method == AuthMethod::ClientSecretBasic),
            ("private_key", place(&client.private_key), signed || shown),
            ("certificate", place(&client.certificate), signed || shown),
            ("send_certificate", place(&client.send_certificate), signed),
            ("key_id", place(&client.key_id), signed),
            ("algorithm", place(&client.algorithm), signed),
            ("assertion_audience", place(&client.assertion_audience), signed),
            ("issuer", place(&client.issuer), signed || shown),
            (
                "assertion_file",
                place(&client.assertion_file),
                matches!(method, AuthMethod::AssertionFile | AuthMethod::Spiffe),
            ),
            ("managed_identity", place(&client.managed_identity), method == AuthMethod::ManagedIdentity),
        ];
        for (name, place, used) in stray {
            if let (Some(place), false) = (place, used) {
                self.problems
                    .error(place, format!("`{name}` is not used by `{}`", method.word()))
                    .label("has no effect")
                    .help("remove it, or change `auth`");
            }
        }
    }
}

fn place<T>(field: &Field<T>) -> Option<Range<usize>> {
    field.given().map(|at| at.site.clone())
}

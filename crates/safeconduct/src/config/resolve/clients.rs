//! Who we are at a token endpoint.

use std::sync::Arc;

use super::Resolver;
use crate::config::decode::{At, Field};
use crate::config::plan::{ClientAuthPlan, ClientPlan, SecretValue};
use crate::config::raw::{AssertionAudienceWord, AuthMethod, BasicEncoding, Client};

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
            AuthMethod::None => Some(ClientAuthPlan::None),
            AuthMethod::TlsClientAuth | AuthMethod::AssertionFile | AuthMethod::Spiffe => {
                let place = client.auth.given().map_or_else(|| name.span.clone(), |auth| auth.span.clone());
                self.problems
                    .error(place, format!("client authentication `{}` is not in this version", method.word()))
                    .label("not in this version")
                    .help(
                        "this version has client_secret_basic, client_secret_post, private_key_jwt and none",
                    );
                None
            }
        }?;
        Some(ClientPlan { name: name.value.clone(), client_id: client.client_id.value()?.clone(), auth })
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

    fn private_key_jwt(&mut self, name: &At<String>, client: &Client) -> Option<ClientAuthPlan> {
        if client.private_key.is_absent() {
            self.problems
                .error(name.span.clone(), "`private_key` is missing: `private_key_jwt` signs with it")
                .label("needs `private_key`")
                .help("private_key: file:PATH of a PEM key (PKCS#8)");
        }
        let private_key = client.private_key.given().and_then(|key| self.secret(key));
        let issuer = client.assertion_audience.or(AssertionAudienceWord::TokenEndpoint)
            == AssertionAudienceWord::Issuer;
        if let (true, Some(written)) =
            (issuer && client.issuer.is_absent(), client.assertion_audience.given())
        {
            self.problems
                .error(written.span.clone(), "the issuer is not known: `issuer` is missing")
                .label("needs `issuer` beside it")
                .help("issuer: the identifier of the authorization server, as its metadata says it");
        }
        Some(ClientAuthPlan::PrivateKeyJwt {
            private_key: private_key?,
            key_id: client.key_id.value().cloned(),
            algorithm: client.algorithm.value().copied(),
            audience: if issuer { Some(client.issuer.value()?.clone()) } else { None },
        })
    }

    // A setting that the method does not read is a misunderstanding, and would look as if it worked.
    fn only_for(&mut self, client: &Client, method: AuthMethod) {
        let secret = matches!(method, AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost);
        let key = method == AuthMethod::PrivateKeyJwt;
        let stray = [
            ("client_secret", place(&client.client_secret), secret),
            ("basic_encoding", place(&client.basic_encoding), method == AuthMethod::ClientSecretBasic),
            ("private_key", place(&client.private_key), key),
            ("key_id", place(&client.key_id), key),
            ("algorithm", place(&client.algorithm), key),
            ("assertion_audience", place(&client.assertion_audience), key),
            ("issuer", place(&client.issuer), key),
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

fn place<T>(field: &Field<T>) -> Option<std::ops::Range<usize>> {
    field.given().map(|at| at.site.clone())
}

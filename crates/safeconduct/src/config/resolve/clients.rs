//! Who we are at a token endpoint.

use std::ops::Range;
use std::sync::Arc;

use safeconduct_identity::client_auth::{AUDIENCE, IMDS};
use safeconduct_identity::wire::Endpoint;

use super::Resolver;
use crate::config::decode::{At, Field};
use crate::config::plan::{
    ClientAuthPlan, ClientPlan, DpopPlan, KeyCertificatePlan, SecretOrigin, SecretValue,
};
use crate::config::raw::{AssertionAudienceWord, AuthMethod, BasicEncoding, Client, ManagedIdentity};
use crate::config::values::SecretText;

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

    fn private_key_jwt(&mut self, name: &At<String>, client: &Client) -> Option<ClientAuthPlan> {
        let private_key = self.private_key(name, client, "`private_key_jwt` signs with it");
        let certificate = match &client.certificate {
            Field::Absent => Some(None),
            given => given.given().and_then(|path| self.content(path)).map(Some),
        };
        if let (Some(place), true) = (place(&client.send_certificate), client.certificate.is_absent()) {
            self.problems
                .error(place, "there is no certificate to send")
                .label("needs `certificate` beside it");
        }
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
        if let (false, Some(place)) = (issuer, place(&client.issuer)) {
            self.problems
                .error(place, "`issuer` has no effect without `assertion_audience: issuer`")
                .label("has no effect")
                .help("remove it, or write `assertion_audience: issuer` beside it");
        }
        Some(ClientAuthPlan::PrivateKeyJwt {
            private_key: private_key?,
            certificate: certificate?
                .map(|chain| KeyCertificatePlan { chain, sent: client.send_certificate.or(false) }),
            key_id: client.key_id.value().cloned(),
            algorithm: client.algorithm.value().copied(),
            audience: if issuer { Some(client.issuer.value()?.clone()) } else { None },
        })
    }

    fn certificate(
        &mut self,
        name: &At<String>,
        client: &Client,
        self_signed: bool,
    ) -> Option<ClientAuthPlan> {
        let private_key = self.private_key(name, client, "it is the certificate's");
        let help = "certificate: the path of a PEM file; its key is `private_key`";
        let chain = self.needed_file(name, "certificate", &client.certificate, help);
        let issuer = match &client.issuer {
            Field::Absent => Some(None),
            given => given.given().and_then(|issuer| {
                self.url("the authorization server's metadata", issuer, &Field::Absent)?;
                Some(Some(issuer.value.clone()))
            }),
        };
        Some(ClientAuthPlan::Certificate {
            self_signed,
            chain: chain?,
            private_key: private_key?,
            issuer: issuer?,
        })
    }

    fn managed_identity(&mut self, client: &Client) -> Option<ClientAuthPlan> {
        let nothing = ManagedIdentity {
            client_id: Field::Absent,
            audience: Field::Absent,
            endpoint: Field::Absent,
            header: Field::Absent,
        };
        let identity = match &client.managed_identity {
            Field::Absent => &nothing,
            given => &given.given()?.value,
        };
        let variable = |name: &str| (self.surroundings.variable)(name).filter(|text| !text.is_empty());
        let platform = variable("IDENTITY_ENDPOINT").zip(variable("IDENTITY_HEADER"));
        let (endpoint, header) = match (&identity.endpoint, &identity.header) {
            (Field::Absent, Field::Absent) => match platform {
                Some((endpoint, header)) => {
                    let origin = SecretOrigin::Env("IDENTITY_HEADER".into());
                    let value = safeconduct_core::secret::Secret::new(header.into_bytes());
                    (endpoint, Some(Arc::new(SecretValue { origin, value })))
                }
                None => (IMDS.to_owned(), None),
            },
            (endpoint, header) => {
                let header = match header {
                    Field::Absent => None,
                    given => Some(self.secret(given.given()?)?),
                };
                (endpoint.or(IMDS.to_owned()), header)
            }
        };
        if let (Err(_), Some(at)) = (Endpoint::of_machine(&endpoint), identity.endpoint.given()) {
            self.problems
                .error(at.span.clone(), "this is not an address of the machine itself")
                .label("not of this machine")
                .help("plain http goes to loopback and link-local addresses only, by number");
        }
        Some(ClientAuthPlan::ManagedIdentity {
            endpoint,
            audience: identity.audience.or(AUDIENCE.to_owned()),
            identity: identity.client_id.value().cloned(),
            header,
        })
    }

    /// Outer None: something is wrong with it.
    fn dpop(&mut self, client: &Client) -> Option<Option<DpopPlan>> {
        let on = match &client.dpop {
            Field::Broken => return None,
            field => field.or(false),
        };
        match (on, &client.dpop_key) {
            (false, Field::Absent) => Some(None),
            (false, key) => {
                if let Some(place) = place(key) {
                    self.problems
                        .error(place, "`dpop_key` has no effect without `dpop: true`")
                        .label("has no effect")
                        .help("write `dpop: true` beside it, or remove it");
                }
                None
            }
            (true, Field::Absent) => Some(Some(DpopPlan { key: None })),
            (true, key) => Some(Some(DpopPlan { key: Some(self.secret(key.given()?)?) })),
        }
    }

    fn private_key(&mut self, name: &At<String>, client: &Client, why: &str) -> Option<Arc<SecretValue>> {
        if client.private_key.is_absent() {
            self.problems
                .error(name.span.clone(), format!("`private_key` is missing: {why}"))
                .label("needs `private_key`")
                .help("private_key: file:PATH of a PEM key (PKCS#8)");
        }
        self.secret(client.private_key.given()?)
    }

    fn needed_file(
        &mut self,
        name: &At<String>,
        setting: &str,
        written: &Field<String>,
        help: &str,
    ) -> Option<Arc<SecretValue>> {
        if written.is_absent() {
            self.problems
                .error(name.span.clone(), format!("`{setting}` is missing"))
                .label(format!("needs `{setting}`"))
                .help(help);
        }
        self.content(written.given()?)
    }

    /// A file that may be replaced while the program runs.
    fn content(&mut self, path: &At<String>) -> Option<Arc<SecretValue>> {
        let value = SecretText::File(path.value.clone());
        self.secret(&At { value, span: path.span.clone(), site: path.site.clone() })
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

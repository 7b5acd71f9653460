//! Clients that prove themselves by a key: whether the key is one, and fits its certificate, needs no network.

use std::sync::Arc;

use safeconduct_identity::client_auth::{DpopKey, PrivateKeyJwt};
use safeconduct_identity::wire::ClientCertificate;

use super::super::Resolver;
use super::place;
use crate::config::decode::{At, Field};
use crate::config::plan::{ClientAuthPlan, DpopPlan, KeyCertificatePlan, SecretValue};
use crate::config::raw::{AssertionAudienceWord, Client};
use crate::config::values::SecretText;

impl Resolver<'_> {
    pub(super) fn private_key_jwt(&mut self, name: &At<String>, client: &Client) -> Option<ClientAuthPlan> {
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
        let (private_key, certificate) = (private_key?, certificate?);
        let algorithm = client.algorithm.value().map(|algorithm| (*algorithm).into());
        let chain = certificate.as_ref().map(|chain| &chain.value);
        self.sound(PrivateKeyJwt::check(&private_key.value, algorithm, chain), &client.private_key)?;
        Some(ClientAuthPlan::PrivateKeyJwt {
            private_key,
            certificate: certificate
                .map(|chain| KeyCertificatePlan { chain, sent: client.send_certificate.or(false) }),
            key_id: client.key_id.value().cloned(),
            algorithm: client.algorithm.value().copied(),
            audience: if issuer { Some(client.issuer.value()?.clone()) } else { None },
        })
    }

    pub(super) fn certificate(
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
        let (private_key, chain) = (private_key?, chain?);
        let made = ClientCertificate::from_pem(chain.value.expose(), &private_key.value);
        self.sound(made, &client.private_key)?;
        Some(ClientAuthPlan::Certificate { self_signed, chain, private_key, issuer: issuer? })
    }

    /// Outer None: something is wrong with it.
    pub(super) fn dpop(&mut self, client: &Client) -> Option<Option<DpopPlan>> {
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
            (true, written) => {
                let key = self.secret(written.given()?)?;
                self.sound(DpopKey::read(&key.value), written)?;
                Some(Some(DpopPlan { key: Some(key) }))
            }
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

    /// What was made of a key, or None after noting what is wrong with it.
    fn sound<T>(&mut self, made: Result<T, &'static str>, key: &Field<SecretText>) -> Option<T> {
        if let (Err(problem), Some(place)) = (&made, place(key)) {
            self.problems.error(place, format!("this key cannot be used: {problem}")).label("cannot be used");
        }
        made.ok()
    }
}

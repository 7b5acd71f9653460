//! AWS's side of the tests: what its token service answers, and steps that ask it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use safeconduct_core::caller::Principal;
use safeconduct_core::credential::Warrant;
use safeconduct_core::material::{AwsKeys, Material};
use safeconduct_core::secret::Secret;
use safeconduct_core::server::Delivery;
use safeconduct_core::sigv4::Signer;
use safeconduct_core::time::Timestamp;
use safeconduct_identity::cache::Fields;
use safeconduct_identity::provider::aws::{AssumeRole, AssumeRoleConfig, RoleConfig, Sts, WebIdentity};
use safeconduct_identity::provider::{
    Counterpart, Description, Exchanging, Granted, Preview, Provider, Subject, Use,
};
use safeconduct_identity::template::{MissingClaim, Template};
use safeconduct_identity::wire::Endpoint;

use super::{NOW, Reply, wire};

pub const ROLE: &str = "arn:aws:iam::123456789012:role/team/Mcp";

/// The delivery that takes AWS keys.
pub fn sigv4() -> Delivery {
    Delivery::SigV4(Arc::new(Signer::new("us-east-1", "aws-mcp").unwrap()))
}

pub fn template(text: &str) -> Template {
    Template::parse(text, &[]).unwrap()
}

/// A region's token service at an endpoint.
pub fn sts(url: &str) -> Sts {
    let mut sts = Sts::new(Endpoint::parse(url, false).unwrap(), "eu-central-1", wire()).unwrap();
    sts.attempt_timeout = Duration::from_secs(1);
    sts
}

/// The role, for an hour, under the caller's subject.
pub fn role_config() -> RoleConfig {
    RoleConfig::new(Template::fixed(ROLE), template("{subject}"))
}

/// The step `aws_web_identity`, with changes to its configuration.
pub fn web_identity(url: &str, change: impl FnOnce(&mut RoleConfig)) -> Arc<dyn Provider> {
    let mut config = role_config();
    change(&mut config);
    Arc::new(WebIdentity::new(config, sts(url)).unwrap())
}

/// The step `aws_assume_role`, with changes to its configuration.
pub fn assume_role(url: &str, change: impl FnOnce(&mut AssumeRoleConfig)) -> Arc<dyn Provider> {
    let mut config =
        AssumeRoleConfig { role: role_config(), external_id: None, source_identity: None, tags: Vec::new() };
    change(&mut config);
    Arc::new(AssumeRole::new(config, sts(url)).unwrap())
}

/// A success, as AWS writes it, for a session of [`ROLE`].
pub fn issued(action: &str, id: &str, session: &str, expiration: &str) -> Reply {
    xml(
        200,
        format!(
            r#"<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <{action}Result>
    <AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:{session}</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/Mcp/{session}</Arn></AssumedRoleUser>
    <Credentials>
      <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken><Expiration>{expiration}</Expiration>
    </Credentials>
    <PackedPolicySize>6</PackedPolicySize>
  </{action}Result>
  <ResponseMetadata><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ResponseMetadata>
</{action}Response>"#,
            secret_of(id),
            token_of(id),
        ),
    )
}

/// The secret that goes with a key id.
pub fn secret_of(id: &str) -> String {
    format!("secret/of+{id}=")
}

/// The session token that goes with a key id.
pub fn token_of(id: &str) -> String {
    format!("token//of+{id}==")
}

/// An hour from the beginning of the tests.
pub fn in_an_hour() -> String {
    NOW.plus(Duration::from_secs(3600)).rfc3339()
}

/// A refusal, as AWS writes it.
pub fn refusal(status: u16, code: &str, message: &str) -> Reply {
    let kind = if status < 500 { "Sender" } else { "Receiver" };
    xml(
        status,
        format!(
            r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>{kind}</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>4f62bb2e-0000-11e0-8154-cbc7ccf896c7</RequestId></ErrorResponse>"#
        ),
    )
}

pub fn xml(status: u16, body: impl Into<String>) -> Reply {
    let headers = BTreeMap::from([("content-type", "text/xml".to_owned())]);
    Reply { headers, body: Bytes::from(body.into()), ..Reply::json(status, "") }
}

/// A first step that has AWS keys without asking anybody.
pub struct Keys(pub &'static str);

impl Provider for Keys {
    fn name(&self) -> &'static str {
        "keys"
    }

    fn description(&self) -> Description {
        Description {
            step: "keys".into(),
            endpoint: None,
            client: None,
            authentication: None,
            audience: Vec::new(),
            scopes: Vec::new(),
        }
    }

    fn identify(&self, fields: &mut Fields) {
        fields.text(self.0);
    }

    fn inputs(&self, _: &Principal, _: &mut Fields) -> Result<(), MissingClaim> {
        Ok(())
    }

    fn preview(&self, _: &Principal, _: &str) -> Result<Preview, MissingClaim> {
        Ok(Vec::new())
    }

    fn counterpart(&self) -> Option<Counterpart<'_>> {
        None
    }

    fn max_lifetime(&self) -> Duration {
        Duration::from_secs(3600)
    }

    fn exchange(&self, _: &Warrant, _: Subject, _: Timestamp) -> Exchanging {
        let material = keys(self.0);
        let (audience, scopes) = (Arc::new([]), Arc::new([]));
        Box::pin(
            async move { Ok(Granted { material, usable: Use::Bearer, expires: None, audience, scopes }) },
        )
    }
}

/// Keys with this id.
pub fn keys(id: &str) -> Material {
    let secret = |text: String| Secret::new(text.into_bytes());
    Material::Aws(AwsKeys {
        access_key_id: id.into(),
        secret_access_key: secret(secret_of(id)),
        session_token: secret(token_of(id)),
    })
}

//! A token service of another domain (RFC 8693), and an API that believes in it.
#![expect(clippy::indexing_slicing, reason = "a member of a JSON value that is not there reads as null")]

use std::path::Path;
use std::time::Duration;

use safeconduct_testkit::api::Api;
use safeconduct_testkit::clock::Clock;
use safeconduct_testkit::idp::Idp;
use safeconduct_testkit::oauth::Client;
use safeconduct_testkit::sts::{Federation, Sts};
use safeconduct_testkit::verify::Trust;
use serde_json::Value;

use super::super::Scene;
use super::super::play::{Played, said, verified};
use super::super::proof;
use super::super::stage::{AUDIENCE, WAREHOUSE};
use super::Lines;

pub(super) const ABOUT: [&str; 2] = [
    "Scenario B: the API lives in another trust domain",
    "Domain B's token service takes domain A's token and issues its own: other issuer, audience and subject.",
];

/// How domain B names people of domain A.
const PREFIX: &str = "principal://sts.b.example/domain-a/subject/";

pub(in super::super) struct Plain {
    pub(in super::super) sts: Sts,
    pub(in super::super) warehouse: Api,
    pub(super) secret: String,
}

impl Plain {
    pub(super) async fn start(idp: &Idp) -> std::io::Result<Self> {
        let sts = Sts::start(federation(idp), Clock::system()).await?;
        let (client, secret) = Client::basic("gateway-of-a");
        sts.add_client(client);
        let warehouse = Api::warehouse(sts.issuer(), Clock::system()).await?;
        Ok(Self { sts, warehouse, secret })
    }

    pub(super) fn lines(&self, dir: &Path, server: &str) -> Lines {
        let clients = format!(
            "  visitor: {{ client_id: gateway-of-a, auth: client_secret_basic, client_secret: \"file:{}/secret-b\" }}\n",
            dir.display()
        );
        let servers = format!(
            r#"  warehouse:                             # the API behind it trusts domain B: B's token service takes A's token
    url: {server}
    scopes: {{ tools/call: ["backend-mcp:tools:call"] }}
    credential:
      - exchange: {{ token_endpoint: "{}", client: visitor, audience: {WAREHOUSE}, scopes: ["warehouse:read"] }}
"#,
            self.sts.token_endpoint()
        );
        Lines { clients, servers, ..Lines::default() }
    }

    pub(super) fn served(&self, scene: &mut Scene, before: &Value, issuer: &str, user: &str) -> Value {
        let after = verified(self.warehouse.visits().pop());
        scene.check("the API verified domain B's token for real", !after.is_null(), "");
        let foreign = after["iss"] == self.sts.issuer() && before["iss"] == issuer;
        scene.check("the issuer became domain B's", foreign, said(&after["iss"]));
        scene.check("the audience became domain B's", after["aud"] == WAREHOUSE, said(&after["aud"]));
        let subject = format!("{PREFIX}{user}");
        scene.check(
            "the subject took domain B's form",
            after["sub"] == subject.as_str(),
            said(&after["sub"]),
        );
        after
    }

    pub(super) fn exchanges(&self) -> usize {
        let endpoint = self.sts.token_endpoint();
        self.sts.log().all().iter().filter(|seen| endpoint.ends_with(seen.path())).count()
    }

    pub(super) async fn ask(&self, token: &str) -> Played<(u16, String)> {
        proof::ask(&self.warehouse, token).await
    }
}

fn federation(idp: &Idp) -> Federation {
    Federation {
        trust: Trust { issuer: idp.issuer().to_owned(), audiences: vec![AUDIENCE.into()] },
        audience: WAREHOUSE.into(),
        scopes: vec!["warehouse:read".into()],
        groups: vec!["warehouse".into()],
        subject_prefix: PREFIX.into(),
        lifetime: Duration::from_secs(600),
    }
}

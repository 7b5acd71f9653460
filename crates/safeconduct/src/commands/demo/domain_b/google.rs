//! Google: a workload identity pool that makes principals out of domain A's people, and an API that knows them.
#![expect(clippy::indexing_slicing, reason = "a member of a JSON value that is not there reads as null")]

use safeconduct_testkit::api::Api;
use safeconduct_testkit::clock::Clock;
use safeconduct_testkit::google::{Google, ISSUER, Pool};
use safeconduct_testkit::idp::Idp;
use safeconduct_testkit::verify::Trust;
use serde_json::Value;

use super::super::Scene;
use super::super::play::{said, verified};
use super::super::stage::{AUDIENCE, SCOPE};

pub(super) const ABOUT: [&str; 2] = [
    "Scenario B: the API lives at Google",
    "A workload identity pool takes domain A's token; Google's own is opaque: at the right stands what Google tells of it.",
];

/// The pool's provider, which trusts domain A: the audience of an exchange.
const PROVIDER: &str =
    "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/corp/providers/domain-a";
/// How Google names people of that pool.
const PRINCIPAL: &str =
    "principal://iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/corp/subject/";
const READ: &str = "https://www.googleapis.com/auth/bigquery.readonly";

pub(in super::super) struct AtGoogle {
    pub(super) google: Google,
    pub(super) warehouse: Api,
}

impl AtGoogle {
    pub(super) async fn start(idp: &Idp) -> std::io::Result<Self> {
        let trust = Trust { issuer: idp.issuer().to_owned(), audiences: vec![AUDIENCE.into()] };
        let pool = Pool { provider: PROVIDER.into(), trust, groups: vec!["warehouse".into()] };
        let google = Google::start(pool, Vec::new(), Clock::system()).await?;
        let warehouse = Api::warehouse_of(&google).await?;
        Ok(Self { google, warehouse })
    }

    pub(super) fn server_lines(&self, server: &str) -> String {
        format!(
            r#"  warehouse:                             # the API behind it is Google's: a pool takes A's token
    url: {server}
    scopes: {{ tools/call: ["backend-mcp:tools:call"] }}
    credential:
      - google_sts: {{ token_endpoint: "{}", audience: "{PROVIDER}", scopes: ["{READ}"] }}
"#,
            self.google.token_endpoint()
        )
    }

    pub(super) fn served(&self, scene: &mut Scene, before: &Value, user: &str) -> Value {
        let after = verified(self.warehouse.visits().pop());
        scene.check("the API had Google's own token, and Google knows it", !after.is_null(), "");
        let foreign = after["iss"] == ISSUER && before["iss"] != ISSUER;
        scene.check("the issuer became Google", foreign, said(&after["iss"]));
        let principal = format!("{PRINCIPAL}{user}");
        scene.check(
            "the person became a principal of the pool, under their own name",
            before["sub"] == user && after["sub"] == principal.as_str(),
            said(&after["sub"]),
        );
        scene.check(
            "the scope became Google's",
            before["scope"] == SCOPE && after["scope"] == READ,
            said(&after["scope"]),
        );
        after
    }
}

/// The log names the step, and why the pool did not let bob in.
pub(super) fn records(scene: &mut Scene, calls: &[&Value]) {
    let mut there =
        calls.iter().filter(|line| line["server"] == "warehouse" && line["outcome"] == "answered");
    let named = there.all(|line| {
        line["credential"]["steps"][0] == "google_sts" && line["credential"]["audience"][0] == PROVIDER
    });
    scene.check("each that went to Google names the pool's provider", named, PROVIDER);
    let denied = calls.iter().find(|line| line["code"] == "SC-C02");
    let detail = denied.map(|line| said(&line["detail"])).unwrap_or_default();
    let word = detail.contains("unauthorized_client");
    scene.check("Google's word for refusing bob is in the log", word, detail);
}

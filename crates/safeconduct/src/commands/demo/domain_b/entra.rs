//! Entra: callers who log in there have a token for the gateway's application; on their behalf it gets one for the API.
//! On-behalf-of stays within a tenant, so domain A's tokens are of no use in this scenario.
#![expect(clippy::indexing_slicing, reason = "a member of a JSON value that is not there reads as null")]

use std::path::Path;
use std::time::Duration;

use safeconduct_testkit::api::{Api, Route};
use safeconduct_testkit::canary;
use safeconduct_testkit::clock::Clock;
use safeconduct_testkit::entra::{Application, Entra, Proof, TENANT};
use safeconduct_testkit::idp::User;
use safeconduct_testkit::verify::Trust;
use serde_json::Value;

use super::super::Scene;
use super::super::play::{ALICE, BOB, CAROL, said, verified};
use super::Lines;

pub(super) const ABOUT: [&str; 2] = [
    "Scenario B: the API lives in a tenant of Entra",
    "The caller logs in at Entra, for the gateway's application; Entra issues a token for the API on their behalf.",
];

/// The gateway's application: the audience of the callers' tokens.
const APPLICATION: &str = "2f1e7d7a-0f5c-4c5e-9a53-d2b6d7a3c001";
/// The API's.
pub(super) const API: &str = "api://warehouse";
/// What callers' tokens may do at the gateway, and what is asked for at the API.
const CALL: &str = "Mcp.Call";
const READ: &str = "Stock.Read";

pub(in super::super) struct InEntra {
    pub(super) entra: Entra,
    pub(super) warehouse: Api,
    secret: String,
}

impl InEntra {
    pub(super) async fn start() -> std::io::Result<Self> {
        let entra = Entra::start(Clock::system()).await?;
        for (user, groups) in [(ALICE, "warehouse"), (CAROL, "warehouse"), (BOB, "guests")] {
            entra.add_user(User::new(user, &[groups]));
        }
        entra.add_api(API, &[READ]);
        entra.assign(API, &["warehouse"]);
        let secret = canary::secret("entra");
        let proof = Proof::Secret(secret.clone());
        let consented = vec![format!("{API}/{READ}")];
        entra.add_application(Application { id: APPLICATION.into(), proof, consented });
        let trust = Trust { issuer: entra.issuer(), audiences: vec![API.into()] };
        let warehouse = Api::start(trust, Route::stock(READ, "Stock.Admin"), Clock::system()).await?;
        Ok(Self { entra, warehouse, secret })
    }

    pub(super) fn login(&self, user: &str) -> String {
        self.entra.mint(user, APPLICATION, CALL, Duration::from_secs(3600))
    }

    pub(super) fn files(&self) -> Vec<(&'static str, String)> {
        vec![("secret-b", self.secret.clone())]
    }

    pub(super) fn lines(&self, dir: &Path, server: &str) -> Lines {
        Lines {
            issuers: format!(
                "  entra: {{ issuer: \"{}\", preset: entra, audience: [{APPLICATION}], algorithms: [RS256] }}\n",
                self.entra.issuer()
            ),
            clients: format!(
                "  app: {{ client_id: {APPLICATION}, auth: client_secret_post, client_secret: \"file:{}/secret-b\" }}\n",
                dir.display()
            ),
            servers: format!(
                r#"  warehouse:                             # the API behind it is Entra's: a token for it on behalf of the caller
    url: {server}
    issuers: [entra]
    scopes: {{ tools/call: [{CALL}] }}
    credential:
      - entra_obo: {{ authority: "{}", tenant: {TENANT}, client: app, scopes: ["{API}/{READ}"], expected_audience: ["{API}"] }}
"#,
                self.entra.authority()
            ),
            policies: ["warehouse", "guests"]
                .map(|group| {
                    format!(
                        "permit (principal in Group::\"entra/{group}\", action == Action::\"tools/call\", \
                         resource == Tool::\"warehouse/read_warehouse\");\n"
                    )
                })
                .concat(),
        }
    }

    pub(super) fn exchanges(&self) -> usize {
        self.entra.log().to(&format!("/{TENANT}/oauth2/v2.0/token")).len()
    }

    pub(super) fn served(&self, scene: &mut Scene, before: &Value) -> Value {
        let after = verified(self.warehouse.visits().pop());
        scene.check("the API verified Entra's token for real, as one that is its own", !after.is_null(), "");
        scene.check(
            "the audience was the gateway's application, and became the API",
            before["aud"] == APPLICATION && after["aud"] == API,
            said(&after["aud"]),
        );
        scene.check(
            "the scope became the API's own",
            before["scp"] == CALL && after["scp"] == READ,
            said(&after["scp"]),
        );
        let same =
            ["iss", "tid", "oid"].iter().all(|name| after[name].is_string() && before[name] == after[name]);
        scene.check("issuer, tenant and person stayed: oid is the same", same, said(&after["oid"]));
        scene.check(
            "sub differs, as Entra has one for each application",
            after["sub"].is_string() && before["sub"] != after["sub"],
            said(&after["sub"]),
        );
        scene.check(
            "and the token names the gateway's application as who acts",
            after["appid"] == APPLICATION,
            said(&after["appid"]),
        );
        after
    }
}

/// The log names the step, and why Entra did not let bob in.
pub(super) fn records(scene: &mut Scene, calls: &[&Value]) {
    let mut there =
        calls.iter().filter(|line| line["server"] == "warehouse" && line["outcome"] == "answered");
    let named = there.all(|line| {
        line["credential"]["steps"][0] == "entra_obo" && line["credential"]["audience"][0] == API
    });
    scene.check("each that went on behalf of somebody names the API", named, API);
    let denied = calls.iter().find(|line| line["code"] == "SC-C02");
    let detail = denied.map(|line| said(&line["detail"])).unwrap_or_default();
    let word = detail.contains("AADSTS50105");
    scene.check("Entra's number for refusing bob, who is not assigned, is in the log", word, detail);
}
